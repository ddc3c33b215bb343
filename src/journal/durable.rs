//! Files that are either wholly there or not at all, whenever the machine stops.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::FileError;

/// Writes `bytes` to `path` so that at every instant the file is absent, as it was before, or complete.
///
/// The bytes go to a temporary file in the same folder, are synced, take the file's name, and the folder is synced.
/// A crash can leave the temporary file (`.afterhours-*.tmp`) behind; it is never read.
///
/// # Errors
/// The system's reason; the file is then as it was before.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = folder_of(path);
    let temporary = temporary_in(folder);
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(cause) = written {
        // The error that matters is the one above; a temporary file that stays is never read.
        let _ = fs::remove_file(&temporary);
        return Err(FileError::because("write", path)(cause));
    }
    sync_folder(folder)
}

/// Makes the names in `folder` durable: a new file or a rename survives a crash only after this.
///
/// # Errors
/// The system's reason.
pub(super) fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::because("sync the folder", folder))
}

/// Creates `folder` and what is missing above it, durably; one that is there stays as it is.
///
/// # Errors
/// The system's reason, with the first folder that could not be created.
pub fn create_folder(folder: &Path) -> Result<(), FileError> {
    // A path's parent can be empty, and is then the current folder.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    create_folder(folder_of(folder))?;
    match fs::create_dir(folder) {
        // Another process was faster.
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        created => created.map_err(FileError::because("create the folder", folder)),
    }?;
    sync_folder(folder_of(folder))
}

/// Returns the folder in which `path` lies; that of a bare file name is the current one.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = match File::create_new(path) {
        // A process of the same number died here once.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            File::create_new(path)?
        }
        other => other?,
    };
    file.write_all(bytes)?;
    file.sync_data()
}

fn temporary_in(folder: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!(".afterhours-{}-{count}.tmp", process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marker");
        atomic_write(&path, b"a long first text").unwrap();
        atomic_write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_refused_write_leaves_no_temporary_file_and_names_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = atomic_write(&path, b"text").unwrap_err();
        assert_eq!(error.path, path);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = atomic_write(&folder.path().join("no/such"), b"").unwrap_err().to_string();
        assert!(error.contains("no/such") && error.ends_with("check the path"), "{error}");
    }

    #[test]
    fn folders_are_created_all_the_way_down_and_may_exist() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("artifacts/run/iter-0001");
        create_folder(&deep).unwrap();
        create_folder(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(top.path().join("file"), "").unwrap();
        let error = create_folder(&top.path().join("file/below")).unwrap_err();
        assert_eq!(error.path, top.path().join("file"), "the one in the way is named");
    }

    #[test]
    fn a_file_left_by_a_dead_process_of_the_same_number_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("left");
        fs::write(&path, "a longer rest of a write").unwrap();
        write_new(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
