//! The program's own time for each tool call: journal, its syncs, git and artifacts included, the harness's processes not.
//!
//! Beside each `test-run`, in the same run, stands the git part of what a script without a library does for the same step:
//! two git processes, and two files written. The rest of such a script, the start of its interpreter above all, is not
//! timed. Unlike the program's, its files are not synced.
//!
//! The session runs twice: on the disk of temporary files, where the syncs decide, and on a file system in memory, where
//! they cost nothing.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use afterhours::protocol::{Caller, Decision, Event, Moment, Pending, Purpose, RunState};
use afterhours::report::{Liveness, Observer, Overhead, Status};
use afterhours::runner::Progress;
use support::Failed;
use support::canned::Fate;
use support::sample::Sample;
use support::stage::{KERNEL, Stage, drive, memory_folder};

const ITERATIONS: u32 = 150;

/// What the program may take for a `test-run` at the median, in milliseconds.
const TARGET_MS: f64 = 10.0;

const TEST: &str = "test-run";
const SCRIPT: &str = "git part of a script";

fn fate(iteration: u32) -> Fate {
    match iteration % 3 {
        0 => Fate::Kept,
        1 => Fate::Slower,
        _ => Fate::GivenUp,
    }
}

type Samples = Rc<RefCell<BTreeMap<&'static str, Sample>>>;

/// Times the steps between the events that end them.
struct Stopwatch {
    samples: Samples,
    /// What the canned runner took so far.
    runner: Rc<Cell<Duration>>,
    root: PathBuf,
    since: Instant,
    runner_before: Duration,
    kept: bool,
}

impl Stopwatch {
    fn lap(&mut self, step: Option<&'static str>) {
        let (now, runner) = (Instant::now(), self.runner.get());
        if let Some(step) = step {
            let time = now.duration_since(self.since).saturating_sub(runner - self.runner_before);
            self.samples.borrow_mut().entry(step).or_default().push(time);
        }
        self.runner_before = runner;
        self.since = Instant::now();
    }
}

impl Observer for Stopwatch {
    fn event(&mut self, before: &Moment, event: &Event, _line: &str, _after: &RunState) {
        match event {
            Event::TurnStarted {} if std::mem::take(&mut self.kept) => self.lap(Some("page and marks")),
            Event::TurnFinished { .. } => self.lap(Some("turn")),
            Event::EditFinished { .. } => self.lap(Some("edit-kernel")),
            Event::MeasureFinished { .. } => {
                let step = measured(before);
                self.lap(step);
                if step == Some(TEST) {
                    let time = script(&self.root).unwrap_or(Duration::MAX);
                    self.samples.borrow_mut().entry(SCRIPT).or_default().push(time);
                    self.since = Instant::now();
                }
            }
            Event::AnalysisFinished { .. } => self.lap(Some("append-analysis")),
            Event::RevertFinished { .. } => self.lap(Some("revert")),
            Event::CommitFinished { .. } => self.lap(Some("commit")),
            Event::IterationFinished { decision, .. } => {
                self.kept = *decision == Decision::Keep;
                self.lap(Some("iteration's end"));
            }
            _ => {}
        }
    }

    fn progress(&mut self, _progress: Progress) {}

    fn note(&mut self, _text: &str) {}
}

/// Names the measurement that a call of the model asked for.
fn measured(before: &Moment) -> Option<&'static str> {
    match &before.pending {
        Some(Pending::Measure(spec)) if spec.by != Caller::Code => Some(match spec.purpose {
            Purpose::Test => TEST,
            Purpose::Candidate => "benchmark-run candidate",
            Purpose::Final | Purpose::Recheck | Purpose::Headline => "benchmark-run final",
        }),
        _ => None,
    }
}

/// Does what a script does around a measurement: asks git for the commit and the diff, and writes both files.
fn script(root: &Path) -> Result<Duration, Failed> {
    let begun = Instant::now();
    let hash = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root).output()?.stdout;
    let hash = String::from_utf8(hash)?;
    let diff = Command::new("git").args(["diff", hash.trim(), "--", KERNEL]).current_dir(root).output()?.stdout;
    fs::write(root.join("artifacts/script.txt"), &diff)?;
    fs::write(root.join("artifacts/script.json"), b"{}\n")?;
    Ok(begun.elapsed())
}

/// Times what one durable line costs on this disk, without any program around it.
fn bare_sync(folder: &Path) -> Result<Sample, Failed> {
    let mut file = File::options().create(true).append(true).open(folder.join("sync"))?;
    let mut sample = Sample::default();
    for _ in 0..200 {
        let begun = Instant::now();
        file.write_all(&[b'x'; 500])?;
        file.sync_data()?;
        sample.push(begun.elapsed());
    }
    Ok(sample)
}

/// What one session came to.
struct Measured {
    samples: BTreeMap<&'static str, Sample>,
    bare: Sample,
    overhead: Overhead,
}

fn measure(folder: &Path) -> Result<Measured, Failed> {
    let stage = Stage::new(folder)?;
    let (samples, runner) = (Samples::default(), Rc::new(Cell::new(Duration::ZERO)));
    let watch = Stopwatch {
        samples: Rc::clone(&samples),
        runner: Rc::clone(&runner),
        root: stage.root().to_owned(),
        since: Instant::now(),
        runner_before: Duration::ZERO,
        kept: false,
    };
    let mut session = stage.session(ITERATIONS, fate, runner, Box::new(watch))?;
    drive(&mut session)?;
    let overhead = Status::of(session.state(), session.state().last_event, Liveness::Gone).overhead_ms;
    Ok(Measured { samples: samples.take(), bare: bare_sync(stage.root())?, overhead })
}

fn main() -> Result<(), Failed> {
    let folders = [std::env::temp_dir(), memory_folder()];
    let [disk, memory] = folders.each_ref().map(|folder| measure(folder));
    let (disk, memory) = (disk?, memory?);

    let [on_disk, in_memory] = folders.each_ref().map(|folder| folder.display());
    println!(
        "tool_call: own time of each step, one session of {ITERATIONS} iterations each on {on_disk} and {in_memory}"
    );
    println!(
        "{:<26} {:>6} {:>10} {:>10} {:>14} {:>10}",
        "step", "times", "median ms", "p99 ms", "memory median", "p99 ms"
    );
    let row = |name: &str, disk: &Sample, memory: &Sample| {
        println!(
            "{name:<26} {:>6} {:>10.3} {:>10.3} {:>14.3} {:>10.3}",
            disk.count(),
            disk.median(),
            disk.p99(),
            memory.median(),
            memory.p99()
        );
    };
    for (name, sample) in &disk.samples {
        row(name, sample, memory.samples.get(name).unwrap_or(&Sample::default()));
    }
    row("one bare line and its sync", &disk.bare, &memory.bare);
    for (place, Overhead { p50, p99 }) in [(&on_disk, disk.overhead), (&in_memory, memory.overhead)] {
        let figure = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.3}"));
        println!("status overhead_ms over all tools, on {place}: p50 {} p99 {}", figure(p50), figure(p99));
    }
    let median = |name| disk.samples.get(name).map_or(f64::NAN, Sample::median);
    let (own, script) = (median(TEST), median(SCRIPT));
    println!(
        "{TEST}: {own:.3} ms of {TARGET_MS} ms allowed; the git part of a script takes {:.2} times as long",
        script / own
    );
    Ok(())
}
