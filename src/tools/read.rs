//! `read-file`: lines of a file that the mission lets the model see.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::args::ReadFile;

/// The most lines of one answer.
pub const MOST_LINES: u64 = 400;

/// The most bytes of one answer.
const MOST_BYTES: usize = 32 * 1024;

/// What may be read, all by canonical paths.
#[derive(Clone, Debug)]
pub struct Readable {
    repo_root: PathBuf,
    run_dir: PathBuf,
    kernel: PathBuf,
    harness: PathBuf,
    roots: Vec<PathBuf>,
}

/// Lines that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The first line's number.
    pub first: u64,
    /// The last line's number; below `first` where there were none.
    pub last: u64,
    /// The lines.
    pub text: String,
}

/// A file that was not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The mission does not let the model see it.
    #[error("{path:?} may not be read; readable are `kernel`, `harness`, this run's artifacts{and}")]
    OutOfScope {
        /// As the model named it.
        path: String,
        /// What the mission adds.
        and: String,
    },
    /// It cannot be read.
    #[error("{path:?} cannot be read: {error}")]
    Io {
        /// As the model named it.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The lines are none.
    #[error("`last` is before `first`")]
    Backwards,
}

impl Readable {
    /// Allows the kernel, the harness's files (its own first), the run's folder and `extra`.
    pub fn new(repo_root: &Path, run_dir: &Path, kernel: &Path, harness: &[PathBuf], extra: &[PathBuf]) -> Self {
        let canonical = |path: &Path| path.canonicalize().ok();
        let artifacts = canonical(run_dir);
        let roots = [Some(kernel.to_path_buf())]
            .into_iter()
            .chain(harness.iter().map(|path| canonical(path)))
            .chain(extra.iter().map(|path| canonical(&repo_root.join(path))))
            .chain([artifacts])
            .flatten()
            .collect();
        Self {
            repo_root: repo_root.to_path_buf(),
            run_dir: run_dir.to_path_buf(),
            kernel: kernel.to_path_buf(),
            harness: harness.first().cloned().unwrap_or_default(),
            roots,
        }
    }

    /// Reads the lines that `args` asks for.
    ///
    /// # Errors
    /// Where the file is out of scope, or cannot be read.
    pub fn read(&self, args: &ReadFile) -> Result<Lines, ReadError> {
        let path = self.resolve(&args.path)?;
        let first = args.first.unwrap_or(1).max(1);
        let last = args.last.unwrap_or(u64::MAX).min(first.saturating_add(MOST_LINES - 1));
        if last < first {
            return Err(ReadError::Backwards);
        }
        read_lines(&path, first, last).map_err(|error| ReadError::Io { path: args.path.clone(), error })
    }

    /// Finds the file, and follows its links before its place is judged.
    fn resolve(&self, name: &str) -> Result<PathBuf, ReadError> {
        let candidates = match name {
            "kernel" => vec![self.kernel.clone()],
            "harness" => vec![self.harness.clone()],
            name => vec![self.repo_root.join(name), self.run_dir.join(name)],
        };
        let found = candidates.iter().filter_map(|path| path.canonicalize().ok()).find(|path| path.is_file());
        let in_scope = |path: &PathBuf| self.roots.iter().any(|root| path.starts_with(root));
        found.filter(in_scope).ok_or_else(|| ReadError::OutOfScope {
            path: name.chars().take(200).collect(),
            and: self.roots.iter().filter_map(|root| root.strip_prefix(&self.repo_root).ok()).fold(
                String::new(),
                |mut list, root| {
                    list.push_str(", ");
                    list.push_str(&root.to_string_lossy());
                    list
                },
            ),
        })
    }
}

fn read_lines(path: &Path, first: u64, last: u64) -> std::io::Result<Lines> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut lines = Lines { first, last: first.saturating_sub(1), text: String::new() };
    let mut number = 0_u64;
    loop {
        let mut line = Vec::new();
        // A line longer than the answer's bound is cut; its rest is skipped.
        let taken = std::io::Read::take(&mut reader, MOST_BYTES as u64).read_until(b'\n', &mut line)?;
        if taken == 0 || number >= last {
            break;
        }
        let cut = line.last() != Some(&b'\n') && taken == MOST_BYTES;
        if cut {
            reader.skip_until(b'\n')?;
        }
        number += 1;
        if number < first {
            continue;
        }
        if lines.text.len() + line.len() > MOST_BYTES && !lines.text.is_empty() {
            lines.text.push_str("[cut: ask for the lines behind it]\n");
            break;
        }
        lines.text.push_str(&String::from_utf8_lossy(&line));
        if cut {
            lines.text.push_str("[cut: the line is longer]\n");
        }
        lines.last = number;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, first: Option<u64>, last: Option<u64>) -> ReadFile {
        ReadFile { path: path.to_owned(), first, last }
    }

    fn scene() -> (tempfile::TempDir, Readable) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for (name, text) in [
            ("kernel.c", "k1\nk2\nk3\n"),
            ("harness.toml", "name = 1\n"),
            ("secret.txt", "no\n"),
            ("artifacts/run/iter-0001/test.txt", "artifact\n"),
            ("docs/hint.md", "hint\n"),
        ] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let readable = Readable::new(
            &root,
            &root.join("artifacts/run"),
            &root.join("kernel.c"),
            &[root.join("harness.toml")],
            &[PathBuf::from("docs")],
        );
        (dir, readable)
    }

    #[test]
    fn what_is_allowed_is_read_by_lines() {
        let (_dir, readable) = scene();
        assert_eq!(readable.read(&ask("kernel", None, None)).unwrap().text, "k1\nk2\nk3\n");
        let two = readable.read(&ask("kernel.c", Some(2), Some(2))).unwrap();
        assert_eq!((two.text.as_str(), two.first, two.last), ("k2\n", 2, 2));
        assert_eq!(readable.read(&ask("harness", None, None)).unwrap().text, "name = 1\n");
        assert_eq!(readable.read(&ask("iter-0001/test.txt", None, None)).unwrap().text, "artifact\n");
        assert_eq!(readable.read(&ask("docs/hint.md", None, None)).unwrap().text, "hint\n");
        assert_eq!(readable.read(&ask("kernel", Some(9), None)).unwrap().text, "");
        assert!(matches!(readable.read(&ask("kernel", Some(3), Some(2))), Err(ReadError::Backwards)));
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_whatever_way_it_is_named() {
        let (dir, readable) = scene();
        std::os::unix::fs::symlink("../secret.txt", dir.path().join("docs/link")).unwrap();
        let absolute = dir.path().join("secret.txt").to_string_lossy().into_owned();
        for path in ["secret.txt", "docs/../secret.txt", "docs/link", "/etc/passwd", &absolute, "", ".", "absent"] {
            let error = readable.read(&ask(path, None, None)).unwrap_err();
            assert!(matches!(error, ReadError::OutOfScope { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn answers_are_bounded() {
        let (dir, readable) = scene();
        std::fs::write(dir.path().join("docs/long"), "line\n".repeat(1000)).unwrap();
        assert_eq!(readable.read(&ask("docs/long", None, None)).unwrap().last, MOST_LINES);
        std::fs::write(dir.path().join("docs/wide"), format!("{}\nnext\n", "x".repeat(MOST_BYTES * 3))).unwrap();
        let wide = readable.read(&ask("docs/wide", None, None)).unwrap();
        assert!(wide.text.len() < 2 * MOST_BYTES && wide.text.contains("[cut"), "{}", wide.text.len());
        assert_eq!(readable.read(&ask("docs/wide", Some(2), None)).unwrap().text, "next\n");
    }
}
