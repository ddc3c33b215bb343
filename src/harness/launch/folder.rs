//! A block's folder: fresh, so that nothing which an earlier block left is found in it.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::orders::{FILES, Staged};
use crate::protocol::ContentHash;

/// A folder, or the file that is not what the runner wrote.
pub(super) enum Fresh {
    Folder(TempDir),
    Tampered(String),
}

/// Copies `files` from [`FILES`] in the working folder into a new folder beside it.
pub(super) fn fresh(files: &[Staged]) -> io::Result<Fresh> {
    let folder = tempfile::Builder::new().prefix("block-").tempdir_in(std::env::current_dir()?)?;
    for file in files {
        let content = fs::read(Path::new(FILES).join(&file.path)).unwrap_or_default();
        if ContentHash::of(&content) != file.hash {
            return Ok(Fresh::Tampered(file.path.clone()));
        }
        let path = folder.path().join(&file.path);
        fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
        fs::write(path, content)?;
    }
    Ok(Fresh::Folder(folder))
}
