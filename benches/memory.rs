//! The memory of a session over 10,000 iterations, and their pace: neither may depend on how long the run has lasted,
//! but for the ledger of what was tried.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod support;

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use afterhours::protocol::{Event, Moment, RunState};
use afterhours::report::Observer;
use afterhours::runner::Progress;
use support::Failed;
use support::canned::Fate;
use support::stage::{Stage, drive, memory_folder};

const ITERATIONS: u32 = 10_000;

/// After these iterations a row is printed.
const ROWS: [u32; 6] = [100, 1_000, 2_500, 5_000, 7_500, ITERATIONS];

/// What the process may take at its peak, in MiB.
const TARGET_MIB: f64 = 64.0;

fn fate(iteration: u32) -> Fate {
    match iteration {
        _ if iteration.is_multiple_of(50) => Fate::Kept,
        _ if iteration % 10 < 4 => Fate::Wrong,
        _ if iteration % 10 < 7 => Fate::GivenUp,
        _ => Fate::Slower,
    }
}

/// Returns what the kernel says of this process, in MiB: `VmRSS` is what it has now, `VmHWM` the most it ever had.
fn memory(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// Prints a row at each mark.
struct Gauge {
    since: Instant,
    before: u32,
}

impl Observer for Gauge {
    fn event(&mut self, _before: &Moment, event: &Event, _line: &str, after: &RunState) {
        let Event::IterationFinished { iteration, .. } = event else { return };
        if !ROWS.contains(&iteration.0) {
            return;
        }
        let pace = f64::from(iteration.0 - self.before) / self.since.elapsed().as_secs_f64();
        println!(
            "{:>10} {:>6} {:>10.1} {:>10.1} {pace:>14.0}",
            iteration.0,
            after.counters.keeps,
            memory("VmRSS").unwrap_or(f64::NAN),
            memory("VmHWM").unwrap_or(f64::NAN),
        );
        *self = Self { since: Instant::now(), before: iteration.0 };
    }

    fn progress(&mut self, _progress: Progress) {}

    fn note(&mut self, _text: &str) {}
}

fn main() -> Result<(), Failed> {
    let stage = Stage::new(&memory_folder())?;
    let begun = Instant::now();
    println!(
        "memory: one session of {ITERATIONS} iterations, once, in {}; every 50th is a KEEP",
        stage.root().display()
    );
    println!("{:>10} {:>6} {:>10} {:>10} {:>14}", "iterations", "keeps", "RSS MiB", "peak MiB", "iterations/s");
    let gauge = Gauge { since: begun, before: 0 };
    let mut session = stage.session(ITERATIONS, fate, Rc::new(Cell::new(Duration::ZERO)), Box::new(gauge))?;
    drive(&mut session)?;
    let peak = memory("VmHWM").unwrap_or(f64::NAN);
    println!("peak {peak:.1} MiB of {TARGET_MIB} MiB allowed, {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}
