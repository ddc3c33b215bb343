//! What can be wrong with a mission. Each message names the file, the line where there is one, and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The smallest front matter, to copy.
pub(super) const MINIMAL: &str = "\
---
kernel: kernels/example/kernel.py
harness: kernels/example/harness.py
target_us: 10
---
Optimise `<kernel>` until it beats `<target_us>` us.";

/// A place in a mission's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file, as it was given.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: Option<usize>,
}

impl At {
    pub(super) fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), line: None }
    }

    pub(super) fn line(path: &Path, line: usize) -> Self {
        Self { path: path.to_owned(), line: Some(line) }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

/// A mission that cannot be run.
#[derive(Debug, Error)]
pub enum MissionError {
    /// The file could not be read.
    #[error("failed to read mission {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no text that a mission could be.
    #[error("{at}: {problem}")]
    Text {
        /// Where.
        at: At,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The front matter is not well formed.
    #[error("{at}: front matter: {problem}")]
    FrontMatter {
        /// Where.
        at: At,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A key that missions do not have.
    #[error("{at}: unknown key {key}; {hint}")]
    UnknownKey {
        /// Where.
        at: At,
        /// With the keys above it, divided by dots.
        key: String,
        /// The likely key, or all of them.
        hint: String,
    },
    /// A key's value is of no use.
    #[error("{at}: {key}: {problem}; write {remedy}")]
    BadValue {
        /// Where.
        at: At,
        /// With the keys above it, divided by dots; or the option that set it.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to write.
        remedy: String,
    },
    /// A key without which nothing can be done.
    #[error("{path}: {key} is missing; begin the file with front matter such as\n\n{MINIMAL}\n")]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// Nothing says when the run has succeeded.
    #[error("{path}: no target; add target_us (microseconds) or target_speedup (times as fast as at the start)")]
    NoTarget {
        /// The file.
        path: PathBuf,
    },
    /// Two targets.
    #[error("{path}: both target_us and target_speedup are set; remove one of them")]
    TwoTargets {
        /// The file.
        path: PathBuf,
    },
    /// A variable of the prompt that has no value.
    #[error("{at}: variable <{name}> has no value; {hint}")]
    Unbound {
        /// Where it is used first.
        at: At,
        /// Its name.
        name: String,
        /// The remedy.
        hint: String,
    },
    /// A name in the prompt that its list of variables lacks, although it looks like one.
    #[error("{at}: <{name}> is not in the list of variables; {hint}")]
    Undeclared {
        /// Where it is used first.
        at: At,
        /// The name.
        name: String,
        /// The remedy.
        hint: String,
    },
    /// A variable of the command line that the mission does not use.
    #[error("{path}: --var {name} is used nowhere in this mission; {hint}")]
    Unused {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
        /// The likely name, or all of them.
        hint: String,
    },
}
