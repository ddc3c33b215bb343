//! One run at a time works on a kernel file: two would take each other's changes for somebody else's.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::SessionError;
use crate::journal::open_shared;
use crate::protocol::ContentHash;

/// The right to change a kernel file, until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    _file: File,
}

impl Claim {
    /// Claims the kernel at this canonical path.
    pub(super) fn on(kernel: &Path) -> Result<Self, SessionError> {
        let name = ContentHash::of(kernel.as_os_str().as_encoded_bytes()).short();
        let path = std::env::temp_dir().join(format!("afterhours-kernel-{name}.lock"));
        let file = open_shared(&path).map_err(SessionError::io("open the lock", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(SessionError::KernelBusy { kernel: kernel.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(SessionError::io("lock", &path)(error)),
        }
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
        drop(first);
        Claim::on(&kernel).unwrap();
    }
}
