//! What the launcher is told on its standard input, and what it answers.

use serde::{Deserialize, Serialize};

use crate::protocol::{ContentHash, Device};

/// Below the stage's folder: the files as the runner wrote them.
pub(super) const FILES: &str = "files";

/// The exit code of a launcher that could not do its work.
pub(super) const UNABLE: u8 = 74;

/// One block, as the launcher is to run it. It comes on standard input, so that no file or argument tells the secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Echoed in the answer.
    pub(super) nonce: String,
    /// Which device to name.
    pub(super) device: DeviceKind,
    /// The files of the block's folder.
    pub(super) files: Vec<Staged>,
    /// Looked up in `PATH`.
    pub(super) program: String,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Added to its environment.
    pub(super) env: Vec<(String, String)>,
    /// The variable that holds the number of the descriptor to report to.
    pub(super) descriptor: String,
    /// For this block alone.
    pub(super) timeout_seconds: u32,
}

/// A file of the block's folder: its path there and below [`FILES`], and what it must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Staged {
    pub(super) path: String,
    pub(super) hash: ContentHash,
}

/// What kind of device the mission asks for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeviceKind {
    Host,
    Cuda,
}

/// What came of a block.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) nonce: String,
    pub(super) device: Device,
    /// The program's arguments, as ordered: they say what the report is about.
    pub(super) args: Vec<String>,
    pub(super) ending: Ending,
    /// What was written to the descriptor, bounded.
    pub(super) report: String,
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Killed because the block's own time was over, in seconds.
    TimedOut(u32),
    /// Not started: an earlier block had changed this file of the stage.
    Tampered(String),
}
