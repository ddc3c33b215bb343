//! The far side: `agent supervise`, the process between the agent and a program.
//!
//! It outlives the program and is the reaper of all its descendants, wherever they went. It ends when none is left, so
//! whoever waits for it has waited for all of them.

use std::ffi::OsString;
use std::future::poll_fn;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, getppid, getrlimit, kill_process,
    set_child_subreaper, set_dumpable_behavior, set_parent_process_death_signal, setrlimit, wait,
};
use tokio::signal::unix::{self, SignalKind, signal};

use super::descendants::descendants;
use super::orders::{Ending, Limits, Orders, Report};

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
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut signals = Signals::listen()?;
        set_parent_process_death_signal(Some(Signal::TERM))?;
        if getppid() != Pid::from_raw(orders.parent) {
            return Ok(Ending::Stopped);
        }
        match start(&orders.limits, command) {
            Ok(program) => Ok(signals.watch(program).await),
            Err(error) => Ok(Ending::NotStarted(error.raw_os_error().unwrap_or_default())),
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

/// Starts the program, confined, in a process group of its own: what it does to its group does not reach this process.
fn start(limits: &Limits, command: Vec<OsString>) -> io::Result<Pid> {
    let mut words = command.into_iter();
    let mut command = Command::new(words.next().ok_or(Errno::NOENT)?);
    command.args(words).process_group(0);
    let (supervisor, ceilings) = (getpid(), ceilings(limits));
    // SAFETY: between fork and exec, `confine` only makes system calls; it neither allocates nor locks.
    unsafe { command.pre_exec(move || confine(supervisor, &ceilings)) };
    let program = command.spawn()?;
    i32::try_from(program.id()).ok().and_then(Pid::from_raw).ok_or_else(|| Errno::SRCH.into())
}

/// Takes from the starting program, in its own process, what it may not have.
fn confine(supervisor: Pid, ceilings: &[(Resource, Rlimit)]) -> io::Result<()> {
    // Should the supervisor itself be killed, at least the program goes with it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(supervisor) {
        return Err(Errno::SRCH.into());
    }
    for (resource, ceiling) in ceilings {
        setrlimit(*resource, *ceiling)?;
    }
    Ok(())
}

/// Returns the limits to set. None is above one that already holds: an unprivileged process could not raise it.
fn ceilings(limits: &Limits) -> Vec<(Resource, Rlimit)> {
    let lowered = |resource, soft: u64, hard: u64| {
        let maximum = getrlimit(resource).maximum.map_or(hard, |held| held.min(hard));
        (resource, Rlimit { current: Some(soft.min(maximum)), maximum: Some(maximum) })
    };
    let mut ceilings = vec![lowered(Resource::Core, 0, 0)];
    // The hard limit of processor time kills; a second before it, the soft one says why.
    ceilings.extend(limits.cpu_seconds.map(|seconds| lowered(Resource::Cpu, seconds, seconds.saturating_add(1))));
    ceilings.extend(limits.file_bytes.map(|bytes| lowered(Resource::Fsize, bytes, bytes)));
    ceilings
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
    async fn watch(&mut self, program: Pid) -> Ending {
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
                () = stop => return Ending::Stopped,
            }
        }
    }
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
