//! What the launcher is told on its standard input, and what it answers.

use serde::{Deserialize, Serialize};

use crate::protocol::{ContentHash, Device};

/// Below the stage's folder: the files as the runner wrote them.
pub(super) const FILES: &str = "files";

/// The variable by which a runner names the file for a process's result.
pub(super) const RESULT_VARIABLE: &str = "AFTERHOURS_RESULT";

/// Longer reports are refused, in bytes: no honest one comes near.
pub(super) const REPORT_BYTES: usize = 8 << 20;

/// The exit code of a launcher that could not do its work.
pub(in crate::harness) const UNABLE: u8 = 74;

/// One block, as the launcher is to run it. It comes on standard input, so that no file or argument tells the secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Echoed in the answer.
    pub(super) nonce: String,
    /// Which device to name.
    pub(super) device: DeviceKind,
    /// The files of the block's folder.
    pub(super) files: Vec<Staged>,
    /// What to start.
    pub(super) program: Origin,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Added to its environment.
    pub(super) env: Vec<(String, String)>,
    /// How it reports.
    pub(super) channel: Channel,
    /// For this block alone; without it, the job's time is its own.
    pub(super) timeout_seconds: Option<u32>,
    /// The file that the program leaves in its folder, to be started by later launches of the stage.
    pub(super) makes: Option<String>,
}

/// Where a program comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::harness) enum Origin {
    /// It is looked up in `PATH`.
    Path(String),
    /// An earlier launch of the stage made it, under this name.
    Made(String),
}

/// How a program reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::harness) enum Channel {
    /// Through an inherited descriptor, whose number this variable holds.
    Descriptor(String),
    /// Through what `AFTERHOURS_RESULT` names, and by what its own process prints.
    File,
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
    /// The machine's device, or why it has none.
    pub(super) device: Result<Device, String>,
    /// The program's arguments, as ordered: they say what the report is about.
    pub(super) args: Vec<String>,
    pub(super) ending: Ending,
    /// What came through the channel.
    pub(super) report: String,
    /// What the program's own process printed, where the channel asks for it.
    pub(super) printed: String,
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
    /// It reported more than [`REPORT_BYTES`].
    Overlong,
    /// Not started: an earlier block had changed this file of the stage.
    Tampered(String),
}
