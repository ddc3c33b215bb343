//! Errors at the edge: a kind that decides the exit code, the chain of causes, and hints.

use std::error::Error;
use std::io;

use super::exit::Exit;
use crate::harness::HarnessError;
use crate::runner::RunnerError;
use crate::session::SessionError;

/// An error of a command.
#[derive(Debug)]
pub(super) struct CliError {
    /// Decides the exit code.
    pub(super) exit: Exit,
    /// What happened; a fragment that fits "error: …".
    pub(super) message: String,
    /// What would help.
    pub(super) hints: Vec<String>,
}

impl CliError {
    /// Returns an error of the command line or of what it names.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hints: Vec::new() }
    }

    /// Returns an error of the program itself.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { exit: Exit::Internal, message: message.into(), hints: Vec::new() }
    }

    /// Returns an error of the surroundings.
    pub(super) fn environment(message: impl Into<String>) -> Self {
        Self { exit: Exit::Environment, message: message.into(), hints: Vec::new() }
    }
}

impl From<SessionError> for CliError {
    fn from(error: SessionError) -> Self {
        let io = io_cause(&error);
        let exit = match &error {
            SessionError::Harness(HarnessError::MissingProgram { .. }) | SessionError::MissingDevice { .. } => {
                Exit::Environment
            }
            SessionError::Random(_) => Exit::Environment,
            SessionError::Model(error) if error.is_environment() => Exit::Environment,
            SessionError::Fold { .. } => Exit::Internal,
            _ if io.is_some_and(is_environment) => Exit::Environment,
            SessionError::Runner(RunnerError::Missing(_)) => Exit::Environment,
            SessionError::File(_)
            | SessionError::Runner(_)
            | SessionError::Io { .. }
            | SessionError::Artifact(_)
            | SessionError::Snapshot(_) => Exit::Internal,
            SessionError::Mission(_)
            | SessionError::Workspace(_)
            | SessionError::Harness(HarnessError::Bad { .. })
            | SessionError::Journal(_)
            | SessionError::NoStart { .. }
            | SessionError::UnknownRun { .. }
            | SessionError::NoRun { .. }
            | SessionError::KernelBusy { .. }
            | SessionError::RunExists { .. }
            | SessionError::Unsupported(_)
            | SessionError::Model(_)
            | SessionError::Deploy(_)
            | SessionError::Replay(_) => Exit::Usage,
        };
        let hints = io.and_then(hint).into_iter().map(str::to_owned).collect();
        Self { exit, message: chain(&error), hints }
    }
}

/// Returns the error and its causes in one line, each said once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

fn io_cause(error: &SessionError) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    // libgit2 tells of the system's errors in words alone.
    chain(error).contains("No space left on device").then_some(io::ErrorKind::StorageFull)
}

fn is_environment(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::FileTooLarge
    )
}

fn hint(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space, then go on with `agent resume`; nothing of the run is lost"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: a run writes below `artifacts/` of the repository"
        }
        io::ErrorKind::PermissionDenied => {
            "check the permissions: a run writes below `artifacts/` and to the kernel file"
        }
        io::ErrorKind::FileTooLarge => {
            "a limit on file sizes is in force (`ulimit -f`): raise it, then go on with `agent resume`"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::WorkspaceError;

    #[test]
    fn a_disk_that_is_full_under_git_is_a_full_disk() {
        let source = git2::Error::from_str("failed to write loose object: No space left on device");
        let error = SessionError::from(WorkspaceError::Git { action: "write the kernel's blob".to_owned(), source });
        let error = CliError::from(error);
        assert_eq!(error.exit, Exit::Environment);
        assert!(error.hints[0].contains("agent resume"), "{error:?}");
    }
}
