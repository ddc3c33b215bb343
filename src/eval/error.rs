//! What makes a scenario unusable: found before anything runs.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::mission::MissionError;
use crate::model::ReplayError;
use crate::session::SessionError;

/// A scenario that cannot be played, or the place where it should have been.
#[derive(Debug, Error)]
pub enum EvalError {
    /// A file of the scenario says what it may not.
    #[error("{}: {message}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// The key or line, what is wrong with it, and the remedy.
        message: String,
    },
    /// The mission.
    #[error(transparent)]
    Mission(#[from] MissionError),
    /// The replies.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The run that is to become a scenario.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file could not be read or written.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl EvalError {
    pub(super) fn bad(path: &Path, message: impl Into<String>) -> Self {
        Self::Bad { path: path.to_owned(), message: message.into() }
    }

    /// Returns a constructor for a failed access to `path`.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
