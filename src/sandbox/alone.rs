//! A process that confines itself, before it runs what it does not trust.

use landlock::RulesetError;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::set_no_new_privs;
use seccompiler::BackendError;
use thiserror::Error;

use super::orders::FILE_BYTES;
use super::{fence, filter};

/// A protection that the system offers and did not apply.
#[derive(Debug, Error)]
pub enum AloneError {
    /// A limit, or the end of new privileges.
    #[error("the system refused a limit: {0}")]
    Limit(#[from] Errno),
    /// What it could write to and signal.
    #[error("Landlock: {0}")]
    Fence(#[from] RulesetError),
    /// What it could ask the system for.
    #[error("seccomp: {0}")]
    Filter(#[from] BackendError),
    /// The same.
    #[error("seccomp: {0}")]
    Applied(#[from] seccompiler::Error),
}

/// Takes from the calling process, for good, what one that only computes does not need: other processes, its own among them; files
/// to write; signals to others, and a look into them; and the choice of its processors. Threads it may have.
///
/// It comes on top of what already confines the process. A protection that this system does not have is left out.
pub fn alone() -> Result<(), AloneError> {
    let maximum = getrlimit(Resource::Fsize).maximum.map_or(FILE_BYTES, |held| held.min(FILE_BYTES));
    setrlimit(Resource::Fsize, Rlimit { current: Some(maximum), maximum: Some(maximum) })?;
    set_no_new_privs(true)?;
    fence::nothing()?.restrict_self()?;
    if filter::available().is_ok() {
        for filter in filter::alone()? {
            seccompiler::apply_filter(&filter)?;
        }
    }
    Ok(())
}
