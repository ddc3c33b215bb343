//! What can go wrong with an artifact, and what to do about it.

use std::borrow::Cow;
use std::path::PathBuf;

use thiserror::Error;

use crate::journal::FileError;

/// An artifact that cannot be written, read or appended to.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A part that could not be read back; nothing was written.
    #[error("the artifact was not written, since it would not read back: {0}")]
    Unwritable(String),
    /// The file has not the form of an artifact.
    #[error("{} is no readable artifact: {error}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where it departs from the form.
        error: ParseError,
    },
    /// The file is not an artifact at all; nothing was appended.
    #[error("{} does not begin with the line {:?}; give the path that the measurement printed", path.display(), super::text::TITLE)]
    NotAnArtifact {
        /// The file.
        path: PathBuf,
    },
    /// The file has lost some of its end; nothing was appended.
    #[error(
        "{} has {found} bytes of the {expected} it was written with; restore it from a copy, or measure again",
        path.display()
    )]
    Shortened {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length it had.
        expected: u64,
    },
}

/// Where a text departs from the form of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: expected {expected}")]
pub struct ParseError {
    /// The line's number, from 1, counting line feeds.
    pub line: usize,
    /// What should stand there.
    pub expected: Cow<'static, str>,
}
