//! The rule of a duel on recorded blocks of a real kernel: what it keeps of equal kernels, of faster ones, and its cost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../benches/decisions/samples.rs"]
#[allow(dead_code, unreachable_pub, reason = "the bench uses more of it")]
mod samples;
#[path = "../benches/decisions/trial.rs"]
#[allow(dead_code, unreachable_pub, reason = "the bench uses more of it")]
mod trial;

use std::path::PathBuf;

use afterhours::stats::{self, Aim, Rule, Standing};
use fastrand::Rng;
use trial::{Stream, Trial, World};

fn recorded(part: &str) -> Vec<samples::Pair> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decisions/blocks.txt");
    samples::read(&path, part).unwrap()
}

/// Tries so many changes, forty a night.
fn nights(world: World<'_>, tries: usize, seed: u64) -> Vec<Trial> {
    let (mut dice, mut finals) = (Rng::with_seed(seed), Vec::new());
    let mut trials = Vec::new();
    for number in 0..tries {
        if number % 40 == 0 {
            finals.clear();
        }
        trials.push(trial::ours(&mut Stream::new(world, dice.fork()), 0.01, &mut finals));
    }
    trials
}

fn kept(trials: &[Trial]) -> usize {
    trials.iter().filter(|trial| trial.kept).count()
}

fn median_blocks(trials: &[Trial]) -> usize {
    let mut blocks: Vec<usize> = trials.iter().map(|trial| trial.blocks).collect();
    blocks.sort_unstable();
    blocks[blocks.len() / 2]
}

#[test]
fn of_a_thousand_equal_kernels_at_most_one_is_kept_on_every_kind_of_machine() {
    for (part, drift, bursts) in [("quiet", 0.0, 0.0), ("busy", 0.0, 0.0), ("quiet", 0.1, 0.0), ("quiet", 0.0, 0.25)] {
        let pairs = recorded(part);
        let trials = nights(World { pairs: &pairs, alike: true, gain: 0.0, drift, bursts }, 1000, 1);
        assert!(kept(&trials) <= 1, "{part}, drift {drift}, bursts {bursts}: {}", kept(&trials));
        assert!(median_blocks(&trials) * 3 <= 20, "{part}: {} blocks to reject", median_blocks(&trials));
    }
}

#[test]
fn a_kernel_three_percent_faster_is_kept_for_no_more_than_twice_a_final_duel_of_ten_pairs() {
    for (part, drift) in [("quiet", 0.0), ("busy", 0.0), ("quiet", 0.1)] {
        let pairs = recorded(part);
        let trials = nights(World { pairs: &pairs, alike: true, gain: 0.03, drift, bursts: 0.0 }, 1000, 2);
        assert!(kept(&trials) >= 950, "{part}, drift {drift}: {}", kept(&trials));
        assert!(median_blocks(&trials) <= 40, "{part}: {} blocks to keep", median_blocks(&trials));
    }
}

#[test]
fn a_text_that_really_does_three_percent_less_is_kept_as_a_scaled_one_is() {
    for part in ["faster3", "faster3-busy"] {
        let pairs = recorded(part);
        let trials = nights(World { pairs: &pairs, alike: false, gain: 0.0, drift: 0.0, bursts: 0.0 }, 500, 3);
        assert!(kept(&trials) >= 475, "{part}: {}", kept(&trials));
    }
}

/// Noise without any mean, in two modes, heavier on the slow side, with a memory: nothing that a textbook test assumes.
struct Wild {
    dice: Rng,
    slow: bool,
}

impl Wild {
    fn block(&mut self) -> f64 {
        if self.dice.f64() < 0.2 {
            self.slow = !self.slow;
        }
        let heavy = (self.dice.f64() * std::f64::consts::PI).tan().abs();
        let mode = if self.slow { 1.6 } else { 1.0 };
        mode * (1.0 + 0.003 * heavy)
    }

    /// The log ratio of two blocks, a coin saying which is whose.
    fn pair(&mut self, gain: f64) -> f64 {
        let (one, other) = (self.block(), self.block());
        let ratio = if self.dice.bool() { one / other } else { other / one };
        (ratio * (1.0 + gain)).ln()
    }
}

#[test]
fn wild_noise_does_not_make_a_night_of_changes_at_the_margin_keep_one_more_often_than_it_may() {
    // The worst case of the hypothesis: every change is better by exactly the margin, and none may be kept.
    let mut wild = Wild { dice: Rng::with_seed(4), slow: false };
    let (nights, margin) = (1500, 0.01);
    let spoilt = (0..nights)
        .filter(|_| {
            let mut finals = Vec::new();
            (0..30).any(|_| {
                let rule = Rule { margin, aim: Aim::Confirm { level: stats::level(&finals) }, most: 60 }.winnable();
                let ratios: Vec<f64> = (0..rule.most).map(|_| wild.pair(margin)).collect();
                finals.push(rule.follow(&ratios).standing == Standing::Won);
                finals.last() == Some(&true)
            })
        })
        .count();
    assert!(spoilt <= 26, "{spoilt} of {nights} nights, at most 15 expected and a margin for luck");
}
