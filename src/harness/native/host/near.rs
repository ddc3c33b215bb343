//! The near side: the worker, which fills, clears, times and compares.

use std::env;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memmap2::{MmapMut, MmapOptions};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, kill_process, set_dumpable_behavior, waitpid,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::shared::{Order, Orders, memory, places, start};
use crate::harness::native::buffers::Guarded;
use crate::harness::native::cache::Evictor;
use crate::harness::native::machine::{Fault, Machine};
use crate::harness::native::spec::Case;
use crate::harness::result::signal_name;

/// The variable that names the processor on which a block is to be timed.
pub const PROCESSOR: &str = "AFTERHOURS_PROCESSOR";

/// The host's processor, with the kernel in a process of its own.
pub(in crate::harness::native) struct Host {
    kernel: Pid,
    memory: File,
    orders: Orders,
    evictor: Evictor,
    /// The processor of the worker, on which the kernel's first thread finds the caches cleared.
    here: CpuSet,
    /// The processors that the kernel may have.
    everywhere: CpuSet,
    /// Whether the process holds any of the kernel's code.
    loaded: bool,
    /// Whether the case has had a call.
    called: bool,
}

impl Host {
    /// Starts the kernel's process and has it load the library at the absolute path `library`. Its memory holds any one of
    /// `cases`.
    pub(in crate::harness::native) fn start(library: &Path, cases: &[Case]) -> Result<Self, Fault> {
        let longest = cases.iter().map(|case| places(&Guarded::memory_lens(case)).1).max().unwrap_or_default();
        let unable = |what: &str, error: io::Error| Fault::Machine(format!("{what}: {error}"));
        let memory = memory(longest).map_err(|error| unable("the memory for the buffers", error))?;
        let orders = Orders::of(&memory).map_err(|error| unable("the memory for the orders", error))?;
        let stdin = memory.try_clone().map_err(|error| unable("the memory for the buffers", error))?;
        let kernel = spawn(library, stdin).map_err(|error| unable("the kernel's process", error))?;
        // What it could read in `/proc`, if it could read at all, then belongs to root.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused)?;
        let everywhere = sched_getaffinity(None).map_err(refused)?;
        let mut here = CpuSet::new();
        here.set(processor().unwrap_or_else(sched_getcpu));
        sched_setaffinity(None, &here).map_err(refused)?;
        let evictor = Evictor::new();
        let mut host = Self { kernel, memory, orders, evictor, here, everywhere, loaded: false, called: false };
        host.stopped()?;
        host.loaded = true;
        host.orders.give(Order::Load);
        host.go()?;
        Ok(host)
    }

    /// Has the kernel's process go on, and returns how long it took to stop.
    fn go(&self) -> Result<Duration, Fault> {
        let start = Instant::now();
        kill_process(self.kernel, Signal::CONT).map_err(refused)?;
        self.stopped()?;
        Ok(start.elapsed())
    }

    /// Waits until every thread of the kernel's process has stopped.
    fn stopped(&self) -> Result<(), Fault> {
        loop {
            match waitpid(Some(self.kernel), WaitOptions::UNTRACED) {
                Ok(Some((_, status))) if status.stopped() => return Ok(()),
                Ok(Some((_, status))) => return Err(self.ended(status)),
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(refused(error)),
            }
        }
    }

    /// Says how the kernel's process ended, which it should not. Before it held the kernel, that was not the kernel's doing.
    fn ended(&self, status: WaitStatus) -> Fault {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) if self.loaded => {
                Fault::Crash(format!("the kernel ended its process before a result, with exit code {code}"))
            }
            (_, Some(signal)) if self.loaded => {
                Fault::Crash(format!("the kernel's process was killed by {}", signal_name(signal)))
            }
            _ => Fault::Machine("the kernel's process did not get as far as the kernel".to_owned()),
        }
    }

    /// Says where the first thread of the kernel's process may run.
    fn move_to(&self, processors: CpuSet) -> Result<(), Fault> {
        sched_setaffinity(Some(self.kernel), &processors).map_err(refused)
    }
}

impl Machine for Host {
    fn memory(&mut self, lens: &[usize]) -> Result<Vec<MmapMut>, Fault> {
        let map = |(place, len): (usize, &usize)| {
            // SAFETY: the memory cannot be made shorter, and the kernel's process is stopped while anything here looks at it.
            unsafe { MmapOptions::new().offset(place as u64).len(*len).map_mut(&self.memory) }
        };
        let maps = places(lens).0.into_iter().zip(lens).map(map).collect::<Result<_, _>>();
        maps.map_err(|error| Fault::Machine(format!("the memory for the buffers: {error}")))
    }

    fn prepare(&mut self, case: &Case, lens: &[usize]) -> Result<(), Fault> {
        let starts: Vec<usize> = places(lens).0.into_iter().map(start).collect();
        self.orders
            .give_map(&starts, &case.integers())
            .ok_or_else(|| Fault::Machine("too many arguments".to_owned()))?;
        self.called = false;
        self.move_to(self.everywhere)?;
        self.go().map(drop)
    }

    fn call(&mut self, buffers: &mut [&mut Guarded]) -> Result<f64, Fault> {
        self.orders.give(Order::Call);
        self.evictor.evict(buffers.iter().map(|buffer| buffer.bytes()));
        let took = self.go()?;
        if !self.called {
            // Its threads are there by now. The first of them is woken faster where the worker sleeps.
            self.called = true;
            self.move_to(self.here)?;
        }
        Ok(took.as_nanos() as f64 / 1e3)
    }
}

impl Drop for Host {
    /// The supervisor would do the same.
    fn drop(&mut self) {
        let _ = kill_process(self.kernel, Signal::KILL);
    }
}

/// Returns the processor that the runner wants used: two blocks that take turns share one.
fn processor() -> Option<usize> {
    env::var(PROCESSOR).ok()?.parse().ok()
}

fn spawn(library: &Path, memory: File) -> io::Result<Pid> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("kernel").arg(library).env_remove("AFTERHOURS_RESULT").env_remove(PROCESSOR).stdin(Stdio::from(memory));
    let child = command.spawn()?;
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| Errno::SRCH.into())
}

fn refused(error: Errno) -> Fault {
    Fault::Machine(format!("the system refused what a worker does with its kernel's process: {error}"))
}
