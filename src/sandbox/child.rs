//! The near side: runs one program under supervision, to its end or its deadline.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::time::{sleep_until, timeout};

use super::access::Access;
use super::capture::Captured;
use super::orders::{Ending, Limits};
use super::supervisor::{GRACE, Supervisor};

/// How long output is awaited after the last descendant's end. Whoever still holds the pipe then got it from them, and is
/// none of them.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// What to run, and within which bounds.
#[derive(Debug)]
pub struct Spec<'a> {
    /// The absolute path of the `agent` binary, which supervises.
    pub agent: &'a Path,
    /// The program: a path, or a name that is looked up in the `PATH` of `env`.
    pub program: &'a OsStr,
    /// Its arguments.
    pub args: &'a [String],
    /// Where it works.
    pub folder: &'a Path,
    /// Its whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// What it reads on standard input.
    pub stdin: Input<'a>,
    /// When it is killed.
    pub deadline: Instant,
    /// How much of each of its two output streams is kept, in bytes.
    pub output_bytes: usize,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach, and nothing else: a protection that this system lacks is left out, see
    /// [`Protections::probe`](super::Protections::probe). `None` leaves it all that the account may.
    pub access: Option<Access>,
    /// Kept open until its last descendant is gone, even should this process die before: a lock, for instance.
    pub hold: Option<BorrowedFd<'a>>,
}

/// A program's standard input.
#[derive(Debug)]
pub enum Input<'a> {
    /// These bytes, and then its end.
    Bytes(&'a [u8]),
    /// What is open already, such as one end of a socket.
    Open(OwnedFd),
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Killed at its deadline.
    TimedOut,
}

/// A program that has ended, and all its descendants with it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How.
    pub end: End,
    /// Its standard output, up to the end or the deadline.
    pub stdout: Captured,
    /// Its standard error, up to the end or the deadline.
    pub stderr: Captured,
    /// Wall time, the start of the supervisor and the end of the last descendant included.
    pub elapsed: Duration,
}

/// A program that could not be run or watched to its end.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The supervisor could not be started.
    #[error("failed to start the supervisor {agent} in {folder}: {source}")]
    Supervisor {
        /// The agent binary.
        agent: PathBuf,
        /// Where it should work.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The supervisor could not get ready.
    #[error("failed to confine {program}: {message}")]
    Unready {
        /// The program, which was not started.
        program: String,
        /// What failed.
        message: String,
    },
    /// The system did not start the program; where it does not exist, `source` is of kind `NotFound`.
    #[error("failed to start {program}: {source}; is it installed, executable and in PATH?")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The supervisor was told to stop by somebody else, or killed.
    #[error("the supervisor of {program} was stopped or killed before its time")]
    Lost {
        /// The program, which was killed.
        program: String,
    },
    /// Descendants could not be killed: they wait inside a driver, or belong to another user.
    #[error("{count} process(es) of {program} cannot be killed; end them, or reset the device")]
    Survivors {
        /// The program.
        program: String,
        /// How many.
        count: usize,
    },
}

/// Runs a program to its end or its deadline. When this returns, none of its descendants exists any more.
///
/// Dropping the future kills them all, and waits for their end. Should this process die, by whatever signal, the supervisor
/// does the same; the kernel tells it of the death of the thread that polled this first, so let that be one that lives as
/// long as the process, such as the main thread.
pub async fn run(spec: Spec<'_>) -> Result<Finished, SandboxError> {
    let started = Instant::now();
    let failed =
        |source| SandboxError::Supervisor { agent: spec.agent.to_owned(), folder: spec.folder.to_owned(), source };
    let mut supervisor = Supervisor::start(&spec).map_err(failed)?;
    let (mut out, mut err) = supervisor.streams().map_err(failed)?;
    let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
    let (mut push, mut alarm) = (Push::None, spec.deadline);
    {
        let mut drained = pin!(async {
            tokio::join!(stdout.drain(&mut out, spec.output_bytes), stderr.drain(&mut err, spec.output_bytes))
        });
        let mut open = true;
        loop {
            tokio::select! {
                ended = supervisor.wait() => break ended.map_err(failed)?,
                _ = &mut drained, if open => open = false,
                () = sleep_until(alarm.into()) => {
                    push = push.harder(&supervisor);
                    alarm = Instant::now() + GRACE;
                }
            }
        }
        if open {
            // Too late is not wrong: what came until now is kept.
            let _ = timeout(LEFTOVERS, drained).await;
        }
    }
    let end = end(&spec, &mut supervisor, push)?;
    Ok(Finished { end, stdout, stderr, elapsed: started.elapsed() })
}

/// What was done to end a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Push {
    None,
    Told,
    Destroyed,
}

impl Push {
    fn harder(self, supervisor: &Supervisor) -> Self {
        match self {
            Self::None => {
                supervisor.stop();
                Self::Told
            }
            Self::Told | Self::Destroyed => {
                supervisor.destroy();
                Self::Destroyed
            }
        }
    }
}

/// Reads how the program ended from the report of its supervisor.
fn end(spec: &Spec<'_>, supervisor: &mut Supervisor, push: Push) -> Result<End, SandboxError> {
    let program = spec.program.to_string_lossy().into_owned();
    let report = match supervisor.report() {
        Some(report) => report,
        // Told to stop before it was able to listen, it had started nothing.
        None if push == Push::Told => return Ok(End::TimedOut),
        None => return Err(SandboxError::Lost { program }),
    };
    if report.survivors > 0 {
        return Err(SandboxError::Survivors { program, count: report.survivors });
    }
    match report.ending {
        Ending::Code(code) => Ok(End::Code(code)),
        Ending::Signal(signal) => Ok(End::Signal(signal)),
        Ending::Stopped if push != Push::None => Ok(End::TimedOut),
        Ending::Stopped => Err(SandboxError::Lost { program }),
        Ending::NotStarted(errno) => {
            Err(SandboxError::NotStarted { program, source: io::Error::from_raw_os_error(errno) })
        }
        Ending::Unready(message) => Err(SandboxError::Unready { program, message }),
    }
}
