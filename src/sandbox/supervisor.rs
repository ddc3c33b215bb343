//! The near side's hold on a supervisor.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, getpid, kill_process, setsid};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::child::{Input, Spec};
use super::descendants::descendants;
use super::orders::{Orders, Report};
use super::view;

/// How long a supervisor may take to end when told to stop: longer than it waits for the dying itself.
pub(super) const GRACE: Duration = Duration::from_secs(8);

/// A running supervisor. Dropping it ends it and all its descendants, and returns when they are gone.
pub(super) struct Supervisor {
    child: Child,
    report: PipeReader,
}

impl Supervisor {
    /// Starts a supervisor with the program of `spec` in a session of its own, away from the user's terminal.
    pub(super) fn start(spec: &Spec<'_>) -> io::Result<Self> {
        let (report, report_writer) = io::pipe()?;
        let report_writer = OwnedFd::from(report_writer);
        let hold = spec.hold.map(|fd| fd.try_clone_to_owned()).transpose()?;
        let orders = Orders {
            parent: getpid().as_raw_nonzero().get(),
            report: report_writer.as_raw_fd(),
            hold: hold.as_ref().map(AsRawFd::as_raw_fd),
            limits: spec.limits,
            access: spec.access.clone(),
            view: spec.access.is_some() && view::available().is_ok(),
        };
        let mut command = Command::new(spec.agent);
        command
            .args(["supervise", "--orders", &serde_json::to_string(&orders)?, "--"])
            .arg(spec.program)
            .args(spec.args)
            .env_clear()
            .envs(&spec.env)
            .current_dir(spec.folder)
            .stdin(input(&spec.stdin)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let inherited: Vec<OwnedFd> = [Some(report_writer), hold].into_iter().flatten().collect();
        let prepare = move || {
            setsid()?;
            inherited.iter().try_for_each(|fd| fcntl_setfd(fd, FdFlags::empty()))?;
            Ok(())
        };
        // SAFETY: between fork and exec, `prepare` only makes system calls; it neither allocates nor locks.
        unsafe { command.pre_exec(prepare) };
        Ok(Self { child: command.spawn()?, report })
    }

    /// Hands out the program's standard output and error.
    pub(super) fn streams(&mut self) -> io::Result<(ChildStdout, ChildStderr)> {
        self.child.stdout.take().zip(self.child.stderr.take()).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until it has ended.
    pub(super) async fn wait(&mut self) -> io::Result<()> {
        self.child.wait().await.map(drop)
    }

    /// Tells it to kill its descendants and end. A program may have stopped it: it is told to continue as well.
    pub(super) fn stop(&self) {
        for signal in [Signal::TERM, Signal::CONT] {
            // It can only have ended meanwhile.
            let _ = self.pid().map(|pid| kill_process(pid, signal));
        }
    }

    /// Kills it, and first those of its descendants that can be found: for one that does not answer.
    pub(super) fn destroy(&self) {
        let Some(pid) = self.pid() else { return };
        // Stopped, it starts nobody while they are looked for. It can only have ended meanwhile.
        let _ = kill_process(pid, Signal::STOP);
        for victim in descendants(pid).unwrap_or_default().into_iter().chain([pid]) {
            // It can only have ended meanwhile.
            let _ = kill_process(victim, Signal::KILL);
        }
    }

    /// Reads the report of one that has ended; `None` if it ended without one.
    pub(super) fn report(&mut self) -> Option<Report> {
        let mut words = Vec::new();
        self.report.read_to_end(&mut words).ok()?;
        serde_json::from_slice(&words).ok()
    }

    /// Returns its id as long as it has not been reaped: the id is nobody else's until then.
    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        self.stop();
        let end = Instant::now() + GRACE;
        while !self.has_ended() {
            if Instant::now() > end {
                self.destroy();
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Returns the standard input. A file in memory needs nobody to feed it, read or not.
fn input(input: &Input<'_>) -> io::Result<Stdio> {
    match input {
        Input::Bytes([]) => Ok(Stdio::null()),
        Input::Bytes(bytes) => {
            let mut file = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
            file.write_all(bytes)?;
            file.rewind()?;
            Ok(file.into())
        }
        Input::Open(fd) => Ok(fd.try_clone()?.into()),
    }
}
