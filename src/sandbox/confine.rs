//! How a program starts: without what it may not have.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use landlock::{AccessFs, PathBeneath, PathFd, RulesetCreated, RulesetCreatedAttr, path_beneath_rules};
use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpid, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use seccompiler::BpfProgram;

use super::access::Access;
use super::orders::{Ending, Limits, Orders};
use super::view::View;
use super::{fence, filter};

/// What a protection's refusal to be applied looks like to the parent: no attempt to start a program fails with it.
const UNCONFINED: Errno = Errno::NOTRECOVERABLE;

/// Starts the program, confined, in a process group of its own: what it does to its group does not reach the supervisor.
/// An error is the ending to report.
pub(super) fn start(orders: &Orders, command: Vec<OsString>) -> Result<Pid, Ending> {
    let not_started = |error: io::Error| match error.raw_os_error() {
        Some(errno) if errno == UNCONFINED.raw_os_error() => {
            Ending::Unready("the system refused to apply a protection that it offers".to_owned())
        }
        errno => Ending::NotStarted(errno.unwrap_or_default()),
    };
    let mut walls =
        orders.access.as_ref().map(|access| Walls::build(access, orders.view)).transpose().map_err(Ending::Unready)?;
    let mut words = command.into_iter();
    let mut command = Command::new(words.next().ok_or(Ending::NotStarted(Errno::NOENT.raw_os_error()))?);
    command.args(words).process_group(0);
    let (supervisor, ceilings) = (getpid(), ceilings(&orders.limits));
    let confine = move || {
        confine(supervisor, &ceilings)?;
        walls.take().map_or(Ok(()), |walls| walls.raise().map_err(|_| UNCONFINED.into()))
    };
    // SAFETY: the supervisor has no other thread, so that no lock is held by one that the fork left behind: between fork
    // and exec, `confine` may do whatever this process may.
    unsafe { command.pre_exec(confine) };
    let program = command.spawn().map_err(not_started)?;
    i32::try_from(program.id()).ok().and_then(Pid::from_raw).ok_or(Ending::NotStarted(Errno::SRCH.raw_os_error()))
}

/// Takes from the starting program, in its own process, what no program may have.
fn confine(supervisor: Pid, ceilings: &[(Resource, Rlimit)]) -> io::Result<()> {
    // Should the supervisor itself be killed, at least the program goes with it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(supervisor) {
        return Err(Errno::SRCH.into());
    }
    for (resource, ceiling) in ceilings {
        setrlimit(*resource, *ceiling)?;
    }
    // Where memory runs out, let it be the program that pays; where the system does not ask, nothing is lost.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// What stands between a program and everything else. They are built by the supervisor, and raised by the program's process.
struct Walls {
    view: Option<View>,
    fence: Option<RulesetCreated>,
    filters: Vec<BpfProgram>,
}

impl Walls {
    /// Builds those that this system has.
    fn build(access: &Access, view: bool) -> Result<Self, String> {
        let view = view.then(|| View::new(access)).transpose();
        let fence = fence::files().is_ok().then(|| fence::rules(access)).transpose();
        let filters = filter::available().is_ok().then(|| filter::of(access)).transpose();
        Ok(Self {
            view: view.map_err(|error| format!("namespaces: {error}"))?,
            fence: fence.map_err(|error| format!("Landlock: {error}"))?,
            filters: filters.map_err(|error| format!("seccomp: {error}"))?.map(Vec::from).unwrap_or_default(),
        })
    }

    /// Raises them around the calling process, for good.
    fn raise(self) -> Result<(), Box<dyn std::error::Error>> {
        let mut own = Vec::new();
        if let Some(view) = self.view {
            view.enter()?;
            own = view.own;
        }
        set_no_new_privs(true)?;
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
        if let Some(fence) = self.fence {
            // Only now do the names mean this process and its own folders.
            let itself = PathBeneath::new(PathFd::new("/proc/self")?, AccessFs::ReadFile | AccessFs::ReadDir);
            fence.add_rule(itself)?.add_rules(path_beneath_rules(own, fence::write()))?.restrict_self()?;
        }
        for filter in &self.filters {
            seccompiler::apply_filter(filter)?;
        }
        Ok(())
    }
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
    ceilings.extend(limits.memory_bytes.map(|bytes| lowered(Resource::Data, bytes, bytes)));
    ceilings
}
