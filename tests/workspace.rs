//! The workspace in repositories as users leave them: nothing changes but the kernel file and the run's branch.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/repository.rs"]
mod repository;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use afterhours::protocol::RunId;
use afterhours::workspace::{CommitSpec, Workspace, WorkspaceError};
use repository::{KERNEL, Repository};

const TIME: i64 = 1_770_000_000;

fn run_id() -> RunId {
    "night-1".parse().unwrap()
}

fn open(repository: &Repository) -> Workspace {
    Workspace::open(repository.root(), Path::new(KERNEL)).unwrap()
}

fn refusal(start: &Path, kernel: impl AsRef<Path>) -> String {
    Workspace::open(start, kernel.as_ref()).map(|_| ()).unwrap_err().to_string()
}

fn commit(
    workspace: &Workspace,
    base: Option<&str>,
    parent: Option<&str>,
    text: &str,
) -> Result<String, WorkspaceError> {
    let time = jiff::Timestamp::from_second(TIME).unwrap();
    let run_id = run_id();
    let message = "Keep iteration 1: 9.8 us\n\nartifacts/night-1/iter-0001/final.txt";
    workspace.commit_kernel(&CommitSpec { run_id: &run_id, base, parent, text: text.as_bytes(), message, time })
}

/// Edits, commits and reverts, and returns the commits.
fn work(workspace: &Workspace, edits: usize) -> Vec<String> {
    let base = workspace.git_hash().unwrap();
    let original = workspace.read_kernel().unwrap();
    let (mut incumbent, mut commits) = (original.clone(), Vec::<String>::new());
    for edit in 0..edits {
        let text = format!("# edit {edit}\r\nprint('µ')\nno newline at the end");
        workspace.write_kernel(text.as_bytes()).unwrap();
        assert_eq!(workspace.read_kernel().unwrap(), text.as_bytes());
        if edit % 3 == 0 {
            workspace.write_kernel(&incumbent).unwrap();
        } else {
            let parent = commits.last().or(base.as_ref());
            let sha = commit(workspace, base.as_deref(), parent.map(String::as_str), &text).unwrap();
            assert_eq!(workspace.kernel_at(&sha).unwrap().as_deref(), Some(text.as_bytes()), "no filter, no eol");
            commits.push(sha);
            incumbent = text.into_bytes();
        }
    }
    workspace.write_kernel(&original).unwrap();
    commits
}

/// Works, then holds the repository against what it was before.
fn assert_untouched(repository: &Repository, workspace: &Workspace, edits: usize) {
    let status = repository.git(&["status", "--porcelain=v2", "--branch"]);
    let before = repository.snapshot();
    let commits = work(workspace, edits);
    let after = repository.snapshot();
    for (path, content) in &before {
        assert_eq!(after.get(path), Some(content), "{path}");
    }
    let is_above_reflog = |path: &&String| ".git/logs/refs/heads/agent".starts_with(path.as_str());
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path) && !is_above_reflog(path)).collect();
    assert!(new.is_empty(), "{new:?}");
    assert_eq!(repository.git(&["status", "--porcelain=v2", "--branch"]), status);

    let fsck = repository.git(&["fsck", "--full", "--strict"]);
    assert!(fsck.lines().all(|line| line.starts_with("dangling")), "{fsck}");
    let mut range = vec!["log", "--format=%H", "--reverse", "agent/night-1"];
    let base = workspace.git_hash().unwrap().map(|sha| format!("^{sha}"));
    range.extend(base.as_deref());
    let log = repository.git(&range);
    assert_eq!(log.lines().collect::<Vec<_>>(), commits);
    assert_eq!(workspace.tip(&run_id()).unwrap().as_ref(), commits.last());
    for sha in &commits {
        let touched = repository.git(&[
            "-c",
            "core.quotePath=false",
            "diff-tree",
            "--root",
            "-r",
            "--no-commit-id",
            "--name-only",
            sha,
        ]);
        assert_eq!(touched.trim_end(), workspace.kernel_relative());
    }
}

#[test]
fn a_merge_in_progress_with_stash_hooks_filters_and_submodule_is_left_as_it_was() {
    let repository = Repository::messy();
    let workspace = open(&repository);
    assert_untouched(&repository, &workspace, 100);
    assert!(!repository.root().join("hook-ran").exists());
    let mode = repository.git(&["-c", "core.quotePath=false", "ls-tree", "-r", "agent/night-1", "--", KERNEL]);
    assert!(mode.starts_with("100755 blob "), "{mode}");
    let reflog = repository.git(&["reflog", "show", "agent/night-1"]);
    assert_eq!(reflog.lines().count(), 66);
    assert_eq!(
        repository.git(&["log", "-1", "--format=%an %ae %cn %ce %at", "agent/night-1"]).trim_end(),
        format!("Ada ada@example.org Ada ada@example.org {TIME}")
    );
}

#[test]
fn a_detached_head_a_sparse_checkout_and_a_linked_worktree_are_left_as_they_were() {
    let repository = Repository::simple();
    repository.git(&["checkout", "--detach"]);
    assert_untouched(&repository, &open(&repository), 10);

    let repository = Repository::simple();
    repository.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "kernels"]);
    assert!(!repository.root().join("other/file.txt").exists());
    assert_untouched(&repository, &open(&repository), 10);

    let repository = Repository::simple();
    let linked = repository.root().join("linked tree");
    repository.git(&["worktree", "add", "-b", "side", "linked tree"]);
    let workspace = Workspace::open(&linked, Path::new(KERNEL)).unwrap();
    assert_eq!(workspace.repo_root(), linked.canonicalize().unwrap());
    assert_untouched(&repository, &workspace, 10);
}

#[test]
fn before_the_first_commit_the_branch_holds_the_kernel_alone() {
    let repository = Repository::unborn();
    let workspace = open(&repository);
    assert_eq!(workspace.git_hash().unwrap(), None);
    assert_untouched(&repository, &workspace, 10);
    let files = repository.git(&["-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", "agent/night-1"]);
    assert_eq!(files.trim_end(), KERNEL);
    let roots = repository.git(&["rev-list", "--max-parents=0", "agent/night-1"]);
    assert_eq!(roots.lines().count(), 1);
}

#[test]
fn a_repository_is_found_from_below_and_a_kernel_by_any_of_its_paths() {
    let repository = Repository::simple();
    let root = repository.root().canonicalize().unwrap();
    for (start, kernel) in [
        (root.join("kernels"), Path::new(KERNEL).to_owned()),
        (root.clone(), root.join(KERNEL)),
        (root.clone(), Path::new("./kernels/../kernels").join(Path::new(KERNEL).strip_prefix("kernels").unwrap())),
    ] {
        let workspace = Workspace::open(&start, &kernel).unwrap();
        assert_eq!((workspace.repo_root(), workspace.kernel_relative()), (root.as_path(), KERNEL));
        assert_eq!(workspace.kernel_path(), root.join(KERNEL));
    }
    symlink(root.join(KERNEL), root.join("link.py")).unwrap();
    let workspace = Workspace::open(&root, Path::new("link.py")).unwrap();
    assert_eq!(workspace.kernel_relative(), KERNEL, "a link is followed to its file");
}

#[test]
fn ignored_and_untracked_kernels_are_fine() {
    let repository = Repository::simple();
    fs::write(repository.root().join(".gitignore"), "ignored.py\n").unwrap();
    for name in ["ignored.py", "untracked.py"] {
        let path = repository.root().join(name);
        fs::write(&path, "x = 1\n").unwrap();
        let workspace = Workspace::open(repository.root(), Path::new(name)).unwrap();
        let base = workspace.git_hash().unwrap();
        let run_id: RunId = name.parse().unwrap();
        let time = jiff::Timestamp::UNIX_EPOCH;
        let (base, text, message) = (base.as_deref(), b"x = 2\n", "m");
        let spec = CommitSpec { run_id: &run_id, base, parent: base, text, message, time };
        let sha = workspace.commit_kernel(&spec).unwrap();
        assert_eq!(repository.git(&["show", &format!("{sha}:{name}")]), "x = 2\n");
        assert_eq!(repository.git(&["show", &format!("{sha}:other/file.txt")]), "other\n");
    }
}

#[test]
fn each_kernel_that_cannot_be_one_is_refused_with_a_remedy() {
    let repository = Repository::messy();
    let root = repository.root();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("k.py"), "").unwrap();
    symlink(outside.path().join("k.py"), root.join("leads-out.py")).unwrap();
    symlink("nowhere", root.join("dangling.py")).unwrap();
    fs::write(root.join("a\nb.py"), "").unwrap();
    let latin = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9.py"));
    fs::write(root.join(latin), "").unwrap();
    fs::create_dir(root.join("nested")).unwrap();
    fs::write(root.join("nested/k.py"), "").unwrap();
    repository.git(&["init", "-q", "nested"]);
    for (kernel, text) in [
        ("missing.py", "kernel missing.py: no such file under "),
        ("dangling.py", "kernel dangling.py: no such file under "),
        ("kernels", "kernel kernels: not a regular file;"),
        (".git/config", "kernel .git/config: inside git's own folder;"),
        ("leads-out.py", "kernel leads-out.py: leads to "),
        ("../..", "kernel ../..: leads to "),
        ("vendored/lib.py", "kernel vendored/lib.py: belongs to the repository nested at "),
        ("nested/k.py", "kernel nested/k.py: belongs to the repository nested at "),
        ("a\nb.py", "kernel a\nb.py: the path is not valid UTF-8 or has a control character"),
    ] {
        let message = refusal(root, kernel);
        assert!(message.starts_with(text), "{message}");
        assert!(message.contains("; "), "a remedy: {message}");
    }
    assert!(refusal(root, latin).contains("the path is not valid UTF-8"));
    assert!(refusal(root, outside.path().join("k.py")).contains("outside the repository"));
}

#[test]
fn a_path_that_the_commit_has_as_something_else_is_refused_at_the_start() {
    let repository = Repository::simple();
    let root = repository.root();
    fs::remove_dir_all(root.join("other")).unwrap();
    fs::write(root.join("other"), "now a file").unwrap();
    assert!(refusal(root, "other").contains(" has a folder at other; "));
    fs::remove_file(root.join("other")).unwrap();
    fs::create_dir_all(root.join("other/file.txt")).unwrap();
    fs::write(root.join("other/file.txt/k.py"), "now in a folder").unwrap();
    assert!(refusal(root, "other/file.txt/k.py").contains(" has a file at other/file.txt; "));
}

#[test]
fn a_folder_without_a_usable_repository_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("k.py"), "").unwrap();
    assert!(refusal(folder.path(), "k.py").contains("not inside a git repository; run `git init`"));
    assert!(refusal(&folder.path().join("nowhere"), "k.py").contains("not inside a git repository"));
    let repository = Repository::simple();
    repository.git(&["clone", "-q", "--bare", ".", "bare.git"]);
    assert!(refusal(&repository.root().join("bare.git"), "k.py").contains("a bare repository has no kernel file"));
}

#[test]
fn a_repository_of_another_user_is_refused_with_the_command_that_trusts_it() {
    let repository = Repository::simple();
    let foreign = |path: &Path| std::os::unix::fs::chown(path, Some(12_345), None).is_ok();
    if !foreign(repository.root()) || !foreign(&repository.root().join(".git")) {
        return; // Only root can give a folder away.
    }
    if let Err(error) = Workspace::open(repository.root(), Path::new(KERNEL)) {
        let message = error.to_string();
        assert!(message.contains("git config --global --add safe.directory"), "{message}");
    }
}

#[test]
fn a_root_that_is_not_utf8_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(std::ffi::OsStr::from_bytes(b"r\xe9po"));
    let repository = Repository::simple();
    assert!(std::process::Command::new("cp").arg("-a").arg(repository.root()).arg(&root).status().unwrap().success());
    let workspace = Workspace::open(&root, Path::new(KERNEL)).unwrap();
    let base = workspace.git_hash().unwrap();
    let sha = commit(&workspace, base.as_deref(), base.as_deref(), "new").unwrap();
    assert_eq!(workspace.kernel_at(&sha).unwrap().unwrap(), b"new");
}

#[test]
fn a_repetition_after_a_crash_gives_the_same_commit_and_changes_nothing() {
    let repository = Repository::simple();
    let workspace = open(&repository);
    let base = workspace.git_hash().unwrap();
    let base = base.as_deref();
    let first = commit(&workspace, base, base, "one").unwrap();
    let before = repository.git(&["reflog", "show", "agent/night-1"]);
    assert_eq!(commit(&workspace, base, base, "one").unwrap(), first);
    repository.git(&["config", "user.name", "Someone Else"]);
    assert_eq!(commit(&open(&repository), base, base, "one").unwrap(), first, "another identity since");
    assert_eq!(repository.git(&["reflog", "show", "agent/night-1"]), before);

    repository.git(&["config", "user.name", "Ada"]);
    repository.git(&["branch", "-D", "agent/night-1"]);
    assert_eq!(commit(&open(&repository), base, base, "one").unwrap(), first, "the same text, the same name");
    let second = commit(&workspace, base, Some(&first), "one").unwrap();
    assert_ne!(second, first, "an equal text is still a commit of its own");
}

#[test]
fn packing_in_the_middle_of_a_run_does_not_matter() {
    let repository = Repository::simple();
    let workspace = open(&repository);
    let base = workspace.git_hash().unwrap();
    let base = base.as_deref();
    let mut parent = commit(&workspace, base, base, "0").unwrap();
    for round in 1..4 {
        repository.git(&["pack-refs", "--all"]);
        repository.git(&["gc", "-q", "--prune=now"]);
        parent = commit(&workspace, base, Some(&parent), &round.to_string()).unwrap();
    }
    assert_eq!(repository.git(&["rev-parse", "agent/night-1"]).trim_end(), parent);
}

#[test]
fn a_branch_that_someone_moved_is_not_overwritten() {
    let repository = Repository::simple();
    let workspace = open(&repository);
    let base = workspace.git_hash().unwrap();
    let base = base.as_deref();
    let first = commit(&workspace, base, base, "one").unwrap();
    let second = commit(&workspace, base, Some(&first), "two").unwrap();
    let clash = |parent: Option<&str>, text: &str| commit(&workspace, base, parent, text).unwrap_err().to_string();
    let message = clash(Some(&first), "other");
    assert!(message.starts_with(&format!("branch agent/night-1 is at {second}, not at {first}")), "{message}");
    assert!(clash(base, "other").contains(&format!("is at {second}, not at no commit")));
    repository.git(&["branch", "-D", "agent/night-1"]);
    assert!(clash(Some(&second), "three").contains(&format!("is at no commit, not at {second}")));
    let unknown = "0123456789012345678901234567890123456789";
    assert!(clash(Some(unknown), "three").contains("is not in the repository"));
    assert!(clash(Some("no sha"), "three").contains("is not in the repository"));
    repository.git(&["branch", "agent/night-1", base.unwrap()]);
    assert!(clash(base, "four").contains("not at no commit"), "a branch that this run did not make");
}

#[test]
fn what_hinders_the_branch_is_told_before_the_run_begins() {
    let blocked = |prepare: &[&[&str]]| {
        let repository = Repository::simple();
        prepare.iter().for_each(|args| drop(repository.git(args)));
        open(&repository).branch_free(&run_id()).map_err(|error| error.to_string())
    };
    assert_eq!(blocked(&[]), Ok(()));
    assert_eq!(blocked(&[&["branch", "agent/night-10"]]), Ok(()));
    let exists =
        "cannot create branch agent/night-1: it exists; choose another run id, or delete it with `git branch -D`";
    assert_eq!(blocked(&[&["branch", "agent/night-1"]]), Err(exists.to_owned()));
    assert_eq!(blocked(&[&["branch", "agent/night-1"], &["pack-refs", "--all"]]), Err(exists.to_owned()));
    let agent = "cannot create branch agent/night-1: branch agent is in its way; rename that one with `git branch -m agent <other>`";
    assert_eq!(blocked(&[&["branch", "agent"]]), Err(agent.to_owned()));
    assert_eq!(blocked(&[&["branch", "agent"], &["pack-refs", "--all"]]), Err(agent.to_owned()));
    let below = blocked(&[&["branch", "agent/night-1/x"]]).unwrap_err();
    assert!(below.contains("branch agent/night-1/x is in its way"), "{below}");
    let unborn = blocked(&[&["checkout", "-q", "--orphan", "agent/night-1"]]).unwrap_err();
    assert!(unborn.contains("checked out in a worktree"), "{unborn}");
}

#[test]
fn a_branch_that_is_checked_out_during_the_run_is_not_moved_under_its_worktree() {
    let repository = Repository::simple();
    let workspace = open(&repository);
    let base = workspace.git_hash().unwrap();
    let base = base.as_deref();
    let first = commit(&workspace, base, base, "one").unwrap();
    repository.git(&["worktree", "add", "-q", "look", "agent/night-1"]);
    let message = commit(&workspace, base, Some(&first), "two").unwrap_err().to_string();
    assert!(message.contains("it is checked out in a worktree"), "{message}");
    assert_eq!(workspace.tip(&run_id()).unwrap(), Some(first.clone()));
    repository.git(&["worktree", "remove", "look"]);
    assert!(commit(&workspace, base, Some(&first), "two").is_ok());
}

#[test]
fn without_an_identity_the_program_signs() {
    let repository = Repository::simple();
    repository.git(&["config", "user.name", ""]);
    repository.git(&["config", "user.email", ""]);
    let workspace = open(&repository);
    let base = workspace.git_hash().unwrap();
    let run_id = run_id();
    let (base, time) = (base.as_deref(), jiff::Timestamp::from_second(TIME).unwrap());
    let spec = CommitSpec { run_id: &run_id, base, parent: base, text: b"x", message: "a\0b", time };
    let sha = workspace.commit_kernel(&spec).unwrap();
    let log = repository.git(&["log", "-1", "--format=%an <%ae> %cn <%ce> %B", &sha]);
    assert_eq!(log.trim_end(), "Afterhours <afterhours@localhost> Afterhours <afterhours@localhost> a\u{fffd}b");
    assert_eq!(workspace.commit_kernel(&spec).unwrap(), sha);
}

#[test]
fn writing_keeps_the_mode_and_leaves_nothing_beside_the_kernel() {
    let repository = Repository::simple();
    let path = repository.root().join(KERNEL);
    let names = || fs::read_dir(path.parent().unwrap()).unwrap().count();
    let before = names();
    let elsewhere = Path::new("/dev/shm");
    let other_device = fs::metadata(elsewhere).is_ok_and(|shm| shm.dev() != fs::metadata(&path).unwrap().dev());
    let scratch = if other_device { tempfile::tempdir_in(elsewhere) } else { tempfile::tempdir() }.unwrap();
    let near = tempfile::tempdir_in(repository.root()).unwrap();
    for workspace in
        [open(&repository), open(&repository).with_scratch(scratch.path()), open(&repository).with_scratch(near.path())]
    {
        for mode in [0o755, 0o600, 0o444] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            workspace.write_kernel(format!("{mode:o}").as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{mode:o}"));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
        assert_eq!(names(), before);
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count() + fs::read_dir(near.path()).unwrap().count(), 0);
}

#[test]
fn a_kernel_that_was_deleted_is_restored_and_one_that_became_a_link_is_refused() {
    let repository = Repository::simple();
    let path = repository.root().join(KERNEL);
    let workspace = open(&repository);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    fs::remove_file(&path).unwrap();
    assert!(matches!(workspace.read_kernel(), Err(WorkspaceError::Read { .. })));
    workspace.write_kernel(b"restored").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode(), mode);

    let victim = repository.root().join("other/file.txt");
    fs::remove_file(&path).unwrap();
    symlink(&victim, &path).unwrap();
    for result in [workspace.read_kernel().map(|_| ()), workspace.write_kernel(b"x")] {
        assert!(result.unwrap_err().to_string().contains("became a symbolic link or moved"));
    }
    fs::remove_file(&path).unwrap();
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    symlink(victim.parent().unwrap(), path.parent().unwrap()).unwrap();
    assert!(workspace.write_kernel(b"x").unwrap_err().to_string().contains("became a symbolic link or moved"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "other\n");
}

#[test]
fn a_text_that_is_no_kernel_is_neither_read_nor_written_nor_committed() {
    let repository = Repository::simple();
    let workspace = open(&repository);
    let path = repository.root().join(KERNEL);
    let original = fs::read(&path).unwrap();
    for (bytes, text) in [
        (b"a\0b".to_vec(), "NUL byte at byte offset 1"),
        (b"abc\xfe".to_vec(), "invalid UTF-8 at byte offset 3"),
        (vec![b'a'; (1 << 20) + 1], "larger than 1048576 bytes"),
    ] {
        assert!(workspace.write_kernel(&bytes).unwrap_err().to_string().contains(text));
        assert_eq!(fs::read(&path).unwrap(), original);
        fs::write(&path, &bytes).unwrap();
        let message = workspace.read_kernel().unwrap_err().to_string();
        assert!(message.contains(text) && message.contains(KERNEL), "{message}");
        fs::write(&path, &original).unwrap();
    }
}

#[test]
fn a_diff_is_against_the_commit_not_against_index_or_work_tree() {
    let repository = Repository::simple();
    let workspace = open(&repository);
    let base = workspace.git_hash().unwrap();
    workspace.write_kernel(b"something else\n").unwrap();
    repository.git(&["add", "-A"]);
    let diff = workspace.diff_against(base.as_deref(), "x = 1\ny = 3\n").unwrap();
    assert_eq!(diff, format!("--- a/{KERNEL}\n+++ b/{KERNEL}\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3\n"));
    assert_eq!(workspace.diff_against(base.as_deref(), "x = 1\ny = 2\n").unwrap(), "");
    let new = workspace.diff_against(None, "x\n").unwrap();
    assert_eq!(new, format!("--- /dev/null\n+++ b/{KERNEL}\n@@ -0,0 +1 @@\n+x\n"));
}
