//! Lock files that all users of the machine share.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the file at `path` for locking, or creates it. In a folder that all users share, anything may stand under its name: only a plain
/// file will do, and opening it neither follows a link nor waits.
pub fn open_shared(path: &Path) -> io::Result<File> {
    let file = loop {
        match options().open(path) {
            // Creating and opening are apart: a system may refuse to open another user's file with leave to create it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => break opened?,
        }
        match options().write(true).create_new(true).open(path) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => {
                let created = created?;
                // Other users need to read it, whatever this one's mask: to lock it, no more is needed.
                created.set_permissions(Permissions::from_mode(0o644))?;
                break created;
            }
        }
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Tells whether what stands at `path` is still the open `file`: whoever had its lock before may have taken it away since it was opened.
pub fn stands_at(file: &File, path: &Path) -> bool {
    let place = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let found = fs::symlink_metadata(path).map(place);
    found.is_ok_and(|found| file.metadata().map(place).is_ok_and(|opened| opened == found))
}

fn options() -> OpenOptions {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(i32::try_from(flags).unwrap_or_default());
    options
}
