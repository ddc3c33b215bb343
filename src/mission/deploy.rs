//! What a deploy step deploys, as one hash: it is due when the hash differs from that of its last success.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::protocol::ContentHash;

/// The most files that a deploy step may watch.
const MAX_FILES: usize = 10_000;
/// The most bytes in them.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Files that cannot be watched.
#[derive(Debug, Error)]
pub enum DeployError {
    /// There is no such file or folder.
    #[error("deploy.files: {name} does not exist under {root}; correct the path or take it out")]
    Missing {
        /// As the mission has it.
        name: String,
        /// The repository's root.
        root: PathBuf,
    },
    /// It lies elsewhere.
    #[error("deploy.files: {name} leads outside {root}; only files of the repository can be watched")]
    Outside {
        /// As the mission has it.
        name: String,
        /// The repository's root.
        root: PathBuf,
    },
    /// Too much to read before each run.
    #[error("deploy.files: {name} brings it above {MAX_FILES} files or {MAX_BYTES} bytes; name only what is deployed")]
    TooMuch {
        /// As the mission has it.
        name: String,
    },
    /// A file or folder could not be read.
    #[error("deploy.files: failed to read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Returns the hash of the paths and contents of `files`: files and whole folders, relative to `root`.
///
/// In a folder, a symbolic link counts by where it points and is not followed; `.git` and `__pycache__` do not count, nor
/// does anything that is no file. The order of `files` does not matter.
pub fn watched_hash(root: &Path, files: &[String]) -> Result<ContentHash, DeployError> {
    let root = fs::canonicalize(root).map_err(|source| DeployError::Read { path: root.to_owned(), source })?;
    let mut watch = Watch { root: &root, name: "", hashes: BTreeMap::new(), bytes: 0 };
    for name in files {
        watch.name = name;
        let path = match fs::canonicalize(root.join(name)) {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DeployError::Missing { name: name.clone(), root });
            }
            Err(source) => return Err(DeployError::Read { path: root.join(name), source }),
        };
        if !path.starts_with(&root) {
            return Err(DeployError::Outside { name: name.clone(), root });
        }
        watch.add(&path)?;
    }
    let mut manifest = Vec::new();
    for (path, hash) in &watch.hashes {
        // A path holds no NUL byte and a hash has one length: no two sets of files have the same manifest.
        manifest.extend_from_slice(path.as_os_str().as_encoded_bytes());
        manifest.push(0);
        manifest.extend_from_slice(hash.to_string().as_bytes());
    }
    Ok(ContentHash::of(&manifest))
}

struct Watch<'a> {
    root: &'a Path,
    /// The entry of the mission that is being read.
    name: &'a str,
    /// By path below the root.
    hashes: BTreeMap<PathBuf, ContentHash>,
    bytes: u64,
}

impl Watch<'_> {
    fn add(&mut self, top: &Path) -> Result<(), DeployError> {
        let mut pending = vec![top.to_owned()];
        while let Some(path) = pending.pop() {
            let read = |source| DeployError::Read { path: path.clone(), source };
            let metadata = fs::symlink_metadata(&path).map_err(read)?;
            if metadata.is_dir() {
                for entry in fs::read_dir(&path).map_err(read)? {
                    let entry = entry.map_err(read)?;
                    if entry.file_name() != ".git" && entry.file_name() != "__pycache__" {
                        pending.push(entry.path());
                    }
                }
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).map_err(read)?;
                let text = [b"link to ", target.as_os_str().as_encoded_bytes()].concat();
                self.insert(&path, ContentHash::of(&text))?;
            } else if metadata.is_file() {
                self.bytes = self.bytes.saturating_add(metadata.len());
                self.check_size()?;
                let hash = ContentHash::of(&fs::read(&path).map_err(read)?);
                self.insert(&path, hash)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: &Path, hash: ContentHash) -> Result<(), DeployError> {
        let relative = path.strip_prefix(self.root).unwrap_or(path);
        self.hashes.insert(relative.to_owned(), hash);
        self.check_size()
    }

    fn check_size(&self) -> Result<(), DeployError> {
        if self.hashes.len() > MAX_FILES || self.bytes > MAX_BYTES {
            return Err(DeployError::TooMuch { name: self.name.to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn hash(root: &Path, files: &[&str]) -> Result<ContentHash, DeployError> {
        watched_hash(root, &files.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("app/__pycache__")).unwrap();
        fs::write(root.path().join("app/a.py"), "a").unwrap();
        fs::write(root.path().join("b.py"), "b").unwrap();
        root
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let root = tree();
        let one = hash(root.path(), &["app", "b.py"]).unwrap();
        assert_eq!(one, hash(root.path(), &["b.py", "./app/a.py", "app"]).unwrap());
        assert_ne!(one, hash(root.path(), &["app"]).unwrap());
    }

    #[test]
    fn a_changed_text_a_new_name_and_a_retargeted_link_are_changes_and_a_cache_is_not() {
        let root = tree();
        let app = root.path().join("app");
        let mut seen = vec![hash(root.path(), &["app"]).unwrap()];
        fs::write(app.join("__pycache__/a.pyc"), "x").unwrap();
        assert_eq!(seen[0], hash(root.path(), &["app"]).unwrap());
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(app.join("a.py"), "A").unwrap(),
            &|| fs::rename(app.join("a.py"), app.join("c.py")).unwrap(),
            &|| symlink("/etc", app.join("link")).unwrap(),
            &|| {
                fs::remove_file(app.join("link")).unwrap();
                symlink("..", app.join("link")).unwrap();
            },
        ];
        for change in changes {
            change();
            let now = hash(root.path(), &["app"]).unwrap();
            assert!(!seen.contains(&now));
            seen.push(now);
        }
    }

    #[test]
    fn a_missing_path_and_one_that_leads_outside_are_named() {
        let root = tree();
        symlink("/etc", root.path().join("etc")).unwrap();
        let text = |name: &str| hash(root.path(), &["app", name]).unwrap_err().to_string();
        assert!(text("nothing.py").starts_with("deploy.files: nothing.py does not exist under "));
        assert!(text("etc").starts_with("deploy.files: etc leads outside "));
        assert!(text("../..").starts_with("deploy.files: ../.. leads outside "));
    }
}
