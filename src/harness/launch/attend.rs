//! Runs a program to its end, listening to what it reports and prints.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, mkfifoat, open};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::ears::{Printed, Report};
use super::orders::{Channel, Ending, Orders, Origin, RESULT_VARIABLE};

/// The named pipe of [`Channel::File`], in the block's folder.
const PIPE: &str = "afterhours-result";

/// A block without a time of its own has the job's.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a program left.
pub(super) struct Heard {
    pub(super) ending: Ending,
    /// What came through its channel.
    pub(super) report: Vec<u8>,
    /// What its own process printed, and none of its children; nothing where nobody asked for it.
    pub(super) printed: Vec<u8>,
}

/// Runs the program of `orders` in `folder`.
///
/// Both ways to report are pipes, and what went into a pipe cannot be taken back: a kernel that writes to one can add to what
/// the harness says, and no more. What is written after the program's end is not heard.
pub(super) fn attend(orders: &Orders, folder: &Path) -> io::Result<Heard> {
    let program = match &orders.program {
        Origin::Path(name) => PathBuf::from(name),
        Origin::Made(name) => folder.join(name),
    };
    let mut command = Command::new(&program);
    command
        .args(&orders.args)
        .envs(orders.env.iter().map(|(key, value)| (key, value)))
        .env_remove(RESULT_VARIABLE)
        .current_dir(folder)
        .stdin(Stdio::null())
        .process_group(0);
    let (report, printed) = match &orders.channel {
        Channel::Descriptor(variable) => (by_descriptor(&mut command, variable)?, None),
        Channel::File => {
            let path = folder.join(PIPE);
            let report = by_name(&path)?;
            command.env(RESULT_VARIABLE, path);
            let (printed, theirs) = Printed::pair()?;
            command.stdout(theirs);
            (report, Some(printed))
        }
    };
    let started = command.spawn();
    // Our copies of the program's ends go with it.
    drop(command);
    let child = started
        .map_err(|error| io::Error::new(error.kind(), format!("failed to start {}: {error}", program.display())))?;
    let seconds = orders.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let mut block = Block { child, report, printed, end: Instant::now() + seconds.unwrap_or(LONGEST) };
    let status = block.listen()?;
    let report = block.report.content();
    let ending = match (status, &report) {
        (_, None) => Ending::Overlong,
        (None, _) => Ending::TimedOut(orders.timeout_seconds.unwrap_or_default()),
        (Some(status), _) => match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Code(code),
            (None, signal) => Ending::Signal(signal.unwrap_or_default()),
        },
    };
    let printed = block.printed.map_or_else(Vec::new, Printed::content);
    Ok(Heard { ending, report: report.unwrap_or_default(), printed })
}

/// Opens a pipe whose far end the program inherits.
fn by_descriptor(command: &mut Command, variable: &str) -> io::Result<Report> {
    let (reader, writer) = io::pipe()?;
    fcntl_setfl(&reader, fcntl_getfl(&reader)? | OFlags::NONBLOCK)?;
    command.env(variable, writer.as_raw_fd().to_string());
    // SAFETY: between fork and exec this only makes a system call; it neither allocates nor locks.
    unsafe { command.pre_exec(move || fcntl_setfd(&writer, FdFlags::empty()).map_err(Into::into)) };
    Ok(Report::new(reader.into()))
}

/// Makes a named pipe. It is opened for both directions, so that it never seems to have ended.
fn by_name(path: &Path) -> io::Result<Report> {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
    let pipe: OwnedFd = open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Report::new(pipe))
}

/// A program under way.
struct Block {
    child: Child,
    report: Report,
    printed: Option<Printed>,
    end: Instant,
}

impl Block {
    /// Listens until the program has ended; `None` where it had to be killed because its time was over.
    fn listen(&mut self) -> io::Result<Option<ExitStatus>> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
            fds.extend(self.report.open().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            fds.extend(
                self.printed.as_ref().and_then(Printed::open).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            );
            let ready = match poll(&mut fds, Some(&Timespec::try_from(left).map_err(|_| Errno::INVAL)?)) {
                Err(Errno::INTR) => continue,
                ready => ready?,
            };
            let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            self.report.drain()?;
            if let Some(printed) = &mut self.printed {
                printed.drain(pid)?;
            }
            if ended {
                return self.child.wait().map(Some);
            }
            if ready == 0 {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(None);
            }
        }
    }
}
