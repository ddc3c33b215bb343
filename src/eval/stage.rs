//! The repository of a scenario, in a folder of its own that goes when it is over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;

use super::scenario::{HARNESS, KERNEL, Scenario};

const STUB: &str = "# The measurements of this repository are scripted: this file is never started.\nexit 1\n";

/// The repository.
pub(super) struct Stage {
    root: PathBuf,
    _folder: TempDir,
}

/// What a run must leave alone: every file but the kernel and the runs' own, the index, and where HEAD stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) index: Vec<u8>,
    pub(super) head: String,
    pub(super) refs: BTreeMap<String, String>,
}

impl Stage {
    /// Makes the repository with one commit of everything in it.
    pub(super) fn new(scenario: &Scenario) -> Result<Self, String> {
        let folder = temporary().map_err(|error| format!("no temporary folder: {error}"))?;
        let root = folder.path().canonicalize().map_err(|error| error.to_string())?;
        let stage = Self { root, _folder: folder };
        if let Some(files) = &scenario.files {
            copy(files, &stage.root).map_err(|error| error.to_string())?;
        }
        let texts = [(KERNEL, scenario.kernel.as_str()), (HARNESS, STUB), (".gitignore", "/artifacts/\n")];
        for (name, text) in texts {
            std::fs::write(stage.root.join(name), text).map_err(|error| format!("failed to write {name}: {error}"))?;
        }
        stage.commit().map_err(|error| format!("the scenario's repository: {error}"))?;
        Ok(stage)
    }

    fn commit(&self) -> Result<(), git2::Error> {
        let repository = Repository::init_opts(&self.root, RepositoryInitOptions::new().initial_head("main"))?;
        let mut config = repository.config()?;
        config.set_str("user.name", "Eval")?;
        config.set_str("user.email", "eval@localhost")?;
        let mut index = repository.index()?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
        index.write()?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let author = Signature::now("Eval", "eval@localhost")?;
        repository.commit(Some("HEAD"), &author, &author, "the kernel as found", &tree, &[])?;
        Ok(())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns what a run must leave alone; `branch` is the run's own.
    pub(super) fn rest(&self, branch: &str) -> Result<Rest, String> {
        let mut files = BTreeMap::new();
        collect(&self.root, &self.root, &mut files)
            .map_err(|error| format!("failed to read the repository: {error}"))?;
        let index = std::fs::read(self.root.join(".git/index")).map_err(|error| error.to_string())?;
        let head = std::fs::read_to_string(self.root.join(".git/HEAD")).map_err(|error| error.to_string())?;
        let refs = self.refs(branch).map_err(|error| error.to_string())?;
        Ok(Rest { files, index, head, refs })
    }

    fn refs(&self, branch: &str) -> Result<BTreeMap<String, String>, git2::Error> {
        let repository = Repository::open(&self.root)?;
        let mut refs = BTreeMap::new();
        for reference in repository.references()? {
            let reference = reference?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if name != format!("refs/heads/{branch}") {
                refs.insert(name, reference.target().map(|target| target.to_string()).unwrap_or_default());
            }
        }
        Ok(refs)
    }

    /// Returns the files that each commit on `branch` changes, the newest first.
    pub(super) fn commits(&self, branch: &str, base: Option<&str>) -> Result<Vec<Vec<String>>, git2::Error> {
        let repository = Repository::open(&self.root)?;
        let Ok(found) = repository.find_branch(branch, git2::BranchType::Local) else { return Ok(Vec::new()) };
        let mut walk = repository.revwalk()?;
        walk.push(found.get().peel_to_commit()?.id())?;
        if let Some(base) = base {
            walk.hide(git2::Oid::from_str(base)?)?;
        }
        walk.map(|id| {
            let commit = repository.find_commit(id?)?;
            let parent = commit.parent(0)?.tree()?;
            let diff = repository.diff_tree_to_tree(Some(&parent), Some(&commit.tree()?), None)?;
            let path = |delta: git2::DiffDelta<'_>| {
                delta.new_file().path().map(|path| path.display().to_string()).unwrap_or_default()
            };
            Ok(diff.deltas().map(path).collect())
        })
        .collect()
    }
}

/// Makes a folder in memory where the machine allows it: a run flushes each of its events.
fn temporary() -> std::io::Result<TempDir> {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("afterhours-eval-");
        builder
    };
    builder().tempdir_in("/dev/shm").or_else(|_| builder().tempdir())
}

/// Copies the files of a folder, links as links.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, target)?;
        } else {
            std::fs::copy(source, target)?;
        }
    }
    Ok(())
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> std::io::Result<()> {
    let own = [root.join(".git"), root.join("artifacts"), root.join(KERNEL)];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if own.contains(&path) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_symlink() {
            files.insert(path.clone(), std::fs::read_link(path)?.into_os_string().into_encoded_bytes());
        } else {
            files.insert(path.clone(), std::fs::read(path)?);
        }
    }
    Ok(())
}
