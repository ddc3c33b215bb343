//! One run at a time works on a kernel file: two would take each other's changes for somebody else's.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::SessionError;
use crate::journal::{open_shared, stands_at};
use crate::protocol::ContentHash;

/// The right to change a kernel file, until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _file: File,
}

impl Claim {
    /// Claims the kernel at this canonical path.
    pub(super) fn on(kernel: &Path) -> Result<Self, SessionError> {
        let name = ContentHash::of(kernel.as_os_str().as_encoded_bytes()).short();
        let path = std::env::temp_dir().join(format!("afterhours-kernel-{name}.lock"));
        loop {
            let file = open_shared(&path).map_err(SessionError::io("open the lock", &path))?;
            match file.try_lock() {
                Ok(()) if stands_at(&file, &path) => return Ok(Self { path, _file: file }),
                // Whoever had it took the file away in the meantime: the lock of that name is another file now.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(SessionError::KernelBusy { kernel: kernel.to_path_buf() });
                }
                Err(TryLockError::Error(error)) => return Err(SessionError::io("lock", &path)(error)),
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: nobody can have claimed the file that goes. Where it cannot be removed, it is in nobody's way.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_has_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let kernel = folder.path().join("kernel.c");
        let first = Claim::on(&kernel).unwrap();
        assert!(matches!(Claim::on(&kernel), Err(SessionError::KernelBusy { .. })));
        Claim::on(&folder.path().join("other.c")).unwrap();
        let lock = first.path.clone();
        drop(first);
        assert!(!lock.exists(), "it leaves nothing behind");
        Claim::on(&kernel).unwrap();
    }
}
