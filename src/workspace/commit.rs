//! The branch of a run: one commit an improvement, made of blobs and trees.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{Commit, ErrorCode, FileMode, Oid, Signature, Time, Tree};
use rustix::fs::Access;

use super::error::{BranchProblem, KernelProblem, WorkspaceError};
use super::file;
use super::open::Workspace;
use super::tree::{self, Found};
use crate::protocol::RunId;

/// A commit to make.
#[derive(Clone, Copy, Debug)]
pub struct CommitSpec<'a> {
    /// Whose branch.
    pub run_id: &'a RunId,
    /// The commit that HEAD was at when the run began; `None` where there was none.
    pub base: Option<&'a str>,
    /// The run's last commit; before its first one the same as `base`, or `None`.
    pub parent: Option<&'a str>,
    /// The kernel.
    pub text: &'a [u8],
    /// The commit's message.
    pub message: &'a str,
    /// Of author and committer, to the second.
    pub time: jiff::Timestamp,
}

impl Workspace {
    /// Makes sure that the branch of `run_id` does not exist and that nothing hinders its creation.
    pub fn branch_free(&self, run_id: &RunId) -> Result<(), WorkspaceError> {
        let error = |problem| WorkspaceError::Branch { branch: branch(run_id), problem };
        if self.tip(run_id)?.is_some() {
            return Err(error(BranchProblem::Exists));
        }
        if let Some(blocker) = self.blocker(run_id)? {
            return Err(error(BranchProblem::Blocked { blocker }));
        }
        if self.is_checked_out(run_id) {
            return Err(error(BranchProblem::CheckedOut));
        }
        for folder in ["objects", "refs/heads"] {
            let path = self.repo.commondir().join(folder);
            if rustix::fs::access(&path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
                return Err(error(BranchProblem::NotWritable { path }));
            }
        }
        Ok(())
    }

    /// Returns the commit that the branch of `run_id` is at.
    pub fn tip(&self, run_id: &RunId) -> Result<Option<String>, WorkspaceError> {
        Ok(self.tip_id(run_id)?.map(|id| id.to_string()))
    }

    /// Commits `spec.text` as the kernel on the run's branch and returns the commit's name.
    ///
    /// Only the kernel's path differs from the parent; without a base the first commit holds the kernel alone. A repetition
    /// with equal input finds the commit made and changes nothing, so that it may follow a crash.
    pub fn commit_kernel(&self, spec: &CommitSpec<'_>) -> Result<String, WorkspaceError> {
        self.check_text(spec.text)?;
        let parent = spec.parent.or(spec.base).map(|sha| self.commit(sha)).transpose()?;
        let tree = self.tree_with_kernel(parent.as_ref(), spec.text)?;
        let message = message(spec.message);
        let tip = self.tip_id(spec.run_id)?;
        if let Some(tip) = tip
            && self.is_made(tip, parent.as_ref(), &tree, &message, spec.time)?
        {
            return Ok(tip.to_string());
        }
        let expected = parent.as_ref().map(Commit::id).filter(|_| spec.parent.is_some() && spec.parent != spec.base);
        if tip != expected {
            return Err(moved(spec.run_id, expected, tip));
        }
        if self.is_checked_out(spec.run_id) {
            return Err(WorkspaceError::Branch { branch: branch(spec.run_id), problem: BranchProblem::CheckedOut });
        }
        let signature = self.signature(spec.time)?;
        let parents: Vec<&Commit<'_>> = parent.iter().collect();
        let id = self
            .repo
            .commit(None, &signature, &signature, &message, &tree, &parents)
            .map_err(|source| self.git("write a commit", source))?;
        self.sync_objects(&tree, id)?;
        self.move_branch(spec.run_id, id, expected, &message)?;
        Ok(id.to_string())
    }

    fn tip_id(&self, run_id: &RunId) -> Result<Option<Oid>, WorkspaceError> {
        match self.repo.refname_to_id(&refname(run_id)) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(self.git("read the run's branch", source)),
        }
    }

    /// Returns the branch that makes `agent/<run-id>` impossible: one named `agent`, or one below it.
    fn blocker(&self, run_id: &RunId) -> Result<Option<String>, WorkspaceError> {
        if self.repo.find_reference("refs/heads/agent").is_ok() {
            return Ok(Some("agent".to_owned()));
        }
        let below = self.repo.references_glob(&format!("{}/*", refname(run_id)));
        let mut below = below.map_err(|source| self.git("list the branches", source))?;
        let name = below.names().next().and_then(Result::ok).map(str::to_owned);
        Ok(name.map(|name| name.trim_start_matches("refs/heads/").to_owned()))
    }

    /// Tells whether the HEAD of the repository or of a linked worktree is on the run's branch, born or not.
    fn is_checked_out(&self, run_id: &RunId) -> bool {
        let common = self.repo.commondir();
        let linked = fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten().map(|entry| entry.path());
        let on_branch = |folder: PathBuf| {
            let head = fs::read_to_string(folder.join("HEAD")).unwrap_or_default();
            head.strip_prefix("ref:").is_some_and(|name| name.trim() == refname(run_id))
        };
        on_branch(common.to_owned()) || linked.into_iter().any(on_branch)
    }

    fn tree_with_kernel(&self, parent: Option<&Commit<'_>>, text: &[u8]) -> Result<Tree<'_>, WorkspaceError> {
        let git = |source| self.git("write a tree", source);
        let repo = &self.repo;
        let baseline = match parent {
            Some(commit) => commit.tree_id(),
            None => repo.treebuilder(None).and_then(|builder| builder.write()).map_err(git)?,
        };
        let baseline = repo.find_tree(baseline).map_err(git)?;
        let mode = match tree::find(repo, &baseline, self.kernel_relative(), |_| {}).map_err(git)? {
            Found::Blob { mode, .. } => mode,
            Found::Nothing => self.mode_on_disk(),
            Found::Conflict(tree::Conflict { found, at }) => {
                let commit = parent.map(|commit| commit.id().to_string()).unwrap_or_default();
                return Err(self.kernel_problem(KernelProblem::TreeConflict { commit, found, at }));
            }
        };
        let blob = repo.blob(text).map_err(|source| self.git("write a blob", source))?;
        TreeUpdateBuilder::new()
            .upsert(self.kernel_relative(), blob, mode)
            .create_updated(repo, &baseline)
            .and_then(|id| repo.find_tree(id))
            .map_err(git)
    }

    fn mode_on_disk(&self) -> FileMode {
        let executable = fs::metadata(self.kernel_path()).is_ok_and(|found| found.permissions().mode() & 0o100 != 0);
        if executable { FileMode::BlobExecutable } else { FileMode::Blob }
    }

    /// Tells whether `tip` is the commit that is to be made. The identity does not count: it may have been configured since.
    fn is_made(
        &self,
        tip: Oid,
        parent: Option<&Commit<'_>>,
        tree: &Tree<'_>,
        message: &str,
        time: jiff::Timestamp,
    ) -> Result<bool, WorkspaceError> {
        let tip = self.repo.find_commit(tip).map_err(|source| self.git("read the run's branch", source))?;
        Ok(tip.parent_ids().eq(parent.map(Commit::id))
            && tip.tree_id() == tree.id()
            && tip.message_bytes() == message.as_bytes()
            && tip.time().seconds() == time.as_second())
    }

    /// Returns the user's configured identity, or the program's own where there is none.
    fn signature(&self, time: jiff::Timestamp) -> Result<Signature<'static>, WorkspaceError> {
        let time = Time::new(time.as_second(), 0);
        self.repo
            .signature()
            .and_then(|user| Signature::new(user.name()?, user.email()?, &time))
            .or_else(|_| Signature::new("Afterhours", "afterhours@localhost", &time))
            .map_err(|source| self.git("sign a commit", source))
    }

    /// Points the branch at `id` if it still is at `expected`.
    fn move_branch(&self, run_id: &RunId, id: Oid, expected: Option<Oid>, message: &str) -> Result<(), WorkspaceError> {
        let log = format!("commit: {}", message.lines().next().unwrap_or_default());
        let current = expected.unwrap_or(Oid::ZERO_SHA1);
        match self.repo.reference_matching(&refname(run_id), id, true, current, &log) {
            Ok(_) => self.sync(&self.repo.commondir().join(refname(run_id))),
            Err(error) if error.code() == ErrorCode::Modified => Err(moved(run_id, expected, self.tip_id(run_id)?)),
            Err(source) => Err(self.git(&format!("move branch {}", branch(run_id)), source)),
        }
    }

    /// Flushes the commit's new objects to the disk before a branch points to them: git itself would not, and a power cut
    /// would leave the user's repository with a branch that leads to torn objects.
    fn sync_objects(&self, tree: &Tree<'_>, commit: Oid) -> Result<(), WorkspaceError> {
        let mut ids = vec![commit];
        let found = tree::find(&self.repo, tree, self.kernel_relative(), |id| ids.push(id));
        if let Found::Blob { id, .. } = found.map_err(|source| self.git("read a tree", source))? {
            ids.push(id);
        }
        let objects = self.repo.commondir().join("objects");
        for id in ids.iter().map(Oid::to_string) {
            let (folder, rest) = id.split_at_checked(2).unwrap_or_default();
            self.sync(&objects.join(folder).join(rest))?;
            self.sync(&objects.join(folder))?;
        }
        Ok(())
    }

    /// Flushes a file and its name. One that is absent lies in a pack, which git has flushed.
    fn sync(&self, path: &Path) -> Result<(), WorkspaceError> {
        match File::open(path).and_then(|file| file.sync_all()).and_then(|()| file::sync_parent(path)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(WorkspaceError::Write { path: path.to_owned(), source })
            }
            _ => Ok(()),
        }
    }
}

fn branch(run_id: &RunId) -> String {
    format!("agent/{run_id}")
}

fn refname(run_id: &RunId) -> String {
    format!("refs/heads/agent/{run_id}")
}

/// Git's objects cannot hold a NUL byte in a message, and each message ends its last line.
fn message(text: &str) -> String {
    format!("{}\n", text.trim_end().replace('\0', "\u{fffd}"))
}

fn moved(run_id: &RunId, expected: Option<Oid>, found: Option<Oid>) -> WorkspaceError {
    let name = |id: Option<Oid>| id.map_or("no commit".to_owned(), |id| id.to_string());
    WorkspaceError::BranchMoved { branch: branch(run_id), expected: name(expected), found: name(found) }
}
