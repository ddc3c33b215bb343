//! The far side: `agent supervise`, the process between the agent and a program.
//!
//! It outlives the program and is the reaper of all its descendants, wherever they went. It ends when none is left, so
//! whoever waits for it has waited for all of them.

use std::ffi::OsString;
use std::future::poll_fn;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process, kill_process_group,
    set_child_subreaper, set_dumpable_behavior, set_parent_process_death_signal, wait,
};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::sleep;

use super::confine;
use super::crowd::{self, Crowd};
use super::descendants::descendants;
use super::orders::{Ending, Orders, Report};

/// How long descendants may take to die of `SIGKILL`. One that waits inside a driver can take for ever.
const DYING: Duration = Duration::from_secs(5);

/// The pause between two looks at those that are dying.
const PAUSE: Duration = Duration::from_millis(1);

/// The exit status where no program ran, as `env` and `timeout` have it.
const NO_PROGRAM: u8 = 125;

/// Runs `command` under `orders` and returns the exit status for scripts: the program's code, 128 plus its signal, or 125.
/// The near side goes by the report.
///
/// Call it outside of any async runtime, in a process that does nothing else: it reaps every child there is.
pub fn main(orders: &str, command: Vec<OsString>) -> ExitCode {
    let Ok(orders) = serde_json::from_str::<Orders>(orders) else { return ExitCode::from(NO_PROGRAM) };
    let mut report = fs::File::from(adopt(orders.report));
    let hold = orders.hold.map(adopt);

    let ending = attend(&orders, command).unwrap_or_else(|error| Ending::Unready(error.to_string()));
    let status = match &ending {
        Ending::Code(code) => u8::try_from(*code).unwrap_or(NO_PROGRAM),
        Ending::Signal(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(NO_PROGRAM),
        Ending::Stopped | Ending::NotStarted(_) | Ending::Unready(_) => NO_PROGRAM,
    };
    let survivors = sweep();
    drop(hold);
    // Where nobody reads the report, nobody is left to care.
    let _ = serde_json::to_vec(&Report { ending, survivors }).map(|words| report.write_all(&words));
    ExitCode::from(status)
}

/// Takes over a descriptor that the near side opened for this process.
fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the orders name descriptors that were opened for this process alone; nothing here owns them yet.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Gets ready, starts the program, and waits for its end or the order to stop.
fn attend(orders: &Orders, command: Vec<OsString>) -> io::Result<Ending> {
    keep_descriptors()?;
    // Nothing that runs under this user may read this process's memory or descriptors, or trace it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_child_subreaper(Some(getpid()))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut signals = Signals::listen()?;
        set_parent_process_death_signal(Some(Signal::TERM))?;
        if getppid() != Pid::from_raw(orders.parent) {
            return Ok(Ending::Stopped);
        }
        match confine::start(orders, command) {
            Ok(program) => Ok(signals.watch(program, orders.limits.processes.map(Crowd::new)).await),
            Err(ending) => Ok(ending),
        }
    })
}

/// Keeps every descriptor but the three standard ones from the program: the agent's, and those that it had inherited.
fn keep_descriptors() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd @ 3..) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        // SAFETY: it is open, as just listed, and no other thread exists that could close it.
        fcntl_setfd(unsafe { BorrowedFd::borrow_raw(fd) }, FdFlags::CLOEXEC)?;
    }
    Ok(())
}

/// The signals that the supervisor answers.
struct Signals {
    child: unix::Signal,
    stop: Vec<unix::Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        use SignalKind as Kind;
        let stop = [Kind::terminate(), Kind::interrupt(), Kind::hangup(), Kind::quit()];
        Ok(Self { child: signal(Kind::child())?, stop: stop.into_iter().map(signal).collect::<io::Result<_>>()? })
    }

    /// Waits for the end of `program` or the order to stop, reaping whatever else ends meanwhile.
    async fn watch(&mut self, program: Pid, crowd: Option<Crowd>) -> Ending {
        loop {
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                if pid == program {
                    return ending(status);
                }
            }
            let stop = poll_fn(|context| {
                let told = self.stop.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
                if told { Poll::Ready(()) } else { Poll::Pending }
            });
            tokio::select! {
                _ = self.child.recv() => {}
                () = stop => {
                    end_group(program);
                    return Ending::Stopped;
                }
                () = sleep(crowd::PAUSE), if crowd.is_some() => {
                    if crowd.as_ref().is_some_and(Crowd::is_over) {
                        end_group(program);
                        // It shares the program's standard error, where a reader will look for the reason.
                        let _ = writeln!(io::stderr(), "[ended: too many processes at once]");
                        return Ending::Signal(Signal::KILL.as_raw());
                    }
                }
            }
        }
    }
}

/// Kills the group of `program`, which has not been reaped: members that multiply faster than they are found one by one
/// cannot outrun that.
fn end_group(program: Pid) {
    // It can only have ended meanwhile, or left its group.
    let _ = kill_process_group(program, Signal::KILL);
}

fn ending(status: WaitStatus) -> Ending {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ending::Code(code),
        (None, Some(signal)) => Ending::Signal(signal),
        (None, None) => Ending::Unready(format!("the program's wait status {:#x} is no end", status.as_raw())),
    }
}

/// Kills and reaps every descendant, and returns how many could not be killed.
///
/// As each orphan becomes this process's child, having no child left means having no descendant left.
fn sweep() -> usize {
    let end = Instant::now() + DYING;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(_) => return 0,
        }
        let left = descendants(getpid()).unwrap_or_default();
        if Instant::now() > end {
            return left.len().max(1);
        }
        for pid in left {
            // One that is gone already is as good as killed; one that is not allowed to be killed stays a survivor.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(PAUSE);
    }
}
