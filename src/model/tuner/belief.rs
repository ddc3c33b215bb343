//! What the measurements say of one tunable's values.
//!
//! The logarithm of the kernel's speed is taken as a sum of one unknown function for each tunable, with a Gaussian
//! prior: values that are near each other in the order of their numbers behave alike, so that a gain points on in its
//! direction, and a tunable's scale is learnt from the gains and losses it has shown. Each duel observes the
//! difference between two values; conditioning is exact. What the sum leaves out, interaction, is noise that grows with
//! the distance between the setting in which a difference was seen and the present one: old losses fade, and a value
//! may be tried again elsewhere. See Rasmussen and Williams, "Gaussian Processes for Machine Learning", chapter 2.

use std::collections::BTreeMap;

use super::kernel::Tunable;

/// The prior's scale of a tunable's effect, as a logarithm of speed, and the number of observations it is worth.
const SCALE: f64 = 0.1;
const SCALE_WEIGHT: f64 = 2.0;
/// The number of steps over which values behave alike.
const LENGTH: f64 = 2.0;
/// The share of a value's effect that is its own.
const OWN: f64 = 0.02;
/// What a value that is sure to fail costs, as a logarithm of speed.
const FAILURE_COST: f64 = 0.2;
/// The standard deviation that interaction adds for each other tunable that was set differently.
const INTERACTION: f64 = 0.03;

/// A measured difference: how much faster value `to` is than value `from`, all else equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The logarithm of the ratio of speeds.
    pub(super) gain: f64,
    /// The measurement's variance.
    pub(super) variance: f64,
    /// How many other tunables were set differently than they are now.
    pub(super) away: usize,
}

/// What is known of one tunable.
#[derive(Clone, Debug, Default)]
pub(super) struct Observations {
    /// The measured differences.
    pub(super) differences: Vec<Difference>,
    /// Settings with the value that passed and that failed, by value.
    pub(super) passed: BTreeMap<usize, u32>,
    /// See `passed`.
    pub(super) failed: BTreeMap<usize, u32>,
}

impl Observations {
    /// Tells whether a change to the value was ever measured.
    pub(super) fn tried(&self, value: usize) -> bool {
        self.passed.contains_key(&value) || self.failed.contains_key(&value)
    }
}

/// The posterior over one tunable's values.
#[derive(Clone, Debug)]
pub(super) struct Belief<'a> {
    tunable: &'a Tunable,
    seen: &'a Observations,
    mean: Vec<f64>,
    covariance: Vec<Vec<f64>>,
}

/// How much faster a move is believed to make the kernel, as a logarithm of speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expectation {
    /// The expected gain.
    pub(super) gain: f64,
    /// Its standard deviation.
    pub(super) spread: f64,
    /// The chance that the kernel fails, a rough one.
    pub(super) risk: f64,
}

impl<'a> Belief<'a> {
    /// Returns the posterior after `seen`.
    pub(super) fn new(tunable: &'a Tunable, seen: &'a Observations) -> Self {
        let count = tunable.values.len();
        let pooled = pooled(&seen.differences);
        let scale = scale(&pooled);
        let prior = |a: usize, b: usize| scale * (alike(tunable, a, b, LENGTH) + if a == b { OWN } else { 0.0 });
        let covariance = (0..count).map(|a| (0..count).map(|b| prior(a, b)).collect()).collect();
        let mut belief = Self { tunable, seen, mean: vec![0.0; count], covariance };
        for ((from, to), (gain, variance)) in pooled {
            belief.observe(from, to, gain, variance);
        }
        belief
    }

    /// Conditions on one difference.
    fn observe(&mut self, from: usize, to: usize, gain: f64, variance: f64) {
        let surprise = gain - (self.mean_of(to) - self.mean_of(from));
        // The covariance of each value with the difference.
        let along: Vec<f64> = (0..self.mean.len()).map(|value| self.cov(value, to) - self.cov(value, from)).collect();
        let at = |value: usize| along.get(value).copied().unwrap_or_default();
        let total = at(to) - at(from) + variance;
        for ((mean, row), own) in self.mean.iter_mut().zip(&mut self.covariance).zip(&along) {
            *mean += own * surprise / total;
            for (cell, other) in row.iter_mut().zip(&along) {
                *cell -= own * other / total;
            }
        }
    }

    fn mean_of(&self, value: usize) -> f64 {
        self.mean.get(value).copied().unwrap_or_default()
    }

    fn cov(&self, a: usize, b: usize) -> f64 {
        self.covariance.get(a).and_then(|row| row.get(b)).copied().unwrap_or_default()
    }

    /// Returns what is believed of the move from one value to another.
    pub(super) fn expect(&self, from: usize, to: usize) -> Expectation {
        let variance = self.cov(from, from) + self.cov(to, to) - 2.0 * self.cov(from, to);
        Expectation {
            gain: self.mean_of(to) - self.mean_of(from),
            spread: variance.max(0.0).sqrt(),
            risk: self.risk(to),
        }
    }

    /// Returns how promising the move is: its expected gain, what it may turn out to be beyond that, and what its
    /// failure would cost. Optimism falls with the distance: a long jump from a good value is seldom to a better one.
    pub(super) fn promise(&self, from: usize, to: usize) -> f64 {
        let expected = self.expect(from, to);
        let steps = self.tunable.steps(from, to).max(1) as f64;
        expected.gain + expected.spread / steps.sqrt() - FAILURE_COST * expected.risk
    }

    fn risk(&self, value: usize) -> f64 {
        let near = |counts: &BTreeMap<usize, u32>| -> f64 {
            counts.iter().map(|(other, count)| alike(self.tunable, value, *other, 1.0) * f64::from(*count)).sum()
        };
        let failed = near(&self.seen.failed);
        failed / (failed + near(&self.seen.passed) + 1.0)
    }
}

/// Returns the likeness of two values: 1 of a value with itself, 0 of values that have no order.
fn alike(tunable: &Tunable, a: usize, b: usize, length: f64) -> f64 {
    if a == b {
        return 1.0;
    }
    if tunable.ranks.is_none() {
        return 0.0;
    }
    let steps = tunable.steps(a, b) as f64 / length;
    (-0.5 * steps * steps).exp()
}

/// The ends of a difference, its mean and its variance.
type Pooled = ((usize, usize), (f64, f64));

/// Returns the variance of a tunable's effect: the prior's, and what the differences show beyond their noise.
fn scale(pooled: &[Pooled]) -> f64 {
    let shown: f64 = pooled.iter().map(|(_, (gain, variance))| (gain * gain - variance).max(0.0)).sum();
    (SCALE_WEIGHT * SCALE * SCALE + shown) / (SCALE_WEIGHT + pooled.len() as f64)
}

/// Returns the differences with equal ends as one: the mean, weighted by precision, and its variance.
fn pooled(differences: &[Difference]) -> Vec<Pooled> {
    let mut sums: BTreeMap<(usize, usize), (f64, f64)> = BTreeMap::new();
    for seen in differences {
        let weight = 1.0 / (seen.variance + INTERACTION * INTERACTION * seen.away as f64);
        let (gains, weights) = sums.entry((seen.from, seen.to)).or_default();
        *gains += weight * seen.gain;
        *weights += weight;
    }
    sums.into_iter().map(|(ends, (gains, weights))| (ends, (gains / weights, 1.0 / weights))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunable(values: usize, ordered: bool) -> Tunable {
        Tunable {
            name: "T".to_owned(),
            values: (0..values).map(|value| value.to_string()).collect(),
            ranks: ordered.then(|| (0..values).collect()),
        }
    }

    fn difference(from: usize, to: usize, gain: f64) -> Difference {
        Difference { from, to, gain, variance: 1e-4, away: 0 }
    }

    fn after(differences: Vec<Difference>) -> Observations {
        let passed = differences.iter().map(|seen| (seen.to, 1)).collect();
        Observations { differences, passed, failed: BTreeMap::new() }
    }

    #[test]
    fn a_gain_points_on_in_its_direction_and_a_loss_back() {
        let tunable = tunable(8, true);
        let won = after(vec![difference(3, 4, 0.1)]);
        let belief = Belief::new(&tunable, &won);
        assert!(belief.expect(4, 5).gain > 0.02);
        assert!(belief.promise(4, 5) > belief.promise(4, 3));
        let lost = after(vec![difference(3, 4, -0.1)]);
        let belief = Belief::new(&tunable, &lost);
        assert!(belief.expect(3, 2).gain > 0.02);
        assert!(belief.expect(3, 5).gain < -0.1);
    }

    #[test]
    fn an_estimate_approaches_what_is_measured_again_and_again() {
        let tunable = tunable(2, false);
        let once = after(vec![Difference { variance: 0.01, ..difference(0, 1, 0.05) }]);
        let often = after(vec![Difference { variance: 0.01, ..difference(0, 1, 0.05) }; 200]);
        let (once, often) = (Belief::new(&tunable, &once).expect(0, 1), Belief::new(&tunable, &often).expect(0, 1));
        assert!(once.gain > 0.0 && once.gain < 0.045, "{once:?}");
        assert!((often.gain - 0.05).abs() < 0.005 && often.spread < once.spread, "{often:?}");
    }

    #[test]
    fn a_loss_seen_in_another_setting_weighs_less() {
        let tunable = tunable(2, false);
        let here = after(vec![difference(0, 1, -0.1)]);
        let elsewhere = after(vec![Difference { away: 6, ..difference(0, 1, -0.1) }]);
        assert!(Belief::new(&tunable, &elsewhere).promise(0, 1) > Belief::new(&tunable, &here).promise(0, 1));
    }

    #[test]
    fn a_tunable_that_mattered_leaves_more_open_than_one_that_did_not() {
        let tunable = tunable(5, false);
        let (large, small) = (after(vec![difference(0, 1, -0.3)]), after(vec![difference(0, 1, -0.001)]));
        let spread = |seen| Belief::new(&tunable, seen).expect(0, 2).spread;
        assert!(spread(&large) > 1.5 * spread(&small));
    }

    #[test]
    fn values_near_a_failed_one_come_later() {
        let tunable = tunable(8, true);
        let seen = Observations { failed: BTreeMap::from([(5, 1)]), ..Observations::default() };
        let belief = Belief::new(&tunable, &seen);
        assert!(belief.promise(3, 2) > belief.promise(3, 4));
        assert!(belief.expect(3, 5).risk > belief.expect(3, 6).risk);
    }
}
