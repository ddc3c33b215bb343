//! The far side's own folder, and what becomes of one whose far side was killed.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;
use tempfile::TempDir;

use super::here::host;
use crate::journal::stands_at;
use crate::runner::stage;

/// How many folders are made at most until one can be locked.
const TRIES: u32 = 10;

/// A folder that nobody else may enter. Dropping it removes it; where its process is killed, the next one on this machine
/// does.
///
/// It is locked while its process lives. Its name has the machine's own: a lock may be worth nothing beyond it.
#[derive(Debug)]
pub(super) struct Room {
    folder: TempDir,
    /// Absent where the file system knows no locks: what is left there stays.
    _lock: Option<File>,
}

impl Room {
    /// Makes one in the folder `above`, and removes what was left there.
    pub(super) fn make(above: &Path) -> io::Result<Self> {
        let prefix = prefix();
        clear(above, &prefix);
        let mut tries = 0;
        loop {
            let mut builder = tempfile::Builder::new();
            let folder = builder.prefix(&prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(above)?;
            tries += 1;
            match lock(folder.path()) {
                // Another far side took it for a dead one's before it was locked.
                Ok(None) if tries < TRIES => {}
                locked => return Ok(Self { folder, _lock: locked.ok().flatten() }),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn prefix() -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("afterhours-job-{}-", host().chars().map(fit).collect::<String>())
}

/// Locks the folder at `path`, unless somebody else has locked it or taken it away.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
    let opened = OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or_default()).open(path);
    let folder = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match folder.try_lock() {
        Ok(()) if stands_at(&folder, path) => Ok(Some(folder)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes this user's folders whose processes are gone.
fn clear(above: &Path, prefix: &str) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let is_ours = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        if !is_ours || !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        if let Ok(Some(_lock)) = lock(&path) {
            // It is for tidiness: what cannot be removed is in nobody's way.
            let _ = stage::remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let above = tempfile::tempdir().unwrap();
        let living = Room::make(above.path()).unwrap();
        fs::write(living.path().join("stage"), "").unwrap();
        let named = |end: &str| above.path().join(format!("{}{end}", prefix()));
        fs::create_dir_all(named("dead").join("stage/sub")).unwrap();
        fs::set_permissions(named("dead").join("stage"), Permissions::from_mode(0o000)).unwrap();
        let elsewhere = above.path().join("afterhours-job-another.host-x");
        fs::create_dir(&elsewhere).unwrap();
        let target = above.path().join("target");
        fs::create_dir(&target).unwrap();
        symlink(&target, named("link")).unwrap();
        fs::write(named("file"), "").unwrap();
        let next = Room::make(above.path()).unwrap();
        assert!(!named("dead").exists(), "its process is gone");
        assert!(living.path().join("stage").exists() && next.path().exists());
        assert!(elsewhere.exists() && target.exists() && named("link").exists() && named("file").exists());
        drop([living, next]);
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 4);
    }

    #[test]
    fn many_at_once_have_a_folder_each_and_leave_none() {
        let above = tempfile::tempdir().unwrap();
        let at_work = || {
            for _ in 0..50 {
                let room = Room::make(above.path()).unwrap();
                fs::write(room.path().join("mine"), "").unwrap();
                assert!(room.path().join("mine").exists());
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(at_work);
            }
        });
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 0);
    }
}
