//! Reading a journal back: each line verified, parsed and folded, as `resume`, `status` and `report` do first.
//!
//! The journal is that of a real session, driven with canned measurements and a scripted model. Its beginnings of several
//! lengths tell whether the time grows with the length alone.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod support;

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use afterhours::report::Quiet;
use afterhours::session::fold_run;
use support::Failed;
use support::canned::of_a_long_night;
use support::sample::Sample;
use support::stage::{Stage, drive, memory_folder};

const LENGTHS: [usize; 4] = [12_500, 25_000, 50_000, 100_000];

/// Enough iterations for the longest of them: each has twenty-one events in the mean.
const ITERATIONS: u32 = 5_000;

const ROUNDS: u32 = 21;

/// What the longest may take at the median, in milliseconds.
const TARGET_MS: f64 = 200.0;

/// Copies the first `lines` lines into `to`, and returns their bytes.
fn copy_lines(from: &Path, to: &Path, lines: usize) -> Result<usize, Failed> {
    let mut reader = BufReader::new(File::open(from)?);
    let mut writer = BufWriter::new(File::create(to)?);
    let (mut line, mut bytes) = (Vec::new(), 0);
    for number in 0..lines {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(format!("the journal has {number} lines only, of {lines}").into());
        }
        writer.write_all(&line)?;
        bytes += line.len();
    }
    writer.flush()?;
    Ok(bytes)
}

fn main() -> Result<(), Failed> {
    let stage = Stage::new(&memory_folder())?;
    let nobody = Quiet::new(std::io::sink(), PathBuf::new());
    let mut session =
        stage.session(ITERATIONS, of_a_long_night, Rc::new(Cell::new(Duration::ZERO)), Box::new(nobody))?;
    drive(&mut session)?;
    let journal = session.folder().join("journal.jsonl");

    println!("fold: read, verify, parse and fold the journal of a session, {ROUNDS} times each, from the page cache");
    println!("{:>8} {:>8} {:>11} {:>9} {:>10} {:>8}", "events", "MB", "median ms", "p99 ms", "ns/event", "MB/s");
    let mut last = f64::NAN;
    for length in LENGTHS {
        let folder = stage.root().join(format!("first-{length}"));
        fs::create_dir(&folder)?;
        let bytes = copy_lines(&journal, &folder.join("journal.jsonl"), length)?;
        let mut sample = Sample::default();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let state = fold_run(&folder)?;
            sample.push(begun.elapsed());
            drop(state);
        }
        last = sample.median();
        let megabytes = bytes as f64 / 1e6;
        println!(
            "{length:>8} {megabytes:>8.1} {last:>11.1} {:>9.1} {:>10.0} {:>8.0}",
            sample.p99(),
            last * 1e6 / length as f64,
            megabytes * 1e3 / last
        );
    }
    println!("100,000 events: {last:.0} ms of {TARGET_MS} ms allowed");
    Ok(())
}
