//! What a command needs of the process: its folder, a runtime, and the program's own path.

use std::path::PathBuf;

use super::error::CliError;

/// Returns the current folder.
pub(super) fn here() -> Result<PathBuf, CliError> {
    std::env::current_dir()
        .map_err(|error| CliError::environment(format!("the current folder cannot be found: {error}")))
}

/// Returns a runtime for the one thread on which a run lives.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::internal(format!("the runtime cannot be started: {error}")))
}

/// Returns this program's own path, under which it starts its workers.
pub(super) fn own_path() -> Result<PathBuf, CliError> {
    std::env::current_exe()
        .map_err(|error| CliError::environment(format!("the program's own path cannot be found: {error}")))
}
