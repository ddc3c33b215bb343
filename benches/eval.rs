//! How fast evals are played: every shipped scenario, a real session over a real repository each, one after the other and on
//! all cores.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

use std::path::Path;
use std::slice;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use afterhours::cli::Exit;
use afterhours::eval::{Scenario, find, play};
use afterhours::protocol::StopReason;

/// Rounds; in each, both ways are timed in turn.
const ROUNDS: u32 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exit_code = |reason: &StopReason| Exit::from(reason) as u8;
    let folders = find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("evals"))?;
    let scenarios: Vec<Scenario> = folders.iter().map(|folder| Scenario::read(folder)).collect::<Result<_, _>>()?;
    let (mut alone, mut together) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for scenario in &scenarios {
            let results = play(slice::from_ref(scenario), exit_code);
            assert_eq!(results.failed, 0, "{}", results.text());
        }
        alone += begun.elapsed();
        let begun = Instant::now();
        let results = play(&scenarios, exit_code);
        assert_eq!(results.failed, 0, "{}", results.text());
        together += begun.elapsed();
    }
    let played = f64::from(ROUNDS) * f64::from(u32::try_from(scenarios.len())?);
    let cores = available_parallelism()?;
    println!("{} scenarios, {ROUNDS} rounds", scenarios.len());
    println!("one after the other: {:.0} scenarios a second", played / alone.as_secs_f64());
    println!("on {cores} cores: {:.0} scenarios a second", played / together.as_secs_f64());
    println!("ratio: {:.2}", alone.as_secs_f64() / together.as_secs_f64());
    Ok(())
}
