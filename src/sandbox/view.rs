//! Namespaces: a program's own view of users and mounts, and its own System V and POSIX queues and shared memory.
//!
//! In it, the folders in which programs leave things for each other are empty and end with the program. It does not hide
//! processes: a namespace of those would make the program its first one, which signals treat differently, and the supervisor
//! finds all descendants as it is. Nor does it hold a network: no socket of one can be opened, see [`filter`](super::filter).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{FileType, Mode, OFlags, fstat, mkdir, open};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind_recursive};
use rustix::process::{DumpableBehavior, chdir, getegid, geteuid, set_dumpable_behavior};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::access::Access;

/// Where any program leaves files for any other, and where servers listen that would act for it outside of its sandbox.
const SHARED: [&str; 3] = ["/dev/shm", "/run", "/tmp"];

/// How an attempt says that it went well: no step of one fails with it.
const WELL: Errno = Errno::CANCELED;

/// A view that a program can enter.
pub(super) struct View {
    /// What is hidden below an empty folder, without links.
    covered: Vec<PathBuf>,
    /// What of it stays where it was, that which holds others before those.
    kept: Vec<PathBuf>,
    /// The empty folders that the program may write, once it has entered.
    pub(super) own: Vec<PathBuf>,
    /// Where the program works, if that is hidden and kept.
    folder: Option<PathBuf>,
    /// What makes the account the only one, under the id that it has outside.
    account: [(&'static str, String); 3],
}

impl View {
    /// Returns one that hides whatever is shared.
    fn bare() -> Self {
        let mut covered: Vec<_> = SHARED.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
        covered.sort();
        covered.dedup();
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        let account = [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{user} {user} 1")),
            ("/proc/self/gid_map", format!("{group} {group} 1")),
        ];
        Self { covered, kept: Vec::new(), own: Vec::new(), folder: None, account }
    }

    /// Returns one that keeps what `access` names in its place, and the folder in which this process works.
    pub(super) fn new(access: &Access) -> io::Result<Self> {
        let bare = Self::bare();
        let is_hidden = |path: &PathBuf| bare.covered.iter().any(|cover| path.starts_with(cover) && path != cover);
        let folder = Some(std::env::current_dir()?).filter(is_hidden);
        let named = [&access.read, &access.devices, &access.write].into_iter().flatten();
        let with_real = |path: &PathBuf| [Some(path.clone()), fs::canonicalize(path).ok()];
        let mut kept: Vec<_> = named.chain(&folder).flat_map(with_real).flatten().filter(is_hidden).collect();
        kept.sort();
        kept.dedup();
        let written: Vec<_> = access.write.iter().flat_map(fs::canonicalize).collect();
        let own = bare.covered.iter().filter(|cover| written.contains(cover)).cloned().collect();
        Ok(Self { kept, own, folder, ..bare })
    }

    /// Enters it, in a process with one thread, before any other protection: they forbid what this takes. The process has every
    /// capability over its own view then, and is to give them up.
    ///
    /// One without anything to keep is entered without allocating.
    pub(super) fn enter(&self) -> io::Result<()> {
        // A process that nobody may look into does not own its files in `/proc`. Its program will be one as any other.
        set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        // SAFETY: the table of descriptors, which other threads could miss, stays as it is.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWIPC) }?;
        for (file, words) in &self.account {
            fs::write(file, words)?;
        }
        // What cannot be opened, the program cannot reach in its place either.
        let kept: Vec<_> = self.kept.iter().filter_map(|path| Some((path, handle(path)?))).collect();
        for cover in &self.covered {
            // One that lay below another is gone by now.
            let _ = mkdir(cover, Mode::RWXU);
            mount("tmpfs", cover, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=1777")?;
        }
        for (path, original) in &kept {
            restore(path, original)?;
        }
        // Until here it works in the hidden one, from where `..` leads to what is hidden.
        self.folder.as_deref().map_or(Ok(()), |folder| Ok(chdir(folder)?))
    }
}

fn handle(path: &Path) -> Option<OwnedFd> {
    open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Puts a hidden file or folder back in its place, if it did not come back with one that holds it.
fn restore(path: &Path, original: &OwnedFd) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if FileType::from_raw_mode(fstat(original)?.st_mode) == FileType::Directory {
        fs::create_dir_all(path)?;
    } else {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        File::create(path)?;
    }
    Ok(mount_bind_recursive(format!("/proc/self/fd/{}", original.as_raw_fd()), path)?)
}

/// Tells whether this system lets a process have its own view, or why not. It is asked once.
pub(super) fn available() -> Result<(), String> {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    FOUND.get_or_init(|| attempt().map_err(|error| reason(&error))).clone()
}

/// Enters a view in a process that ends with that: containers and modules of security forbid it in too many ways to know
/// beforehand.
fn attempt() -> io::Result<()> {
    let view = View::bare();
    let mut command = Command::new("/proc/self/exe");
    let enter = move || view.enter().and(Err(WELL.into()));
    // SAFETY: between fork and the error that takes exec's place, `enter` only makes system calls; with nothing to keep, it
    // neither allocates nor locks.
    unsafe { command.pre_exec(enter) };
    match command.status() {
        Err(error) if error.raw_os_error() == Some(WELL.raw_os_error()) => Ok(()),
        ended => ended.map(drop),
    }
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::USERS) => {
            "user namespaces are used up or turned off; raise user.max_user_namespaces".to_owned()
        }
        Some(Errno::PERM | Errno::ACCESS) => {
            "user namespaces are forbidden; allow them in the container's profile, or by \
             kernel.apparmor_restrict_unprivileged_userns=0 or kernel.unprivileged_userns_clone=1"
                .to_owned()
        }
        Some(Errno::INVAL | Errno::NOSYS) => "it needs a Linux kernel with user, mount and IPC namespaces".to_owned(),
        _ => format!("user namespaces fail: {error}"),
    }
}
