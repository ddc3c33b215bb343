//! A stage's folder: written before its processes, removed after them.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::api::RunnerError;
use crate::harness::{Role, Stage};

/// How much of a result file is read, in bytes.
const RESULT_BYTES: u64 = 16 << 20;

/// The folders of a job: of each text one, and one more for a second block of it at the same time.
#[derive(Debug)]
pub(super) struct Folders(Vec<(Role, [Folder; 2])>);

impl Folders {
    /// Creates the first one of each stage.
    pub(super) fn create(scratch: &Path, stages: &[Stage]) -> Result<Self, RunnerError> {
        let both = |stage: &Stage| {
            let folder = Folder::create(scratch, stage)?;
            let twin = folder.twin();
            Ok((stage.role, [folder, twin]))
        };
        stages.iter().map(both).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the folders of a role. The second is there once it was renewed, and the first before it.
    pub(super) fn of(&self, role: Role) -> Result<[&Folder; 2], RunnerError> {
        let found = self.0.iter().find(|(of, _)| *of == role).map(|(_, folders)| folders.each_ref());
        found.ok_or_else(|| RunnerError::Failed(format!("the job has no stage for its {role:?}; give it one")))
    }
}

/// The folder of one text. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// What the folder held after the last build, where no process can write; absent before.
    built: PathBuf,
}

impl Folder {
    /// Creates the folder of `stage` below `scratch`, in place of what an interrupted job may have left there.
    ///
    /// Both roles' names have one length, so that neither's processes start with a longer environment.
    pub(super) fn create(scratch: &Path, stage: &Stage) -> Result<Self, RunnerError> {
        let path = scratch.join(name(stage.role));
        let folder = Self { built: path.with_extension("built"), path };
        let failed = |action: &str, path: &Path, error| {
            RunnerError::Failed(format!("failed to {action} {}: {error}", path.display()))
        };
        for path in [&folder.path, &folder.built] {
            remove(path).map_err(|error| failed("remove the old", path, error))?;
        }
        fs::create_dir_all(&folder.path).map_err(|error| failed("create", &folder.path, error))?;
        for (relative, content) in &stage.files {
            let path = folder.path.join(inside(relative)?);
            let parent = path.parent().unwrap_or(&folder.path);
            fs::create_dir_all(parent).map_err(|error| failed("create", parent, error))?;
            fs::write(&path, content).map_err(|error| failed("write", &path, error))?;
        }
        Ok(folder)
    }

    /// Returns its absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn twin(&self) -> Self {
        Self { path: self.path.with_file_name(TWIN), built: self.built.clone() }
    }

    /// Puts the folder back to what the builds left, so that no block finds anything of the one before it.
    ///
    /// The first call, before any block, keeps what there is.
    pub(super) fn renew(&self) -> Result<(), RunnerError> {
        let failed = |action: &str, error: io::Error| {
            RunnerError::Failed(format!("failed to {action} {}: {error}", self.path.display()))
        };
        if !self.built.exists() {
            return copy(&self.path, &self.built).map_err(|error| failed("keep a copy of", error));
        }
        remove(&self.path).map_err(|error| failed("clean", error))?;
        copy(&self.built, &self.path).map_err(|error| failed("renew", error))
    }

    /// Names the file below the folder into which a process will write its result, and removes what has that name.
    pub(super) fn result(&self, relative: &Path) -> Result<ResultFile<'_>, RunnerError> {
        let result = ResultFile { folder: self, path: self.path.join(inside(relative)?) };
        match result.remove() {
            Ok(()) | Err(Errno::NOENT) => Ok(result),
            Err(errno) => {
                let path = result.path.display();
                Err(RunnerError::Failed(format!("failed to remove the old result {path}: {}", io::Error::from(errno))))
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for path in [&self.path, &self.built] {
            if let Err(error) = remove(path) {
                tracing::warn!("failed to remove {}: {error}", path.display());
            }
        }
    }
}

/// Where a process writes its result. Every folder on the way may have been replaced by a link since the stage was written;
/// none is followed.
#[derive(Debug)]
pub(super) struct ResultFile<'a> {
    folder: &'a Folder,
    path: PathBuf,
}

impl ResultFile<'_> {
    /// Returns its absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what the process left; `None` if it left nothing, an error's text if what it left is no result.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, String> {
        let refused = |why: &dyn std::fmt::Display| format!("the result {} was not read: {why}", self.path.display());
        let opened = self.open_parent().and_then(|(parent, name)| {
            openat(parent, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        });
        let file = match opened {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(refused(&"a link leads to it")),
            Err(errno) => return Err(refused(&io::Error::from(errno))),
        };
        if !file.metadata().map_err(|error| refused(&error))?.is_file() {
            return Err(refused(&"it is no plain file"));
        }
        let mut content = Vec::new();
        file.take(RESULT_BYTES + 1).read_to_end(&mut content).map_err(|error| refused(&error))?;
        if content.len() as u64 > RESULT_BYTES {
            return Err(refused(&format_args!("it is larger than {RESULT_BYTES} bytes")));
        }
        Ok(Some(content))
    }

    fn remove(&self) -> rustix::io::Result<()> {
        let (parent, name) = self.open_parent()?;
        unlinkat(parent, name, AtFlags::empty())
    }

    /// Opens the folder in which it lies, step by step from the stage's own, and returns it with the file's name.
    fn open_parent(&self) -> rustix::io::Result<(OwnedFd, &OsStr)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut parent = openat(CWD, &self.folder.path, flags, Mode::empty())?;
        let below = self.path.strip_prefix(&self.folder.path).map_err(|_| Errno::INVAL)?;
        for step in below.parent().into_iter().flatten() {
            parent = openat(&parent, step, flags, Mode::empty())?;
        }
        Ok((parent, below.file_name().ok_or(Errno::INVAL)?))
    }
}

/// The name of a text's second folder, as long as the first one's.
const TWIN: &str = "duplicate";

fn name(role: Role) -> &'static str {
    match role {
        Role::Candidate => "candidate",
        Role::Incumbent => "incumbent",
    }
}

/// Returns `relative` if it names something below a folder.
fn inside(relative: &Path) -> Result<&Path, RunnerError> {
    let below =
        relative.components().all(|part| matches!(part, Component::Normal(_))) && relative.file_name().is_some();
    if below {
        return Ok(relative);
    }
    Err(RunnerError::Failed(format!("{} does not lie below a stage's folder; name a path in it", relative.display())))
}

/// Removes whatever has the name `path`, without following a link; nothing may have it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).or_else(|_| {
            unlock(path)?;
            fs::remove_dir_all(path)
        }),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Copies a folder with its plain files and folders, and their permissions. A build's links, pipes and the like stay behind.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Makes the folders below `folder`, and itself, removable again: a process may have taken the rights to them away.
fn unlock(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::mkfifoat;

    use super::*;

    fn stage(files: &[(&str, &str)]) -> Stage {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
        Stage { role: Role::Candidate, files, build: Vec::new() }
    }

    #[test]
    fn the_folder_holds_exactly_the_stage_s_files_and_goes_with_its_owner() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("candidate/old")).unwrap();
        let folder = Folder::create(scratch.path(), &stage(&[("a", "1"), ("sub/b", "2")])).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(fs::read(folder.path().join("sub/b")).unwrap(), b"2");
        drop(folder);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_outside_the_folder_is_refused_and_nothing_stays() {
        let scratch = tempfile::tempdir().unwrap();
        for path in ["../x", "/tmp/x", "a/../../x", "", ".", "./x", ".."] {
            let error = Folder::create(scratch.path(), &stage(&[("fine", ""), (path, "")])).unwrap_err();
            assert!(error.to_string().contains("does not lie below"), "{path:?}: {error}");
        }
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_old_folder_s_place_is_replaced_and_its_target_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let target = tempfile::tempdir().unwrap();
        fs::write(target.path().join("precious"), "").unwrap();
        symlink(target.path(), scratch.path().join("candidate")).unwrap();
        drop(Folder::create(scratch.path(), &stage(&[("a", "1")])).unwrap());
        assert!(target.path().join("precious").exists());
    }

    #[test]
    fn a_folder_without_rights_is_removed_all_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::create(scratch.path(), &stage(&[("sub/deep/b", "2")])).unwrap();
        fs::set_permissions(folder.path().join("sub/deep"), Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(folder.path().join("sub"), Permissions::from_mode(0o000)).unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_scratch_folder_that_cannot_be_written_fails_with_its_path() {
        let scratch = tempfile::tempdir().unwrap();
        let blocked = scratch.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = Folder::create(&blocked, &stage(&[])).unwrap_err();
        assert!(matches!(&error, RunnerError::Failed(text) if text.contains("file/candidate")), "{error}");
    }

    #[test]
    fn an_old_result_is_gone_before_the_start() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::create(scratch.path(), &stage(&[("out/result.json", "old")])).unwrap();
        let result = folder.result(Path::new("out/result.json")).unwrap();
        assert_eq!(result.read(), Ok(None));
        fs::write(result.path(), "new").unwrap();
        assert_eq!(result.read(), Ok(Some(b"new".to_vec())));
    }

    #[test]
    fn a_result_that_is_no_plain_file_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::create(scratch.path(), &stage(&[("secret", "key"), ("out/keep", "")])).unwrap();
        let [link, fifo, sub] = ["link", "fifo", "sub"].map(|name| folder.result(Path::new(name)).unwrap());
        symlink(folder.path().join("secret"), link.path()).unwrap();
        mkfifoat(CWD, fifo.path(), Mode::RWXU).unwrap();
        fs::create_dir(sub.path()).unwrap();
        for result in [link, fifo, sub] {
            assert!(result.read().unwrap_err().contains("was not read"));
        }
    }

    #[test]
    fn a_folder_that_became_a_link_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("result.json"), "precious").unwrap();
        let folder = Folder::create(scratch.path(), &stage(&[])).unwrap();
        let result = folder.result(Path::new("out/result.json")).unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();
        assert!(result.read().unwrap_err().contains("a link leads to it"));
        folder.result(Path::new("out/result.json")).unwrap_err();
        assert!(outside.path().join("result.json").exists());
    }

    #[test]
    fn a_result_beyond_the_bound_is_not_read() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::create(scratch.path(), &stage(&[])).unwrap();
        let result = folder.result(Path::new("result.json")).unwrap();
        File::create(result.path()).unwrap().set_len(RESULT_BYTES).unwrap();
        assert_eq!(result.read().unwrap().unwrap().len() as u64, RESULT_BYTES);
        File::create(result.path()).unwrap().set_len(1 << 40).unwrap();
        assert!(result.read().unwrap_err().contains("larger than"));
    }

    #[test]
    fn a_result_outside_the_folder_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::create(scratch.path(), &stage(&[])).unwrap();
        folder.result(Path::new("../result.json")).unwrap_err();
        folder.result(Path::new("/tmp/result.json")).unwrap_err();
    }
}
