//! What the clock outside sees: real pairs of blocks by both clocks, in which the candidate's times are then forged.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use afterhours::harness::{self, BlockResult, Harness, Request, Role};
use afterhours::protocol::{Effort, Gpu, Profiles};
use afterhours::runner::{Local, Runner as _};
use afterhours::stats::{Gain, is_denied, median};
use fastrand::Rng;

use super::Failed;

/// Pairs of one job.
const PAIRS: u32 = 20;
/// Duels that are drawn for each figure.
const DUELS: usize = 2000;
/// By how much faster than it is a candidate says it is, in percent.
const FORGED: [u32; 5] = [1, 2, 5, 10, 50];
/// Pairs of a duel: the fewest that keep a change, the last duel's, the most.
const SIZES: [usize; 4] = [8, 10, 20, 60];

/// A block in microseconds.
#[derive(Clone, Copy)]
struct Block {
    /// What its timed calls take by the figure that decides.
    calls: f64,
    /// Its whole process, by the clock outside.
    elapsed: f64,
    /// The same without what it waited for a processor.
    own: f64,
}

/// Measures for so many minutes, half of them equal kernels and half of them one that is really 3% faster, and prints how
/// often the alarm rings.
pub(super) fn clock(minutes: f64) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/decisions/kernel");
    let text = std::fs::read_to_string(folder.join("kernel.c"))?;
    let faster = text.replace("#define REDO 3", "#define REDO 0");
    let harness = harness::open(&folder.join("harness.toml"))?;
    let runner = Local::new(PathBuf::from(env!("CARGO_BIN_EXE_agent")), tempfile::tempdir()?.keep());
    let bench = Bench { harness, runner };
    let of = |candidate: &str| -> Result<Vec<[Block; 2]>, Failed> {
        let (until, mut pairs) = (Instant::now() + Duration::from_secs_f64(minutes * 30.0), Vec::new());
        while Instant::now() < until || pairs.len() < 60 {
            pairs.extend(bench.job(&text, candidate)?);
        }
        Ok(pairs)
    };
    let equal = of(&text)?;
    describe("equal kernels", &equal);
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "forged", "8", "10", "20", "60");
    for percent in [0].into_iter().chain(FORGED) {
        row(&format!("{percent}%"), |pairs, dice| drawn(&equal, true, 1.0 + f64::from(percent) / 100.0, pairs, dice));
    }
    let better = of(&faster)?;
    describe("a kernel that is 3% faster", &better);
    row("honest", |pairs, dice| drawn(&better, false, 1.0, pairs, dice));
    Ok(())
}

struct Bench {
    harness: Box<dyn Harness>,
    runner: Local,
}

impl Bench {
    fn job(&self, incumbent: &str, candidate: &str) -> Result<Vec<[Block; 2]>, Failed> {
        let effort = Effort { pairs: PAIRS, ..Profiles::default().final_ };
        let job = self.harness.job(&Request {
            gpu: &Gpu("cpu".to_owned()),
            profile: "final",
            effort: &effort,
            candidate: candidate.as_bytes(),
            incumbent: Some(incumbent.as_bytes()),
            seed: getrandom::u64()?,
            first_pair: 0,
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let output = runtime.block_on(self.runner.run(&job, &mut |_| {}))?;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for ran in &output.ran {
            let Some(read) = self.harness.read(ran).map_err(|failure| format!("{failure:?}"))? else { continue };
            let side = if ran.role == Role::Incumbent { &mut before } else { &mut after };
            let elapsed = ran.elapsed.as_secs_f64() * 1e6;
            let waited = ran.waited.ok_or("this system keeps no account of waiting")?.as_secs_f64() * 1e6;
            side.push(Block { calls: calls(&read)?, elapsed, own: elapsed - waited });
        }
        Ok(before.into_iter().zip(after).map(|(before, after)| [before, after]).collect())
    }
}

fn calls(block: &BlockResult) -> Result<f64, Failed> {
    let each = block.cases.iter().map(|case| Ok(case.time_us.len() as f64 * case.steady()?.get()));
    each.sum()
}

/// Draws a duel of neighbouring pairs. Of equal kernels a coin says which is the candidate's; its times are then forged.
fn drawn(recorded: &[[Block; 2]], equal: bool, factor: f64, pairs: usize, dice: &mut Rng) -> [Vec<Gain>; 2] {
    let start = dice.usize(0..recorded.len());
    let gains = |[one, other]: [Block; 2], swapped| {
        let (before, after) = if swapped { (other, one) } else { (one, other) };
        let claimed = before.calls - after.calls / factor;
        let seen = [before.elapsed - after.elapsed, before.own - after.own];
        seen.map(|seen| Gain { claimed, seen })
    };
    let duel = recorded.iter().cycle().skip(start).take(pairs);
    let duel: Vec<_> = duel.map(|pair| gains(*pair, equal && dice.bool())).collect();
    [0, 1].map(|clock| duel.iter().filter_map(|gains| gains.get(clock).copied()).collect())
}

fn row(name: &str, draw: impl Fn(usize, &mut Rng) -> [Vec<Gain>; 2]) {
    let rung = SIZES.map(|pairs| {
        let mut dice = Rng::with_seed(1);
        (0..DUELS).filter(|_| draw(pairs, &mut dice).iter().any(|gains| is_denied(gains))).count()
    });
    println!("{name:>8} {}", rung.map(|count| format!("{count:>8}")).join(" "));
}

fn describe(name: &str, pairs: &[[Block; 2]]) {
    let middle =
        |of: &dyn Fn(&[Block; 2]) -> f64| median(&pairs.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    let strays = |of: &dyn Fn(&Block) -> f64| {
        let seen = middle(&|[before, after]| of(before) - of(after));
        1.4826 * middle(&|[before, after]| (of(before) - of(after) - seen).abs()) / 1e3
    };
    println!(
        "{name}: {} pairs; a block takes {:.1} ms, its timed calls {:.1} ms; a pair's difference strays by {:.2} ms, without \
         waiting by {:.2} ms",
        pairs.len(),
        middle(&|[before, _]| before.elapsed) / 1e3,
        middle(&|[before, _]| before.calls) / 1e3,
        strays(&|block| block.elapsed),
        strays(&|block| block.own),
    );
}
