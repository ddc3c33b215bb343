//! The rules on trial: each sees the same pairs of blocks, and says whether it keeps the change and what it has measured.

use afterhours::protocol::{Micros, Verdict};
use afterhours::stats::{self, Aim, Rule};
use fastrand::Rng;

use super::samples::{Block, Pair};

/// The machine and the change, as a trial wants them.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The recorded pairs.
    pub pairs: &'a [Pair],
    /// Whether both texts of a pair are the same, so that a coin may say which block is whose.
    pub alike: bool,
    /// By how much faster the candidate is made: its times are divided by `1 + gain`.
    pub gain: f64,
    /// By how much the machine gets slower from the first to the hundredth pair, as a fraction.
    pub drift: f64,
    /// Which share of the blocks lies wholly in a burst, which makes it up to a quarter slower.
    pub bursts: f64,
}

/// The pairs of one duel after the other, taken from a random place on.
pub struct Stream<'a> {
    world: World<'a>,
    place: usize,
    begun: usize,
    dice: Rng,
}

impl<'a> Stream<'a> {
    /// Begins at a place that `dice` picks.
    pub fn new(world: World<'a>, mut dice: Rng) -> Self {
        let place = dice.usize(..world.pairs.len());
        Self { world, place, begun: place, dice }
    }

    fn pair(&mut self) -> Pair {
        let mut pair = self.world.pairs[self.place % self.world.pairs.len()];
        if self.world.alike && self.dice.bool() {
            std::mem::swap(&mut pair.incumbent, &mut pair.candidate);
        }
        let (first, second) = if self.dice.bool() { (0.0, 0.5) } else { (0.5, 0.0) };
        let (first, second) = (self.slower(first), self.slower(second));
        let times = |block: Block, by: f64| Block { steady: block.steady * by, median: block.median * by };
        let gain = 1.0 + self.world.gain;
        let pair = Pair { incumbent: times(pair.incumbent, first), candidate: times(pair.candidate, second / gain) };
        self.place += 1;
        pair
    }

    /// By how much the machine is slower in that half of the present pair.
    fn slower(&mut self, half: f64) -> f64 {
        let drift = 1.0 + self.world.drift * ((self.place - self.begun) as f64 + half) / 100.0;
        let burst = if self.dice.f64() < self.world.bursts { 0.25 * self.dice.f64() } else { 0.0 };
        drift * (1.0 + burst)
    }

    fn pairs(&mut self, count: usize) -> Vec<Pair> {
        (0..count).map(|_| self.pair()).collect()
    }
}

/// What a rule made of one change.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Whether it keeps it.
    pub kept: bool,
    /// The blocks it measured.
    pub blocks: usize,
}

/// The rule of this program: smoke test, screening, confirmation, and a larger one where that was ambiguous. `finals` are the
/// confirmations of the night so far.
pub fn ours(stream: &mut Stream<'_>, margin: f64, finals: &mut Vec<bool>) -> Trial {
    let (screened, pairs) = duel(stream, &Rule { margin, aim: Aim::Screen, most: 6 });
    let mut blocks = 1 + 2 * pairs;
    let mut verdict = screened;
    for most in [60, 120] {
        if verdict != Verdict::Ambiguous {
            break;
        }
        let rule = Rule { margin, aim: Aim::Confirm { level: stats::level(finals) }, most }.winnable();
        let (found, pairs) = duel(stream, &rule);
        blocks += 2 * pairs;
        finals.push(found == Verdict::Improved);
        verdict = found;
    }
    Trial { kept: verdict == Verdict::Improved, blocks }
}

/// Runs one duel to its end, and returns its verdict and its number of pairs.
pub fn duel(stream: &mut Stream<'_>, rule: &Rule) -> (Verdict, usize) {
    let (mut incumbent, mut candidate) = (Vec::new(), Vec::new());
    loop {
        let more = rule.next(&stats::log_ratios(&incumbent, &candidate));
        if more == 0 {
            let found = stats::compare(&incumbent, &candidate, rule).expect("every duel has a pair");
            return (found.verdict, incumbent.len());
        }
        for pair in stream.pairs(more as usize) {
            let us = |block: Block| Micros::new(block.steady).expect("a recorded time");
            incumbent.push(us(pair.incumbent));
            candidate.push(us(pair.candidate));
        }
    }
}

/// Keeps what has a lower median than the stored one, by more than `threshold`.
pub fn stored(stream: &mut Stream<'_>, threshold: f64) -> Trial {
    let best = stream.pair().incumbent.median;
    Trial { kept: stream.pair().candidate.median * (1.0 + threshold) < best, blocks: 1 }
}

/// Keeps what two pairs in the order ABBA show to be faster at all.
pub fn abba(stream: &mut Stream<'_>) -> Trial {
    Trial { kept: log_ratios(&stream.pairs(2)).iter().sum::<f64>() > 0.0, blocks: 4 }
}

/// Keeps what a one-sided paired t-test at 5% finds faster at all in ten pairs.
pub fn t_test(stream: &mut Stream<'_>) -> Trial {
    const QUANTILE: f64 = 1.833;
    let ratios = log_ratios(&stream.pairs(10));
    let count = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / count;
    let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Trial { kept: mean > QUANTILE * (variance / count).sqrt(), blocks: 20 }
}

fn log_ratios(pairs: &[Pair]) -> Vec<f64> {
    pairs.iter().map(|pair| (pair.incumbent.median / pair.candidate.median).ln()).collect()
}
