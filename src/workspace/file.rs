//! Reading and replacing one file so that a crash leaves either the old text or the new one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Reads at most `limit` bytes and one more, which tells the caller that the file is too large. Follows no symbolic link
/// and waits for no pipe.
pub(super) fn read_bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces the file at `path`: written to `temporary` on the same file system, flushed to the disk, renamed.
///
/// Fails with [`io::ErrorKind::CrossesDevices`], nothing changed, where the two lie on different file systems.
pub(super) fn replace(path: &Path, temporary: &Path, bytes: &[u8], mode: &Permissions) -> io::Result<()> {
    let result = write_new(temporary, bytes, mode).and_then(|()| fs::rename(temporary, path));
    if result.is_err() {
        // The error that is reported is the first one; a leftover is removed by the next write.
        let _ = fs::remove_file(temporary);
    }
    result?;
    sync_parent(path)
}

/// Flushes the folder that holds `path`, so that a new name in it outlives a power cut.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn write_new(path: &Path, bytes: &[u8], mode: &Permissions) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(mode.clone())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_leftover_of_a_crash_is_replaced_and_a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (kernel, temporary, other) =
            (folder.path().join("k"), folder.path().join("t"), folder.path().join("other"));
        fs::write(&other, "other").unwrap();
        symlink(&other, &temporary).unwrap();
        replace(&kernel, &temporary, b"new", &Permissions::from_mode(0o750)).unwrap();
        assert_eq!(fs::read(&kernel).unwrap(), b"new");
        assert_eq!(fs::metadata(&kernel).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs::read(&other).unwrap(), b"other");
        assert!(!temporary.exists());
    }

    #[test]
    fn a_link_a_folder_and_a_pipe_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (link, pipe) = (folder.path().join("link"), folder.path().join("pipe"));
        fs::write(folder.path().join("file"), "x").unwrap();
        symlink(folder.path().join("file"), &link).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in [link.as_path(), folder.path(), pipe.as_path()] {
            assert!(read_bounded(path, 10).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_file_that_never_ends_is_read_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read_bounded(&path, 10).unwrap().len(), 11);
    }
}
