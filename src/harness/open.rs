//! Finds the harness behind a file's name.

use std::env;
use std::fs;
use std::path::{self, Path};

use super::api::{Harness, HarnessError};
use super::contract::{Contract, Interpreter};
use super::gpumode::GpuMode;
use super::native::Native;

/// No harness or reference that people write comes near; a larger file is a mistake in the mission.
const MAX_BYTES: u64 = 4 << 20;

/// Opens the harness at `path`: `*.toml` is a native one, `task.yml` a GPU MODE task, `*.py` and `*.sh` are programs that keep the result contract.
///
/// # Errors
/// [`HarnessError::Bad`] names the file, what is wrong with it, and the remedy.
pub fn open(path: &Path) -> Result<Box<dyn Harness>, HarnessError> {
    let path = &path::absolute(path).map_err(|error| bad(path, error.to_string()))?;
    let name = file_name(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Ok(Box::new(Native::open(path)?)),
        Some("py") => Ok(Box::new(Contract::open(path, Interpreter::Python)?)),
        Some("sh") => Ok(Box::new(Contract::open(path, Interpreter::Shell)?)),
        Some("yml" | "yaml") if matches!(name.as_str(), "task.yml" | "task.yaml") => Ok(Box::new(GpuMode::open(path)?)),
        _ => Err(bad(
            path,
            "its name tells no kind of harness; known are *.toml (native), task.yml (GPU MODE), *.py and *.sh (a program that writes AFTERHOURS_RESULT)",
        )),
    }
}

pub(super) fn bad(path: &Path, message: impl Into<String>) -> HarnessError {
    HarnessError::Bad { path: path.to_owned(), message: message.into() }
}

pub(super) fn file_name(path: &Path) -> Result<String, HarnessError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| bad(path, "this is not a file's name in UTF-8; name the harness's file"))
}

/// Reads a file of a harness, bounded.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, HarnessError> {
    let meta = fs::metadata(path).map_err(|error| bad(path, format!("cannot be read ({error}); check the path")))?;
    if !meta.is_file() {
        return Err(bad(path, "is not a file; name the harness's file"));
    }
    if meta.len() > MAX_BYTES {
        return Err(bad(path, format!("has {} bytes, more than the {MAX_BYTES} allowed", meta.len())));
    }
    fs::read(path).map_err(|error| bad(path, format!("cannot be read ({error}); check its permissions")))
}

/// Tells whether a program is found in `PATH`, or by its own path.
pub(super) fn is_in_path(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    // Joining an absolute path gives that path itself.
    env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}
