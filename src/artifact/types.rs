//! What an artifact says.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::protocol::{Analysis, Gpu, Profile};

/// One measurement, and what was said of it. Its result is a JSON value, or, where somebody else is to read that, its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact<R = Value> {
    /// What was measured, where and how.
    pub header: Header,
    /// The kernel's unified diff against [`Header::git_hash`]; empty where there is none.
    pub diff: String,
    /// The runner's standard output.
    pub stdout: String,
    /// Its standard error; empty where there was none.
    pub stderr: String,
    /// Its exit code; 124 for a time-out.
    pub exit_code: i32,
    /// The runner's result object, the source of truth for metrics; see [`ResultObject`](super::ResultObject).
    pub json_result: R,
    /// In the order in which they were appended.
    pub analyses: Vec<AnalysisEntry>,
}

/// An artifact's first lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// When the measurement began.
    pub timestamp_utc: Timestamp,
    /// What kind of run it was.
    pub mode: Mode,
    /// The repository's root.
    pub repo_root: String,
    /// The commit that the diff is against.
    pub git_hash: String,
    /// The kernel's absolute path.
    pub kernel_file: String,
    /// The kernel's path below the root.
    pub kernel_file_relative: String,
    /// The harness's path.
    pub harness_file: String,
    /// How thorough the measurement was.
    pub profile: Profile,
    /// The device that was asked for.
    pub gpu: Gpu,
    /// Where the raw result lies as a file.
    pub json_out: String,
    /// The command line that measures the same again.
    pub command: String,
    /// Our own keys after the original's: lowercase letters, digits and `_`, such as `run_id` or `kernel_hash`.
    pub extra: Vec<(String, String)>,
}

/// The kind of a run, as artifacts and their names spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `test-run`.
    Test,
    /// `benchmark-run`.
    Benchmark,
}

impl Mode {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Benchmark => "benchmark",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An analysis, with the time at which it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisEntry {
    /// When.
    pub timestamp_utc: Timestamp,
    /// What.
    pub analysis: Analysis,
}
