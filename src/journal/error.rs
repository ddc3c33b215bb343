//! What can go wrong with a run's files, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::lock::Holder;

/// The system refused something about a file.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {cause}{}", path.display(), remedy(cause))]
pub struct FileError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub cause: io::Error,
}

impl FileError {
    /// Returns a function for `map_err` that adds the action and the path to the system's reason.
    pub fn because(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { action, path: path.to_owned(), cause }
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull => "; free space on that disk and try again",
        io::ErrorKind::QuotaExceeded => "; free space within this user's quota and try again",
        io::ErrorKind::FileTooLarge => "; raise the limit on file sizes (`ulimit -f`) and try again",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable, or choose another folder for artifacts",
        io::ErrorKind::PermissionDenied => "; give this user access to it",
        io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}

/// A journal that cannot be created, read or appended to.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is a journal already.
    #[error("{} exists already; resume that run, or choose another run id", path.display())]
    Exists {
        /// The journal.
        path: PathBuf,
    },
    /// Another process has the run open.
    #[error("the run in {} is in use by {holder}; wait for it to end, or stop it first", folder.display())]
    Held {
        /// The run's folder.
        folder: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// The journal is of a version that this program does not know.
    #[error(
        "{} has format version {found}, and this program reads up to version {newest}; use a newer program, the file is as \
         it was",
        path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this program reads.
        newest: u32,
    },
    /// A line is damaged, and not because the program died while it wrote it.
    #[error(
        "{} line {line} is damaged: {fault}; nothing was changed: restore the file from a copy, or start a new run",
        path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A line is intact, but its event means nothing to this program.
    #[error(
        "{} line {line} holds an event that this program cannot read: {message}; use the program that wrote it, or a newer one",
        path.display()
    )]
    Foreign {
        /// The journal.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What does not fit.
        message: String,
    },
    /// An event that could not be read back; nothing was written.
    #[error("an event for {} was not written, since it would not read back: {message}", path.display())]
    Unwritable {
        /// The journal.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
}

/// What is wrong with a damaged line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineFault {
    /// It has no line feed at its end.
    #[error("it has no end")]
    Unfinished,
    /// It is longer than any line that is ever written.
    #[error("it is longer than {} bytes", super::line::MAX_LINE)]
    TooLong,
    /// It has not the form of a line.
    #[error("it is not a journal line")]
    Malformed,
    /// Its text and its sum differ, or its sum does not follow from the line before.
    #[error("its sum does not match its text and the line before")]
    Sum,
    /// Its number is not the next one.
    #[error("its number is {found}, expected {expected}")]
    Sequence {
        /// The number of the line in the file.
        expected: u64,
        /// The number it has.
        found: u64,
    },
}
