//! Exit codes. They are a contract: scripts decide by them.

use std::process::ExitCode;

use crate::protocol::StopReason;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The target was reached and confirmed; for other commands, success.
    Ok = 0,
    /// An error of the program itself.
    Internal = 1,
    /// The command line, the mission or the run named does not allow it.
    Usage = 2,
    /// The environment lacks something: a device, a compiler, credentials, disk space, a permission.
    Environment = 3,
    /// A budget was spent before the target.
    Budget = 10,
    /// The user said stop.
    Stopped = 11,
    /// The model, the runner or the kernel as found makes it impossible to go on; the status says why.
    Blocked = 12,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&StopReason> for Exit {
    fn from(reason: &StopReason) -> Self {
        match reason {
            StopReason::TargetReached => Self::Ok,
            StopReason::Budget { .. } => Self::Budget,
            StopReason::User => Self::Stopped,
            StopReason::Blocked { .. } => Self::Blocked,
        }
    }
}
