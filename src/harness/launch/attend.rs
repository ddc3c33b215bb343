//! Runs a program to its end, listening to the descriptor that it reports to.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::orders::{Ending, Orders};

/// Reports beyond this are cut, in bytes: no honest one comes near.
const REPORT_BYTES: usize = 4 << 20;

/// What stays out of a program's environment: where this process's own answer goes.
const RESULT_VARIABLE: &str = "AFTERHOURS_RESULT";

/// Runs the program of `orders` in `folder`, and returns how it ended and what it reported.
///
/// The report is what came through a pipe, which nobody can take back: a kernel that writes to it can add to what the
/// harness says, and no more. Whatever writes to it after the program's end is not heard.
pub(super) fn attend(orders: &Orders, folder: &Path) -> io::Result<(Ending, Vec<u8>)> {
    let (reader, writer) = io::pipe()?;
    fcntl_setfl(&reader, fcntl_getfl(&reader)? | OFlags::NONBLOCK)?;
    let mut child = start(orders, folder, writer.into())?;
    let mut ears = Ears { reader, report: Vec::new(), open: true };
    let end = Instant::now() + Duration::from_secs(orders.timeout_seconds.into());
    let status = ears.listen(&mut child, end)?;
    let ending = match status {
        None => Ending::TimedOut(orders.timeout_seconds),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Code(code),
            (None, signal) => Ending::Signal(signal.unwrap_or_default()),
        },
    };
    Ok((ending, ears.report))
}

fn start(orders: &Orders, folder: &Path, writer: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(&orders.program);
    command
        .args(&orders.args)
        .envs(orders.env.iter().map(|(key, value)| (key, value)))
        .env(&orders.descriptor, writer.as_raw_fd().to_string())
        .env_remove(RESULT_VARIABLE)
        .current_dir(folder)
        .stdin(Stdio::null())
        .process_group(0);
    // SAFETY: between fork and exec this only makes a system call; it neither allocates nor locks.
    unsafe { command.pre_exec(move || fcntl_setfd(&writer, FdFlags::empty()).map_err(Into::into)) };
    command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("failed to start {}: {error}", orders.program)))
}

/// The near end of the pipe, and what was heard.
struct Ears {
    reader: PipeReader,
    report: Vec<u8>,
    open: bool,
}

impl Ears {
    /// Listens until `child` has ended; `None` where it had to be killed at `end`.
    fn listen(&mut self, child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
            if self.open {
                fds.push(PollFd::new(&self.reader, PollFlags::IN));
            }
            let ready = match poll(&mut fds, Some(&Timespec::try_from(left).map_err(|_| Errno::INVAL)?)) {
                Err(Errno::INTR) => continue,
                ready => ready?,
            };
            let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            self.drain()?;
            if ended {
                return child.wait().map(Some);
            }
            if ready == 0 {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
        }
    }

    /// Reads what there is. Beyond the bound it is read and forgotten, so that the program is never kept waiting.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1 << 16];
        while self.open {
            match self.reader.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(count) => {
                    let room = REPORT_BYTES.saturating_sub(self.report.len()).min(count);
                    self.report.extend_from_slice(buffer.get(..room).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
