//! One writer a run.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process;
use std::thread;
use std::time::Duration;

use super::error::{FileError, JournalError};

const FILE: &str = "journal.lock";
const LOCK: &str = "lock";
/// A process that only asks who holds the lock has it for an instant, and so has a child between fork and exec; neither
/// must fail a run.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(10);

/// The right to write to a run's folder, until dropped or until the process ends, however it ends.
///
/// It is a `flock` on `journal.lock`, which stays in the folder: were it removed, two processes could each lock a file of
/// that name.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of the run in `folder`, and notes this process's number in it for messages.
    ///
    /// # Errors
    /// [`JournalError::Held`] where another process, or another lock of this one, has it.
    pub fn acquire(folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join(FILE);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(FileError::because(LOCK, &path))?;
        let held = |file| JournalError::Held { folder: folder.to_owned(), holder: Holder::named_in(file) };
        let mut tries = 1;
        while let Err(refusal) = file.try_lock() {
            match refusal {
                TryLockError::WouldBlock if tries < TRIES => {
                    tries += 1;
                    thread::sleep(BETWEEN);
                }
                TryLockError::WouldBlock => return Err(held(file)),
                TryLockError::Error(cause) => return Err(FileError::because(LOCK, &path)(cause).into()),
            }
        }
        note_pid(&mut file).map_err(FileError::because("write", &path))?;
        Ok(Self { _file: file })
    }
}

fn note_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", process::id())
}

/// The process that has a run open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number, where it has noted it.
    pub pid: Option<u32>,
}

impl Holder {
    fn named_in(file: File) -> Self {
        let mut text = String::new();
        // The number is for messages only: one that cannot be read is left out.
        let _ = file.take(32).read_to_string(&mut text);
        Self { pid: text.trim().parse().ok() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// Returns who has the run in `folder` open: `None` where nobody does, or nobody ever did.
///
/// # Errors
/// The system's reason where the lock's file cannot be opened or tested.
pub fn holder(folder: &Path) -> Result<Option<Holder>, FileError> {
    let path = folder.join(FILE);
    let file = match File::open(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(FileError::because("open", &path))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(Holder::named_in(file))),
        Err(TryLockError::Error(cause)) => Err(FileError::because(LOCK, &path)(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_with_the_holder_and_given_after_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(folder.path()).unwrap();
        let me = Holder { pid: Some(process::id()) };
        assert!(
            matches!(RunLock::acquire(folder.path()), Err(JournalError::Held { holder, .. }) if holder == me),
            "a lock is for one"
        );
        assert_eq!(holder(folder.path()).unwrap(), Some(me));
        drop(first);
        assert_eq!(holder(folder.path()).unwrap(), None);
        RunLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn a_holder_that_was_killed_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(RunLock::acquire(folder.path()).unwrap());
        let script = "exec 9>\"$1\"; flock -n 9; echo locked; exec sleep 60";
        let mut child = process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(folder.path().join(FILE))
            .stdout(process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 7];
        child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        assert!(holder(folder.path()).unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder(folder.path()).unwrap(), None);
        RunLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_where_nothing_ever_ran_is_free() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(folder.path()).unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "asking leaves no file");
    }
}
