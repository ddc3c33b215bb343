//! The comparison of a duel: paired log ratios, and an exact signed-rank test against the margin.
//!
//! The unit is the block: one process, one figure. Pair `i` holds the incumbent's and the candidate's block that ran next
//! to each other; `r_i = ln(incumbent / candidate)` is above zero where the candidate was faster. The estimate is the
//! Hodges-Lehmann one, the median of the means of all pairs of `r`; the test is Wilcoxon's signed-rank test of
//! `r_i - ln(1 + margin)`, exact, one-sided; the interval inverts the two-sided test (F. Wilcoxon, "Individual comparisons
//! by ranking methods", 1945; J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests", 1963).

use crate::protocol::{Comparison, Micros, Verdict};

use super::location::median;

/// The chance of an undeserved "improved" in one duel.
pub const ALPHA: f64 = 0.01;

/// The interval covers the ratio with at least this probability where the number of pairs allows it.
pub const COVERAGE: f64 = 0.95;

/// Compares the blocks of a duel, pair by pair. Blocks beyond the shorter side's number are left out; `None` without a pair.
///
/// - *Improved*: the estimate is above `1 + margin`, and blocks like these have a chance of at most [`ALPHA`] where it is not.
/// - *Not improved*: the estimate is at most `1 + margin`.
/// - *Ambiguous*: the estimate is above it, and might be luck.
pub fn compare(incumbent: &[Micros], candidate: &[Micros], margin: f64) -> Option<Comparison> {
    let logs: Vec<f64> =
        incumbent.iter().zip(candidate).map(|(before, after)| (before.get() / after.get()).ln()).collect();
    let mut walsh = walsh_averages(&logs);
    let estimate = median(&walsh)?;
    walsh.sort_by(f64::total_cmp);
    let counts = signed_rank_counts(logs.len());
    let bound = (1.0 + margin).ln();
    let shifted: Vec<f64> = logs.iter().map(|log| log - bound).collect();
    let p_value = upper_tail(&counts, signed_rank(&shifted));
    let (low, high) = interval(&walsh, &counts);
    let verdict = if estimate <= bound {
        Verdict::NotImproved
    } else if p_value <= ALPHA {
        Verdict::Improved
    } else {
        Verdict::Ambiguous
    };
    Some(Comparison {
        verdict,
        ratio: estimate.exp(),
        low: low.exp(),
        high: high.exp(),
        p_value,
        pairs: u32::try_from(logs.len()).unwrap_or(u32::MAX),
    })
}

/// Returns the means of all pairs of `values`, each with itself included.
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    values.iter().enumerate().flat_map(|(i, a)| values.iter().skip(i).map(move |b| f64::midpoint(*a, *b))).collect()
}

/// Returns the sum of the ranks of the values above zero, by absolute value. Tied values share their mean rank; a zero counts
/// against the candidate.
fn signed_rank(values: &[f64]) -> f64 {
    let rank = |value: f64| {
        let below = values.iter().filter(|other| other.abs() < value.abs()).count();
        let tied = values.iter().filter(|other| other.abs() == value.abs()).count();
        #[expect(clippy::cast_precision_loss, reason = "a number of blocks is far below 2^52")]
        let rank = below as f64 + (tied as f64 + 1.0) / 2.0;
        rank
    };
    values.iter().filter(|value| **value > 0.0).map(|value| rank(*value)).sum()
}

/// Returns how many of the 2^n equally likely sign patterns have each sum of ranks from 0 to n(n+1)/2, as fractions.
fn signed_rank_counts(n: usize) -> Vec<f64> {
    let mut fractions = vec![1.0];
    for rank in 1..=n {
        let mut next = vec![0.0; fractions.len() + rank];
        for (sum, fraction) in fractions.iter().enumerate() {
            for place in [sum, sum + rank] {
                if let Some(slot) = next.get_mut(place) {
                    *slot += fraction / 2.0;
                }
            }
        }
        fractions = next;
    }
    fractions
}

/// Returns the chance of a sum of ranks of at least `sum`.
fn upper_tail(fractions: &[f64], sum: f64) -> f64 {
    let whole = |place: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a sum of ranks is far below 2^52")]
        let value = place as f64;
        value
    };
    fractions.iter().enumerate().filter(|(place, _)| whole(*place) >= sum).map(|(_, fraction)| fraction).sum()
}

/// Returns the interval of the estimate: from the `cut`-th smallest average to the `cut`-th largest, where at most half of
/// the allowed chance lies on sums of ranks below `cut`. With too few pairs it spans every average.
fn interval(sorted: &[f64], fractions: &[f64]) -> (f64, f64) {
    let mut tail = 0.0;
    let cut = fractions
        .iter()
        .take_while(|fraction| {
            tail += **fraction;
            tail <= (1.0 - COVERAGE) / 2.0
        })
        .count();
    let place = cut.saturating_sub(1);
    let low = sorted.get(place).copied().unwrap_or(f64::NAN);
    let high = sorted.iter().rev().nth(place).copied().unwrap_or(f64::NAN);
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(values: &[f64]) -> Vec<Micros> {
        values.iter().map(|value| Micros::new(*value).unwrap()).collect()
    }

    #[test]
    fn ten_clear_wins_are_an_improvement() {
        let candidate: Vec<f64> = (0..10).map(|i| 50.0 + f64::from(i) * 0.1).collect();
        let found = compare(&blocks(&[100.0; 10]), &blocks(&candidate), 0.01).unwrap();
        assert_eq!(found.verdict, Verdict::Improved);
        assert!(found.ratio > 1.95 && found.ratio < 2.05, "{found:?}");
        assert!((found.p_value - 1.0 / 1024.0).abs() < 1e-12, "all ten of 2^10 sign patterns: {found:?}");
        assert!(found.low <= found.ratio && found.ratio <= found.high, "{found:?}");
    }

    #[test]
    fn four_wins_are_too_few_to_be_sure() {
        let found = compare(&blocks(&[100.0; 4]), &blocks(&[50.0, 51.0, 52.0, 53.0]), 0.01).unwrap();
        assert_eq!(found.verdict, Verdict::Ambiguous);
        assert_eq!(found.pairs, 4);
    }

    #[test]
    fn identical_blocks_are_no_improvement() {
        let found = compare(&blocks(&[7.0; 12]), &blocks(&[7.0; 12]), 0.0).unwrap();
        assert_eq!(found.verdict, Verdict::NotImproved);
        assert_eq!(found.ratio, 1.0);
        assert_eq!(found.p_value, 1.0, "zeros count against the candidate");
    }

    #[test]
    fn a_gain_below_the_margin_is_no_improvement() {
        let candidate: Vec<f64> = (0..10).map(|i| 99.5 + f64::from(i) * 0.001).collect();
        assert_eq!(compare(&blocks(&[100.0; 10]), &blocks(&candidate), 0.01).unwrap().verdict, Verdict::NotImproved);
    }

    #[test]
    fn one_wild_block_does_not_decide() {
        let mut candidate = vec![100.0; 10];
        candidate[3] = 1.0;
        let found = compare(&blocks(&[100.0; 10]), &blocks(&candidate), 0.01).unwrap();
        assert_eq!(found.verdict, Verdict::NotImproved, "{found:?}");
    }

    #[test]
    fn a_drift_that_both_sides_share_cancels() {
        let drift: Vec<f64> = (0..10).map(|i| 100.0 * 1.05_f64.powi(i)).collect();
        let found = compare(&blocks(&drift), &blocks(&drift), 0.01).unwrap();
        assert_eq!(found.verdict, Verdict::NotImproved);
    }

    #[test]
    fn without_a_pair_there_is_no_comparison() {
        assert_eq!(compare(&[], &blocks(&[1.0]), 0.01), None);
    }

    #[test]
    fn the_distribution_of_the_signed_rank_is_exact() {
        let fractions = signed_rank_counts(4);
        assert_eq!(fractions.len(), 11);
        // Of the 16 sign patterns of 4 ranks, two have the sum 5: {1,4} and {2,3}.
        assert_eq!(fractions.get(5), Some(&(2.0 / 16.0)));
        assert!((fractions.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_interval_covers_the_ratio_as_often_as_it_says() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut block = || Micros::new(100.0 * (0.2 * (random.f64() + random.f64() - 1.0)).exp()).unwrap();
        for pairs in [6, 8, 10, 12] {
            let tries = 2000;
            let covered = (0..tries)
                .filter(|_| {
                    let incumbent: Vec<_> = (0..pairs).map(|_| block()).collect();
                    let candidate: Vec<_> = (0..pairs).map(|_| block()).collect();
                    let found = compare(&incumbent, &candidate, 0.0).unwrap();
                    found.low <= 1.0 && 1.0 <= found.high
                })
                .count();
            assert!(covered * 100 >= tries * 94, "{covered} of {tries} with {pairs} pairs");
        }
    }

    #[test]
    fn the_chance_of_an_undeserved_improvement_stays_below_alpha() {
        // Equal kernels under symmetric noise: the exact test keeps its level.
        let mut random = fastrand::Rng::with_seed(7);
        let mut block = || Micros::new(100.0 * (0.2 * (random.f64() + random.f64() - 1.0)).exp()).unwrap();
        let tries = 4000;
        let kept = (0..tries)
            .filter(|_| {
                let incumbent: Vec<_> = (0..10).map(|_| block()).collect();
                let candidate: Vec<_> = (0..10).map(|_| block()).collect();
                compare(&incumbent, &candidate, 0.0).unwrap().verdict == Verdict::Improved
            })
            .count();
        assert!(kept <= 60, "{kept} of {tries}, expected at most 40 and a margin for luck");
    }
}
