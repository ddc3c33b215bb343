//! Repositories to work in, built with git's own command line.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The kernel's path in every repository here.
pub(crate) const KERNEL: &str = "kernels/süß 核/my kernel.py";

/// What neither the kernel's edits nor the run's branch may leave in a snapshot.
const OWN: [&str; 4] = [KERNEL, ".git/objects", ".git/refs/heads/agent", ".git/logs/refs/heads/agent"];

pub(crate) struct Repository {
    folder: TempDir,
}

impl Repository {
    /// No commit yet, the kernel untracked.
    pub(crate) fn unborn() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "-q", "-b", "main"]);
        for (key, value) in [("user.name", "Ada"), ("user.email", "ada@example.org"), ("gc.auto", "0")] {
            repository.git(&["config", key, value]);
        }
        repository.write(KERNEL, "x = 1\ny = 2\n");
        repository
    }

    /// One commit, everything clean.
    pub(crate) fn simple() -> Self {
        let repository = Self::unborn();
        repository.write("other/file.txt", "other\n");
        repository.commit("first");
        repository
    }

    /// Everything at once that a user may leave behind in the evening.
    pub(crate) fn messy() -> Self {
        let repository = Self::simple();
        let kernel = repository.root().join(KERNEL);
        fs::set_permissions(&kernel, fs::Permissions::from_mode(0o755)).unwrap();
        repository.write(".gitignore", "*.log\n");
        repository.write(".gitattributes", "*.py text eol=crlf filter=shout\n");
        repository.write("conflict.txt", "base\n");
        repository.commit("second");
        let library = Self::simple();
        library.write("lib.py", "l = 1\n");
        library.commit("library");
        let url = library.root().to_str().unwrap();
        repository.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", url, "vendored"]);
        repository.commit("submodule");
        repository.write("stashed.txt", "for later\n");
        repository.git(&["stash", "push", "-q", "--include-untracked"]);
        repository.git(&["worktree", "add", "-q", "--detach", "linked.log"]);
        repository.git(&["checkout", "-q", "-b", "theirs"]);
        repository.write("conflict.txt", "theirs\n");
        repository.commit("theirs");
        repository.git(&["checkout", "-q", "main"]);
        repository.write("conflict.txt", "ours\n");
        repository.commit("ours");
        assert!(!repository.try_git(&["merge", "-q", "theirs"]).0, "a conflict");
        repository.write("staged.txt", "staged\n");
        repository.git(&["add", "staged.txt"]);
        repository.write("staged.txt", "and changed again\n");
        repository.write("other/file.txt", "changed\n");
        repository.write("untracked file.txt", "untracked\n");
        repository.write("build.log", "ignored\n");
        repository.write(KERNEL, "x = 10\r\nstaged = True\r\n");
        repository.git(&["add", KERNEL]);
        repository.write(KERNEL, "x = 11\r\nunstaged = True\r\n");
        repository.set_traps();
        repository
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Returns what git prints.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let (success, text) = self.try_git(args);
        assert!(success, "git {args:?}: {text}");
        text
    }

    fn try_git(&self, args: &[&str]) -> (bool, String) {
        let mut command = Command::new("git");
        command.args(args).current_dir(self.root());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_OPTIONAL_LOCKS", "0");
        let output = command.output().unwrap();
        let text = [output.stdout.as_slice(), if output.status.success() { b"" } else { &output.stderr }].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// Hooks, a filter and a signing program that would all fail and leave a mark.
    fn set_traps(&self) {
        let trap = self.root().join(".git/trap");
        let mark = self.root().join("hook-ran");
        fs::write(&trap, format!("#!/bin/sh\necho x >>'{}'\nexit 1\n", mark.display())).unwrap();
        fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
        for hook in ["pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "reference-transaction"] {
            fs::copy(&trap, self.root().join(".git/hooks").join(hook)).unwrap();
        }
        let trap = trap.to_str().unwrap();
        for (key, value) in [
            ("commit.gpgSign", "true"),
            ("gpg.program", trap),
            ("core.fsmonitor", "false"),
            ("core.autocrlf", "true"),
            ("i18n.commitEncoding", "latin1"),
        ] {
            self.git(&["config", key, value]);
        }
        // Last, for it would act on the commands above.
        self.git(&["config", "filter.shout.clean", "tr a-z A-Z"]);
        self.git(&["config", "filter.shout.smudge", "tr A-Z a-z"]);
    }

    /// Returns every file below the root, git's own included, with its mode and bytes, but for what a run owns.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        let mut pending = vec![self.root().to_owned()];
        while let Some(path) = pending.pop() {
            let name = path.strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned();
            if OWN.contains(&name.as_str()) || name == format!("linked tree/{KERNEL}") {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let bytes = if metadata.is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            files.insert(name, (metadata.permissions().mode(), bytes));
        }
        files
    }
}
