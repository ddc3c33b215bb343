//! The evaluation: a table of how often each rule keeps what, and what it costs.

use std::path::Path;

use fastrand::Rng;

use super::Failed;
use super::samples;
use super::trial::{self, Stream, Trial, World};

const TRIALS: usize = 2000;
/// Changes that a night tries.
const NIGHT: usize = 40;
const MARGIN: f64 = 0.01;
const GAINS: [f64; 6] = [0.0, 0.01, 0.02, 0.03, 0.05, 0.10];

type Judge = fn(&mut Stream<'_>, &mut Vec<bool>) -> Trial;

const RULES: [(&str, Judge); 5] = [
    ("this program", |stream, finals| trial::ours(stream, MARGIN, finals)),
    ("lower than the best", |stream, _| trial::stored(stream, 0.0)),
    ("1% lower than the best", |stream, _| trial::stored(stream, 0.01)),
    ("ABBA, two pairs, above 0", |stream, _| trial::abba(stream)),
    ("t-test of ten pairs, 5%", |stream, _| trial::t_test(stream)),
];

/// Prints the tables of the recorded blocks in the file at `path`.
pub(super) fn evaluate(path: &Path) -> Result<(), Failed> {
    let (quiet, busy) = (samples::read(path, "quiet")?, samples::read(path, "busy")?);
    let still = World { pairs: &quiet, alike: true, gain: 0.0, drift: 0.0, bursts: 0.0 };
    table("as it was", still);
    table("beside a busy process", World { pairs: &busy, ..still });
    table("10% slower within 100 pairs", World { drift: 0.1, ..still });
    table("every fourth block wholly within a burst, up to 25% slower", World { bursts: 0.25, ..still });
    for part in ["faster3", "faster3-busy"] {
        let pairs = samples::read(path, part)?;
        println!("\n{part}: a text whose work is 3% less, {} pairs; kept of {TRIALS}", pairs.len());
        let real = World { pairs: &pairs, alike: false, ..still };
        for (name, judge) in RULES {
            println!("| {name} | {} |", run(real, judge).kept);
        }
    }
    Ok(())
}

fn table(title: &str, world: World<'_>) {
    println!(
        "\n{title}: kept of {TRIALS}, by how much faster the change is; blocks to reject equal kernels and to keep 3%"
    );
    println!("| rule | {} | reject | keep |", GAINS.map(|gain| format!("{}%", gain * 100.0)).join(" | "));
    for (name, judge) in RULES {
        let results = GAINS.map(|gain| run(World { gain, ..world }, judge));
        let kept = results.each_ref().map(|result| result.kept.to_string()).join(" | ");
        let [equal, _, _, three, ..] = &results;
        println!("| {name} | {kept} | {} | {} |", middle(&equal.rejecting), middle(&three.keeping));
        let (low, high) = wilson(equal.kept, TRIALS);
        println!("  equal kernels kept: {:.2}% [{:.2}%, {:.2}%]", share(equal.kept), low * 100.0, high * 100.0);
    }
}

#[derive(Default)]
struct Results {
    kept: usize,
    rejecting: Vec<usize>,
    keeping: Vec<usize>,
}

fn run(world: World<'_>, judge: Judge) -> Results {
    let mut dice = Rng::with_seed(2026);
    let (mut results, mut finals) = (Results::default(), Vec::new());
    for number in 0..TRIALS {
        if number % NIGHT == 0 {
            finals.clear();
        }
        let trial = judge(&mut Stream::new(world, dice.fork()), &mut finals);
        results.kept += usize::from(trial.kept);
        if trial.kept { &mut results.keeping } else { &mut results.rejecting }.push(trial.blocks);
    }
    results
}

fn share(count: usize) -> f64 {
    count as f64 * 100.0 / TRIALS as f64
}

fn middle(values: &[usize]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or_else(|| "-".to_owned(), usize::to_string)
}

/// Returns the 95% interval of a proportion (E. B. Wilson, "Probable inference", 1927).
fn wilson(count: usize, of: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let (n, p) = (of as f64, count as f64 / of as f64);
    let scale = 1.0 / (1.0 + Z * Z / n);
    let (middle, half) = (p + Z * Z / (2.0 * n), Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt());
    (((middle - half) * scale).max(0.0), ((middle + half) * scale).min(1.0))
}
