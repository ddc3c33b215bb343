//! What it takes to hand a call over to the kernel's process and back, and what it is worth that the blocks of a pair take turns.

use std::process::Command;
use std::time::{Duration, Instant};

use afterhours::harness::native::TURN_CALLS;
use afterhours::protocol::Micros;
use afterhours::stats::{self, median};

use super::Failed;
use super::record::{Bench, CALLS, PAIRS, folder, load};

/// Measures equal kernels for so many minutes, each way for some seconds and then the next: in processes of their own, in turns
/// and one after the other, and by the process that times them. Prints how far the pairs of each kind stray.
pub(super) fn compare(minutes: f64) -> Result<(), Failed> {
    let bench = Bench::open()?;
    let inside = tempfile::tempdir()?;
    let inside = inside.path().join("inside");
    let built = Command::new("cc")
        .args(["-std=gnu11", "-O2", &format!("-DCALLS={CALLS}"), "-o"])
        .args([&inside, &folder().join("kernel.c"), &folder().join("inside.c")])
        .status()?;
    if !built.success() {
        return Err("inside.c does not compile".into());
    }
    println!("load at the start: {}", load()?);
    let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let (mut turns, mut apart, mut together) = (Vec::new(), Vec::new(), Vec::new());
    while Instant::now() < until {
        turns.extend(bench.equal(true)?);
        apart.extend(bench.equal(false)?);
        for _ in 0..2 * PAIRS {
            let printed = String::from_utf8(Command::new(&inside).output()?.stdout)?;
            together.push(printed.lines().map(str::parse).collect::<Result<Vec<f64>, _>>()?);
        }
    }
    let steady = |one: &[Micros], other: &[Micros]| Ok((stats::steady(one)?.get() / stats::steady(other)?.get()).ln());
    let in_turns = |one: &[Micros], other: &[Micros]| {
        Ok(stats::log_ratio_in_turns(TURN_CALLS, one, other).ok_or("a block without calls")?)
    };
    let least = describe("in a process of its own, in turns", &turns, in_turns)?;
    describe("the same by their steady times", &turns, steady)?;
    describe("in a process of its own, one after the other", &apart, steady)?;
    let together = describe("by the process that times it, one after the other", &together, steady)?;
    println!("handing a call over and back: {:.1} us, where nothing else kept it waiting", least - together);
    println!("load at the end: {}", load()?);
    Ok(())
}

/// Prints how far the log ratios of the blocks stray, each two a pair, and returns the least of their steady times.
fn describe(
    name: &str,
    blocks: &[Vec<f64>],
    ratio: impl Fn(&[Micros], &[Micros]) -> Result<f64, Failed>,
) -> Result<f64, Failed> {
    let blocks = blocks.iter().map(|calls| calls.iter().map(|us| Micros::new(*us)).collect());
    let blocks = blocks.collect::<Result<Vec<Vec<Micros>>, _>>()?;
    let pairs = blocks.chunks_exact(2).filter_map(|pair| Some((pair.first()?, pair.last()?)));
    let ratios = pairs.map(|(one, other)| Ok(ratio(one, other)?.abs())).collect::<Result<Vec<f64>, Failed>>()?;
    let steady = blocks.iter().map(|calls| Ok(stats::steady(calls)?.get())).collect::<Result<Vec<f64>, Failed>>()?;
    let off = |by: f64| ratios.iter().filter(|ratio| **ratio > by).count() * 100 / ratios.len().max(1);
    let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
    let least = steady.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "{name}: {} pairs, steady time {:.1} us, {least:.1} at least; half of the pairs within {:.2}%, {}% more than 1% off, {}% more than 3%",
        ratios.len(),
        middle(&steady),
        100.0 * middle(&ratios),
        off(0.01),
        off(0.03),
    );
    Ok(least)
}
