//! Replaying a run: each event folded, each step, refusal, edit and verdict made again.
//!
//! The run is that of a real session, driven with canned measurements and a scripted model. What is timed is everything that
//! `agent replay` does from an open folder to its table: reading, verifying and parsing the journal, the artifacts and the
//! texts, and every step made again. The files are in memory, as those of a run are that has just ended; how long it takes
//! merely to read them is told beside it. The replay reads on one thread and checks on another: the processor's time is what
//! both take.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod support;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use afterhours::replay::replay;
use afterhours::report::Quiet;
use rustix::time::{ClockId, clock_gettime};
use support::Failed;
use support::canned::of_a_long_night;
use support::sample::Sample;
use support::stage::{Stage, drive, memory_folder};

const ITERATIONS: u32 = 20_000;

const ROUNDS: u32 = 5;

/// Iterations a second, all counted.
const TARGET: f64 = 5_000.0;

/// Returns the time that this process has had of all processors.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// Reads every file below `folder`, and returns how many bytes they have.
fn read_all(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        bytes +=
            if entry.file_type()?.is_dir() { read_all(&entry.path())? } else { fs::read(entry.path())?.len() as u64 };
    }
    Ok(bytes)
}

fn main() -> Result<(), Failed> {
    let stage = Stage::new(&memory_folder())?;
    let nobody = Quiet::new(std::io::sink(), PathBuf::new());
    let mut session =
        stage.session(ITERATIONS, of_a_long_night, Rc::new(Cell::new(Duration::ZERO)), Box::new(nobody))?;
    drive(&mut session)?;

    let (mut made_again, mut processor, mut read) = (Sample::default(), Sample::default(), Sample::default());
    let mut found = replay(session.folder())?;
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let (begun, before) = (Instant::now(), processor_time());
        found = replay(session.folder())?;
        made_again.push(begun.elapsed());
        processor.push(processor_time().saturating_sub(before));
        let begun = Instant::now();
        bytes = read_all(session.folder())?;
        read.push(begun.elapsed());
    }
    if let Some(divergence) = found.divergence {
        return Err(format!("the run replays otherwise: {divergence:?}").into());
    }
    println!(
        "replay: {} events, {} iterations, {} edits, {} verdicts, {} commits; {ROUNDS} times, from the page cache",
        found.events, found.iterations, found.edits, found.verdicts, found.commits
    );
    let pace = f64::from(ITERATIONS) / made_again.median() * 1e3;
    println!("the whole replay:                 {:>8.0} ms, {pace:.0} iterations a second", made_again.median());
    println!("the processors' time for it:      {:>8.0} ms", processor.median());
    println!("reading its {:>5} MB of files alone: {:>5.0} ms", bytes / 1_000_000, read.median());
    println!("{pace:.0} iterations a second of {TARGET} wanted");
    Ok(())
}
