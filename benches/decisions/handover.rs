//! What it takes to hand a call over to the kernel's process and back, and by how much it makes the times stray.

use std::process::Command;
use std::time::{Duration, Instant};

use afterhours::protocol::Micros;
use afterhours::stats::{self, median};

use super::Failed;
use super::record::{Bench, CALLS, PAIRS, folder, load};

/// Measures equal kernels for so many minutes, in turn in a process of their own and by the process that times them, and prints
/// what the blocks of either kind say.
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
    let (mut apart, mut together) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        apart.extend(bench.equal()?);
        for _ in 0..2 * PAIRS {
            let printed = String::from_utf8(Command::new(&inside).output()?.stdout)?;
            together.push(printed.lines().map(str::parse).collect::<Result<Vec<f64>, _>>()?);
        }
    }
    let apart = describe("in a process of its own", &apart)?;
    let together = describe("by the process that times it", &together)?;
    println!("handing a call over and back: {:.1} us, where nothing else kept it waiting", apart - together);
    println!("load at the end: {}", load()?);
    Ok(())
}

/// Prints what the blocks say, each two a pair, and returns the least of their steady times.
fn describe(name: &str, blocks: &[Vec<f64>]) -> Result<f64, Failed> {
    let steady = |calls: &Vec<f64>| -> Result<f64, Failed> {
        let times = calls.iter().map(|us| Micros::new(*us)).collect::<Result<Vec<_>, _>>()?;
        Ok(stats::steady(&times)?.get())
    };
    let steady = blocks.iter().map(steady).collect::<Result<Vec<f64>, _>>()?;
    let ratios = steady.chunks_exact(2).filter_map(|pair| Some((pair.first()? / pair.last()?).ln().abs()));
    let ratios: Vec<f64> = ratios.collect();
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
