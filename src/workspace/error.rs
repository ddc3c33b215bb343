//! What can be wrong with a workspace.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::text::BadText;

/// A workspace that cannot be used, or one that changed under the run.
#[derive(Debug, Error)]
pub enum WorkspaceError {
    /// No repository around the folder.
    #[error("{path}: not inside a git repository; run `git init` there, or start from inside the repository")]
    NotARepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// A repository without a work tree.
    #[error("{path}: a bare repository has no kernel file; work in a clone or in a worktree of it")]
    Bare {
        /// The repository.
        path: PathBuf,
    },
    /// Git's ownership check refuses the repository.
    #[error(
        "{path}: the repository belongs to another user; if you trust it, run \
         `git config --global --add safe.directory {path}`"
    )]
    Owner {
        /// Where the search began.
        path: PathBuf,
    },
    /// The kernel's path cannot be used.
    #[error("kernel {path}: {problem}")]
    Kernel {
        /// As given, or below the repository's root.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: KernelProblem,
    },
    /// The kernel's bytes cannot be used.
    #[error("kernel {path}: {source}")]
    Text {
        /// The kernel.
        path: PathBuf,
        /// What is wrong.
        source: BadText,
    },
    /// A file could not be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("failed to write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run's branch cannot be created.
    #[error("cannot create branch {branch}: {problem}")]
    Branch {
        /// Below `refs/heads/`.
        branch: String,
        /// What is wrong, and the remedy.
        problem: BranchProblem,
    },
    /// Someone else moved the run's branch.
    #[error(
        "branch {branch} is at {found}, not at {expected}, where this run left it; put it back with \
         `git branch -f {branch} {expected}`, or start a new run"
    )]
    BranchMoved {
        /// Below `refs/heads/`.
        branch: String,
        /// The commit it should point to, or `no commit`.
        expected: String,
        /// The commit it points to, or `no commit`.
        found: String,
    },
    /// A commit that the repository does not have.
    #[error("commit {sha} is not in the repository; fetch it, or start a new run")]
    UnknownCommit {
        /// Its name.
        sha: String,
    },
    /// Git failed in another way.
    #[error("failed to {action}: {source}")]
    Git {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: git2::Error,
    },
}

/// What is wrong with a kernel's path.
#[derive(Debug, Error)]
pub enum KernelProblem {
    /// There is no such file.
    #[error("no such file under {root}; paths are relative to the repository's root")]
    Missing {
        /// The repository's root.
        root: PathBuf,
    },
    /// The file, or what its symbolic link leads to, lies elsewhere.
    #[error("leads to {target}, outside the repository {root}; only a file of the repository can be optimised")]
    Outside {
        /// Where it leads.
        target: PathBuf,
        /// The repository's root.
        root: PathBuf,
    },
    /// A folder, a device, a pipe.
    #[error("not a regular file; name the kernel's source file itself")]
    NotAFile,
    /// Git's own files.
    #[error("inside git's own folder; name a file of the work tree")]
    InGitFolder,
    /// A submodule, or another repository inside this one.
    #[error("belongs to the repository nested at {nested}; start from inside that one")]
    Nested {
        /// The inner repository's root.
        nested: PathBuf,
    },
    /// The path below the root cannot be written down in a line of text.
    #[error("the path is not valid UTF-8 or has a control character, so artifacts could not name it; rename it")]
    Unnameable,
    /// It was a file when the run began.
    #[error("became a symbolic link or moved since the run began; put the regular file back")]
    Replaced,
    /// The base commit has something else at this path.
    #[error("commit {commit} has a {found} at {at}; commit or undo that change first")]
    TreeConflict {
        /// The commit.
        commit: String,
        /// What stands there instead of a file or folder.
        found: &'static str,
        /// The path, or one of its folders.
        at: String,
    },
}

/// Why a branch cannot be created.
#[derive(Debug, Error)]
pub enum BranchProblem {
    /// It exists.
    #[error("it exists; choose another run id, or delete it with `git branch -D`")]
    Exists,
    /// Git keeps a branch as a file, so that none can lie below another.
    #[error("branch {blocker} is in its way; rename that one with `git branch -m {blocker} <other>`")]
    Blocked {
        /// Below `refs/heads/`.
        blocker: String,
    },
    /// A worktree's HEAD is on it.
    #[error("it is checked out in a worktree, whose HEAD would move; switch that worktree to another branch")]
    CheckedOut,
    /// No permission.
    #[error("{path} is not writable; check the permissions")]
    NotWritable {
        /// The folder.
        path: PathBuf,
    },
}
