//! One device measures one thing at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::api::RunnerError;
use crate::journal::open_shared;
use crate::protocol::Gpu;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// The lock of a device: an advisory lock on a file that every user of the machine shares.
///
/// It is held until its last descriptor is closed. A process that inherits one holds it too; the death of all its holders
/// releases it. The file stays, as removing it would let two processes lock two files of the same name.
#[derive(Debug)]
pub struct DeviceLock {
    file: File,
}

impl DeviceLock {
    /// Waits for the lock of `gpu` in `folder`, calling `waiting` once if somebody else holds it.
    pub async fn acquire(folder: &Path, gpu: &Gpu, waiting: impl FnOnce()) -> Result<Self, RunnerError> {
        let path = path(folder, gpu);
        let failed = |error: io::Error| {
            let path = path.display();
            RunnerError::Failed(format!(
                "failed to lock {gpu} with {path}: {error}; it must be a file that you can read"
            ))
        };
        let file = open_shared(&path).map_err(failed)?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl AsFd for DeviceLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Returns the lock's path. Devices whose names differ in case or punctuation alone share one.
fn path(folder: &Path, gpu: &Gpu) -> PathBuf {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = gpu.0.trim().chars().take(64).map(fit).collect();
    folder.join(format!("afterhours-{slug}.lock"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    async fn acquire(folder: &Path, gpu: &str) -> Result<DeviceLock, RunnerError> {
        DeviceLock::acquire(folder, &Gpu(gpu.to_owned()), || panic!("nobody else holds it")).await
    }

    #[tokio::test]
    async fn a_device_s_name_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _lock = acquire(folder.path(), "../../x y/Z").await.unwrap();
        assert!(folder.path().join("afterhours-------x-y-z.lock").is_file());
    }

    #[tokio::test]
    async fn two_devices_are_held_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let _first = acquire(folder.path(), "B200").await.unwrap();
        let _second = acquire(folder.path(), "H100").await.unwrap();
    }

    #[tokio::test]
    async fn one_device_is_held_once_however_it_is_spelt() {
        let folder = tempfile::tempdir().unwrap();
        let first = acquire(folder.path(), "cpu").await.unwrap();
        let gpu = Gpu("CPU".to_owned());
        let mut waited = false;
        {
            let mut second = std::pin::pin!(DeviceLock::acquire(folder.path(), &gpu, || waited = true));
            tokio::select! {
                biased;
                _ = &mut second => panic!("held twice"),
                () = tokio::time::sleep(PAUSE / 2) => {}
            }
            drop(first);
            second.await.unwrap();
        }
        assert!(waited);
    }

    #[tokio::test]
    async fn what_another_user_left_under_the_name_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "text").unwrap();
        symlink(&victim, folder.path().join("afterhours-link.lock")).unwrap();
        symlink(folder.path().join("absent"), folder.path().join("afterhours-dangling.lock")).unwrap();
        mkfifoat(CWD, folder.path().join("afterhours-fifo.lock"), Mode::RWXU).unwrap();
        fs::create_dir(folder.path().join("afterhours-folder.lock")).unwrap();
        for gpu in ["link", "dangling", "fifo", "folder"] {
            let error = acquire(folder.path(), gpu).await.unwrap_err().to_string();
            assert!(error.contains(&format!("afterhours-{gpu}.lock")), "{error}");
        }
        assert!(!folder.path().join("absent").exists());
    }
}
