//! Finding the repository and the kernel, and reading and writing the kernel's text.

use std::fs::{self, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Repository};

use super::diff::diff_texts;
use super::error::{KernelProblem, WorkspaceError};
use super::file;
use super::text::{MAX_KERNEL_BYTES, validate_kernel_text};
use super::tree::{self, Found};

/// The kernel in its repository.
pub struct Workspace {
    pub(super) repo: Repository,
    /// Canonical.
    root: PathBuf,
    /// Canonical, below `root`.
    kernel: PathBuf,
    /// `kernel` below `root`, with `/` between the parts.
    relative: String,
    /// The kernel's permissions when the workspace was opened, for the case that the file is gone.
    mode: Permissions,
    scratch: Option<PathBuf>,
}

impl Workspace {
    /// Returns the root of the work tree around `start`, canonical.
    ///
    /// # Errors
    /// Where there is no repository, or a bare one.
    pub fn root(start: &Path) -> Result<PathBuf, WorkspaceError> {
        let repo = open_repository(start)?;
        canonical(repo.workdir().ok_or_else(|| WorkspaceError::Bare { path: repo.path().to_owned() })?)
    }

    /// Opens the repository around `start`, whose kernel is `kernel`: absolute, or relative to the repository's root.
    ///
    /// A linked worktree, a detached HEAD and a repository without a commit are fine, and so is a kernel that is ignored or
    /// untracked. Nothing is written.
    pub fn open(start: &Path, kernel: &Path) -> Result<Self, WorkspaceError> {
        let repo = open_repository(start)?;
        let root = canonical(repo.workdir().ok_or_else(|| WorkspaceError::Bare { path: repo.path().to_owned() })?)?;
        let problem = |problem| WorkspaceError::Kernel { path: kernel.to_owned(), problem };
        let file = match fs::canonicalize(root.join(kernel)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(problem(KernelProblem::Missing { root }));
            }
            Err(source) => return Err(WorkspaceError::Read { path: root.join(kernel), source }),
        };
        let relative = place(&repo, &root, &file).map_err(problem)?;
        let metadata = fs::metadata(&file).map_err(|source| WorkspaceError::Read { path: file.clone(), source })?;
        if !metadata.is_file() {
            return Err(problem(KernelProblem::NotAFile));
        }
        if let Some(nested) = nested_repository(&repo, &file)? {
            return Err(problem(KernelProblem::Nested { nested }));
        }
        let workspace = Self { repo, root, kernel: file, relative, mode: metadata.permissions(), scratch: None };
        workspace.check_head()?;
        Ok(workspace)
    }

    /// Names the folder for the temporary file of [`Self::write_kernel`]: the run's own, so that not even a crash leaves
    /// anything beside the kernel. Where it lies on another file system, the kernel's folder serves.
    #[must_use]
    pub fn with_scratch(self, folder: &Path) -> Self {
        Self { scratch: Some(folder.to_owned()), ..self }
    }

    /// Returns the root of the work tree, canonical.
    pub fn repo_root(&self) -> &Path {
        &self.root
    }

    /// Returns the kernel's canonical path.
    pub fn kernel_path(&self) -> &Path {
        &self.kernel
    }

    /// Returns the kernel's path below the root, with `/` between its parts.
    pub fn kernel_relative(&self) -> &str {
        &self.relative
    }

    /// Returns the kernel's bytes, which are valid as [`validate_kernel_text`] has it.
    pub fn read_kernel(&self) -> Result<Vec<u8>, WorkspaceError> {
        self.check_place()?;
        let bytes = file::read_bounded(&self.kernel, MAX_KERNEL_BYTES)
            .map_err(|source| WorkspaceError::Read { path: self.kernel.clone(), source })?;
        self.check_text(&bytes)?;
        Ok(bytes)
    }

    /// Replaces the kernel's bytes and keeps its mode. A crash leaves either the old text or the new one.
    pub fn write_kernel(&self, bytes: &[u8]) -> Result<(), WorkspaceError> {
        self.check_text(bytes)?;
        self.check_place()?;
        let mode = fs::metadata(&self.kernel).map_or_else(|_| self.mode.clone(), |metadata| metadata.permissions());
        let in_scratch = self.scratch.as_ref().map(|folder| folder.join("kernel.tmp"));
        let name = self.kernel.file_name().unwrap_or_default().display();
        let beside = self.kernel.with_file_name(format!(".{name}.afterhours"));
        let result = match &in_scratch {
            Some(temporary) => match file::replace(&self.kernel, temporary, bytes, &mode) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    file::replace(&self.kernel, &beside, bytes, &mode)
                }
                other => other,
            },
            None => file::replace(&self.kernel, &beside, bytes, &mode),
        };
        result.map_err(|source| WorkspaceError::Write { path: self.kernel.clone(), source })
    }

    /// Returns the commit that HEAD is at; `None` before the first commit.
    pub fn git_hash(&self) -> Result<Option<String>, WorkspaceError> {
        match self.repo.refname_to_id("HEAD") {
            Ok(id) => Ok(Some(id.to_string())),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::UnbornBranch) => Ok(None),
            Err(source) => Err(WorkspaceError::Git { action: "read HEAD".to_owned(), source }),
        }
    }

    /// Returns the kernel's bytes in the commit `sha`; `None` where that commit has no such file.
    pub fn kernel_at(&self, sha: &str) -> Result<Option<Vec<u8>>, WorkspaceError> {
        let tree = self.commit(sha)?.tree().map_err(|source| self.git("read a tree", source))?;
        let found = tree::find(&self.repo, &tree, &self.relative, |_| {});
        match found.map_err(|source| self.git("read a tree", source))? {
            Found::Blob { id, .. } => {
                let blob = self.repo.find_blob(id).map_err(|source| self.git("read a blob", source))?;
                Ok(Some(blob.content().to_vec()))
            }
            Found::Nothing | Found::Conflict(_) => Ok(None),
        }
    }

    /// Returns the unified diff of the kernel between the commit `base` and `text`, the empty text where they are equal.
    ///
    /// Without a base, or where the base has no such file, every line is new.
    pub fn diff_against(&self, base: Option<&str>, text: &str) -> Result<String, WorkspaceError> {
        let old = base.map(|sha| self.kernel_at(sha)).transpose()?.flatten();
        let old = old.as_deref().map(String::from_utf8_lossy);
        Ok(diff_texts(old.as_deref(), Some(text), &self.relative))
    }

    pub(super) fn commit(&self, sha: &str) -> Result<git2::Commit<'_>, WorkspaceError> {
        let unknown = || WorkspaceError::UnknownCommit { sha: sha.to_owned() };
        let id = Oid::from_str(sha).map_err(|_| unknown())?;
        self.repo.find_commit(id).map_err(|_| unknown())
    }

    pub(super) fn git(&self, action: &str, source: git2::Error) -> WorkspaceError {
        WorkspaceError::Git { action: format!("{action} in {}", self.repo.path().display()), source }
    }

    pub(super) fn kernel_problem(&self, problem: KernelProblem) -> WorkspaceError {
        WorkspaceError::Kernel { path: PathBuf::from(&self.relative), problem }
    }

    pub(super) fn check_text(&self, bytes: &[u8]) -> Result<(), WorkspaceError> {
        match validate_kernel_text(bytes) {
            Ok(_) => Ok(()),
            Err(source) => Err(WorkspaceError::Text { path: self.kernel.clone(), source }),
        }
    }

    /// Refuses a kernel that a symbolic link has replaced, itself or one of its folders.
    fn check_place(&self) -> Result<(), WorkspaceError> {
        let moved = |path: &Path| fs::canonicalize(path).is_ok_and(|found| found != path);
        let is_link = self.kernel.is_symlink();
        let folder_moved = self.kernel.parent().is_some_and(moved);
        if is_link || folder_moved { Err(self.kernel_problem(KernelProblem::Replaced)) } else { Ok(()) }
    }

    /// Refuses at the start what would make the first commit fail after hours of work.
    fn check_head(&self) -> Result<(), WorkspaceError> {
        let Some(sha) = self.git_hash()? else { return Ok(()) };
        let tree = self.commit(&sha)?.tree().map_err(|source| self.git("read a tree", source))?;
        match tree::find(&self.repo, &tree, &self.relative, |_| {}) {
            Ok(Found::Conflict(tree::Conflict { found, at })) => {
                Err(self.kernel_problem(KernelProblem::TreeConflict { commit: sha, found, at }))
            }
            Ok(Found::Nothing | Found::Blob { .. }) => Ok(()),
            Err(source) => Err(self.git("read a tree", source)),
        }
    }
}

fn open_repository(start: &Path) -> Result<Repository, WorkspaceError> {
    Repository::discover(start).map_err(|source| match source.code() {
        ErrorCode::NotFound => WorkspaceError::NotARepository { path: start.to_owned() },
        ErrorCode::Owner => WorkspaceError::Owner { path: start.to_owned() },
        _ => WorkspaceError::Git { action: format!("open the repository at {}", start.display()), source },
    })
}

fn canonical(path: &Path) -> Result<PathBuf, WorkspaceError> {
    fs::canonicalize(path).map_err(|source| WorkspaceError::Read { path: path.to_owned(), source })
}

/// Returns the path of `file` below `root`. Both are canonical.
fn place(repo: &Repository, root: &Path, file: &Path) -> Result<String, KernelProblem> {
    let in_git = |folder: &Path| fs::canonicalize(folder).is_ok_and(|folder| file.starts_with(folder));
    if in_git(repo.path()) || in_git(repo.commondir()) {
        return Err(KernelProblem::InGitFolder);
    }
    let outside = || KernelProblem::Outside { target: file.to_owned(), root: root.to_owned() };
    let relative = file.strip_prefix(root).map_err(|_| outside())?;
    if relative.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
        return Err(KernelProblem::InGitFolder);
    }
    match relative.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(KernelProblem::Unnameable),
    }
}

/// Returns the root of the repository that `file` belongs to, where that is another one than `repo`.
fn nested_repository(repo: &Repository, file: &Path) -> Result<Option<PathBuf>, WorkspaceError> {
    let folder = file.parent().unwrap_or(file);
    let none: [&Path; 0] = [];
    let found = Repository::discover_path(folder, none).map_err(|source| WorkspaceError::Git {
        action: format!("find the repository of {}", file.display()),
        source,
    })?;
    if canonical(&found)? == canonical(repo.path())? {
        return Ok(None);
    }
    let inner_root = Repository::open(&found).ok().and_then(|inner| inner.workdir().map(Path::to_owned));
    Ok(Some(inner_root.unwrap_or(found)))
}
