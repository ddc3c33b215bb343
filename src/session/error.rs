//! What can end a session without a stop that the protocol knows: the journal stays resumable.

use std::path::PathBuf;

use thiserror::Error;

use crate::artifact::ArtifactError;
use crate::harness::HarnessError;
use crate::journal::{FileError, JournalError, SnapshotError};
use crate::mission::{DeployError, MissionError};
use crate::protocol::{FoldError, Gpu, NoStart};
use crate::runner::RunnerError;
use crate::tools::RecordError;
use crate::workspace::WorkspaceError;

/// Why a session could not begin or go on.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The mission.
    #[error(transparent)]
    Mission(#[from] MissionError),
    /// The kernel or its repository.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The harness.
    #[error(transparent)]
    Harness(#[from] HarnessError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A kept text.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Another file of the run's folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// A journal that tells of what cannot be.
    #[error("the journal in {folder} does not fold: {source}")]
    Fold {
        /// The run's folder.
        folder: PathBuf,
        /// Why.
        source: FoldError,
    },
    /// A journal without a beginning.
    #[error("the journal in {folder} cannot be followed: {source}; the run never began, start it anew")]
    NoStart {
        /// The run's folder.
        folder: PathBuf,
        /// Why.
        source: NoStart,
    },
    /// A run that is not there.
    #[error("there is no run {name:?} in {folder}; `agent status` without a name shows the newest")]
    UnknownRun {
        /// As the user named it.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// No run at all.
    #[error("there is no run in {folder} yet; `agent run --mission FILE` begins one")]
    NoRun {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A kernel that another run works on.
    #[error("another run works on {kernel}: wait for it, or end it with `agent stop`")]
    KernelBusy {
        /// The kernel.
        kernel: PathBuf,
    },
    /// A name that is taken.
    #[error("the run {name} exists already, in {folder}; choose another --run-id, or go on with `agent resume {name}`")]
    RunExists {
        /// The name.
        name: String,
        /// Its folder.
        folder: PathBuf,
    },
    /// A choice that this program does not offer.
    #[error("{0}")]
    Unsupported(String),
    /// A recording that cannot be played.
    #[error(transparent)]
    Replay(#[from] crate::model::ReplayError),
    /// A language model that cannot be asked as the mission says.
    #[error(transparent)]
    Model(#[from] crate::model::OpenAiError),
    /// A device that this machine does not have.
    #[error(
        "this machine has no {gpu}: no NVIDIA driver is loaded; name another `runner`, or say `gpu: cpu` for a CPU mission"
    )]
    MissingDevice {
        /// As the mission names it.
        gpu: Gpu,
    },
    /// The runner has no room: the measurement is made again when the run goes on.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The files that a deploy watches.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(String),
    /// A file could not be read or written.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl From<RecordError> for SessionError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Artifact(error) => Self::Artifact(error),
            RecordError::Workspace(error) => Self::Workspace(error),
        }
    }
}

impl SessionError {
    /// Returns a constructor for a failed access to `path`.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
