//! What the near side tells the supervisor, and what it hears back.

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};

use super::access::Access;

/// The longest file, in bytes, that a program of a measurement may write.
pub const FILE_BYTES: u64 = 256 << 20;

/// What a program may use. Each process has its own share, if nothing else is said: a descendant inherits
/// the limits, not the rest of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processor time in seconds, summed over the process's threads. Ends it by `SIGXCPU`.
    pub cpu_seconds: Option<u64>,
    /// Size of a file that it writes, in bytes. A write beyond it ends it by `SIGXFSZ`.
    pub file_bytes: Option<u64>,
    /// Private memory in bytes, reserved addresses that it does not use apart. An allocation beyond it fails.
    pub memory_bytes: Option<u64>,
    /// Processes and threads at once, itself and its descendants together. One more ends it by `SIGKILL`.
    pub processes: Option<usize>,
}

/// The supervisor's orders, given on its command line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// The process that gives them. With another parent, the supervisor came too late to learn of that one's death.
    pub(super) parent: i32,
    /// Where the report goes.
    pub(super) report: RawFd,
    /// Kept open until no descendant is left, such as a lock.
    pub(super) hold: Option<RawFd>,
    /// What the program may use.
    pub(super) limits: Limits,
    /// What it may reach; everything that the account may where there is none.
    pub(super) access: Option<Access>,
    /// Whether it gets its own view: whether the system allows one, the side that gives the orders asks once for all.
    #[serde(default)]
    pub(super) view: bool,
}

/// The supervisor's last words.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    /// How the program ended.
    pub(super) ending: Ending,
    /// Descendants that outlived `SIGKILL`.
    pub(super) survivors: usize,
}

/// How the program ended. A separate channel carries it, because an exit status of the supervisor could not tell the
/// program's ends from its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ending {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// The supervisor was told to stop, or its parent died.
    Stopped,
    /// The program could not be started: the system's error number.
    NotStarted(i32),
    /// The supervisor could not get ready, and started nothing.
    Unready(String),
}
