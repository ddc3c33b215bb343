//! Replaying a run: each event folded, each step, refusal, edit and verdict made again.
//!
//! The run is that of a real session, driven with canned measurements and a scripted model. The time for fetching artifacts
//! and texts from the disk, verifying their hashes and parsing them is told apart: it depends on how much a harness prints.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use afterhours::protocol::{Event, Moment, RunState};
use afterhours::replay::replay;
use afterhours::report::Observer;
use afterhours::runner::Progress;
use support::Failed;
use support::canned::Fate;
use support::sample::Sample;
use support::stage::{Stage, drive, memory_folder};

const ITERATIONS: u32 = 20_000;

const ROUNDS: u32 = 5;

/// Iterations a second, the disk not counted.
const TARGET: f64 = 5_000.0;

fn fate(iteration: u32) -> Fate {
    match iteration {
        _ if iteration.is_multiple_of(50) => Fate::Kept,
        _ if iteration.is_multiple_of(4) => Fate::Wrong,
        _ => Fate::Slower,
    }
}

struct Nobody;

impl Observer for Nobody {
    fn event(&mut self, _before: &Moment, _event: &Event, _line: &str, _after: &RunState) {}

    fn progress(&mut self, _progress: Progress) {}

    fn note(&mut self, _text: &str) {}
}

fn main() -> Result<(), Failed> {
    let stage = Stage::new(&memory_folder())?;
    let mut session = stage.session(ITERATIONS, fate, Rc::new(Cell::new(Duration::ZERO)), Box::new(Nobody))?;
    drive(&mut session)?;

    let (mut made_again, mut fetched) = (Sample::default(), Sample::default());
    let mut found = replay(session.folder())?;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        found = replay(session.folder())?;
        made_again.push(begun.elapsed().saturating_sub(found.reading));
        fetched.push(found.reading);
    }
    if let Some(divergence) = found.divergence {
        return Err(format!("the run replays otherwise: {divergence:?}").into());
    }
    println!(
        "replay: {} events, {} iterations, {} edits, {} verdicts, {} commits; {ROUNDS} times, from the page cache",
        found.events, found.iterations, found.edits, found.verdicts, found.commits
    );
    let pace = f64::from(ITERATIONS) / made_again.median() * 1e3;
    println!("journal, fold, gate, edits, verdicts: {:>8.0} ms, {pace:.0} iterations a second", made_again.median());
    println!("artifacts and texts from the disk:    {:>8.0} ms", fetched.median());
    println!("{pace:.0} iterations a second of {TARGET} wanted");
    Ok(())
}
