//! Kernel texts under the names of their content.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::durable::{atomic_write, create_folder};
use super::error::FileError;
use crate::protocol::ContentHash;

const FOLDER: &str = "snapshots";

/// The texts of a run: `snapshots/<content hash>` in its folder, one file a text, never altered.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

/// A text that cannot be kept or had back.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not there.
    #[error("the snapshot {} is missing; restore the file from a copy of the run", path.display())]
    Missing {
        /// Where it should lie.
        path: PathBuf,
    },
    /// The file holds another text than its name says.
    #[error("the snapshot {} is damaged: its text hashes to {found}; restore the file from a copy of the run", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The hash of what it holds.
        found: ContentHash,
    },
}

impl Snapshots {
    /// Returns the snapshots of the run in `run_folder`; nothing is created yet.
    pub fn new(run_folder: &Path) -> Self {
        Self { folder: run_folder.join(FOLDER) }
    }

    /// Returns where the text of that hash lies, or would lie.
    pub fn path(&self, hash: ContentHash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    /// Keeps `text`, and returns once it is on the disk; a text that is there and intact is not written again.
    ///
    /// # Errors
    /// The system's reason.
    pub fn put(&self, text: &[u8]) -> Result<ContentHash, SnapshotError> {
        let hash = ContentHash::of(text);
        match self.get(hash) {
            Ok(_) => return Ok(hash),
            Err(SnapshotError::Missing { .. } | SnapshotError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        create_folder(&self.folder)?;
        atomic_write(&self.path(hash), text)?;
        Ok(hash)
    }

    /// Returns the text of that hash.
    ///
    /// # Errors
    /// [`SnapshotError::Missing`], [`SnapshotError::Damaged`], or the system's reason.
    pub fn get(&self, hash: ContentHash) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path(hash);
        let text = match fs::read(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(SnapshotError::Missing { path }),
            read => read.map_err(FileError::because("read", &path))?,
        };
        match ContentHash::of(&text) {
            found if found == hash => Ok(text),
            found => Err(SnapshotError::Damaged { path, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_comes_back_byte_for_byte() {
        let run = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(run.path());
        let text = b"kernel \xff\0\r\n";
        let hash = snapshots.put(text).unwrap();
        assert_eq!(snapshots.put(text).unwrap(), hash);
        assert_eq!(snapshots.get(hash).unwrap(), text);
        assert_eq!(fs::read_dir(run.path().join(FOLDER)).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_text_is_named_with_its_path() {
        let run = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(run.path());
        let hash = ContentHash::of(b"never kept");
        let error = snapshots.get(hash).unwrap_err();
        assert!(matches!(&error, SnapshotError::Missing { path } if *path == snapshots.path(hash)), "{error}");
        assert!(error.to_string().contains(&hash.to_string()));
    }

    #[test]
    fn a_damaged_text_is_never_returned_and_is_mended_by_keeping_it_again() {
        let run = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(run.path());
        let hash = snapshots.put(b"right").unwrap();
        fs::write(snapshots.path(hash), "wrong").unwrap();
        assert!(matches!(snapshots.get(hash), Err(SnapshotError::Damaged { .. })));
        assert_eq!(snapshots.put(b"right").unwrap(), hash);
        assert_eq!(snapshots.get(hash).unwrap(), b"right");
    }
}
