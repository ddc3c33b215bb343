//! The comparison of a duel: its verdict, its estimate and the interval around it.
//!
//! The unit is the block: one process, one figure. Pair `i` holds the incumbent's and the candidate's block that ran next
//! to each other; `r_i = ln(incumbent / candidate)` is above zero where the candidate was faster. The verdict is that of the
//! sequential test in `sequential.rs`. The estimate is the Hodges-Lehmann one, the median of the means of all pairs of `r`;
//! the interval inverts Wilcoxon's two-sided signed-rank test, exact (F. Wilcoxon, "Individual comparisons by ranking
//! methods", 1945; J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests", 1963).

use crate::protocol::{Comparison, Micros, Verdict};

use super::location::{median, quantile};
use super::sequential::{Course, Rule, Standing};

/// The interval covers the ratio with at least this probability where the number of pairs was fixed and allows it.
pub const COVERAGE: f64 = 0.95;

/// By how much no case may get slower, as a fraction, whatever the others gain.
pub const GUARD: f64 = 0.02;

/// Compares the blocks of a duel, pair by pair. Blocks beyond the shorter side's number are left out; `None` without a pair.
///
/// - *Improved*: the duel was won, and the estimate is above `1 + margin`.
/// - *Not improved*: it was lost, or the estimate is at most `1 + margin`.
/// - *Ambiguous*: the estimate is above it, and might be luck.
pub fn compare(incumbent: &[Micros], candidate: &[Micros], rule: &Rule) -> Option<Comparison> {
    let logs = log_ratios(incumbent, candidate);
    let mut walsh = walsh_averages(&logs);
    walsh.sort_unstable_by(f64::total_cmp);
    let estimate = median(&walsh)?;
    let (low, high) = interval(&walsh, &signed_rank_counts(logs.len()));
    let Course { standing, capital, .. } = rule.follow(&logs);
    let verdict = match standing {
        Standing::Lost => Verdict::NotImproved,
        _ if estimate <= rule.margin.ln_1p() => Verdict::NotImproved,
        Standing::Won => Verdict::Improved,
        Standing::Open | Standing::Promising => Verdict::Ambiguous,
    };
    Some(Comparison {
        verdict,
        ratio: estimate.exp(),
        low: low.exp(),
        high: high.exp(),
        p_value: 1.0 / capital,
        pairs: u32::try_from(logs.len()).unwrap_or(u32::MAX),
        margin: rule.margin,
        setback: None,
    })
}

/// Returns the log ratio of each pair of blocks, above zero where the candidate was faster.
pub fn log_ratios(incumbent: &[Micros], candidate: &[Micros]) -> Vec<f64> {
    incumbent.iter().zip(candidate).map(|(before, after)| (before.get() / after.get()).ln()).collect()
}

/// Returns the ratio of incumbent to candidate at `fraction` of the pairs, where that is a setback: slower than [`GUARD`]
/// allows.
pub fn setback(incumbent: &[Micros], candidate: &[Micros], fraction: f64) -> Option<f64> {
    quantile(&log_ratios(incumbent, candidate), fraction).map(f64::exp).filter(|ratio| ratio * (1.0 + GUARD) < 1.0)
}

/// Returns the means of all pairs of `values`, each with itself included.
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    values.iter().enumerate().flat_map(|(i, a)| values.iter().skip(i).map(move |b| f64::midpoint(*a, *b))).collect()
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
    use crate::stats::{Aim, level};

    fn blocks(values: &[f64]) -> Vec<Micros> {
        values.iter().map(|value| Micros::new(*value).unwrap()).collect()
    }

    fn confirm(margin: f64) -> Rule {
        Rule { margin, aim: Aim::Confirm { level: level(&[]) }, most: 30 }
    }

    #[test]
    fn ten_clear_wins_are_an_improvement() {
        let candidate: Vec<f64> = (0..10).map(|i| 50.0 + f64::from(i) * 0.1).collect();
        let found = compare(&blocks(&[100.0; 10]), &blocks(&candidate), &confirm(0.01)).unwrap();
        assert_eq!(found.verdict, Verdict::Improved);
        assert!(found.ratio > 1.95 && found.ratio < 2.05, "{found:?}");
        assert!(found.p_value < level(&[]), "{found:?}");
        assert!(found.low <= found.ratio && found.ratio <= found.high, "{found:?}");
    }

    #[test]
    fn four_wins_are_too_few_to_be_sure() {
        let found = compare(&blocks(&[100.0; 4]), &blocks(&[50.0, 51.0, 52.0, 53.0]), &confirm(0.01)).unwrap();
        assert_eq!(found.verdict, Verdict::Ambiguous);
        assert_eq!(found.pairs, 4);
    }

    #[test]
    fn a_screening_finds_a_gain_worth_a_confirmation_and_never_confirms_it() {
        let rule = Rule { margin: 0.01, aim: Aim::Screen, most: 6 };
        let of = |candidate: f64| compare(&blocks(&[100.0; 6]), &blocks(&[candidate; 6]), &rule).unwrap().verdict;
        assert_eq!((of(50.0), of(99.5)), (Verdict::Ambiguous, Verdict::NotImproved));
    }

    #[test]
    fn a_setback_is_a_case_slower_than_the_guard_allows() {
        let before = blocks(&[100.0; 4]);
        assert_eq!(setback(&before, &blocks(&[101.0; 4]), 0.5), None);
        assert!((setback(&before, &blocks(&[103.0; 4]), 0.5).unwrap() - 1.0 / 1.03).abs() < 1e-12);
        let mixed = blocks(&[90.0, 150.0, 150.0, 150.0]);
        assert!(setback(&before, &mixed, 0.5).is_some() && setback(&before, &mixed, 1.0).is_none());
    }

    #[test]
    fn identical_blocks_are_no_improvement() {
        let found = compare(&blocks(&[7.0; 12]), &blocks(&[7.0; 12]), &confirm(0.0)).unwrap();
        assert_eq!(found.verdict, Verdict::NotImproved);
        assert_eq!(found.ratio, 1.0);
        assert_eq!(found.p_value, 1.0, "zeros count against the candidate");
    }

    #[test]
    fn a_gain_below_the_margin_is_no_improvement() {
        let candidate: Vec<f64> = (0..10).map(|i| 99.5 + f64::from(i) * 0.001).collect();
        assert_eq!(
            compare(&blocks(&[100.0; 10]), &blocks(&candidate), &confirm(0.01)).unwrap().verdict,
            Verdict::NotImproved
        );
    }

    #[test]
    fn one_wild_block_does_not_decide() {
        let mut candidate = vec![100.0; 10];
        candidate[3] = 1.0;
        let found = compare(&blocks(&[100.0; 10]), &blocks(&candidate), &confirm(0.01)).unwrap();
        assert_eq!(found.verdict, Verdict::NotImproved, "{found:?}");
    }

    #[test]
    fn a_drift_that_both_sides_share_cancels() {
        let drift: Vec<f64> = (0..10).map(|i| 100.0 * 1.05_f64.powi(i)).collect();
        let found = compare(&blocks(&drift), &blocks(&drift), &confirm(0.01)).unwrap();
        assert_eq!(found.verdict, Verdict::NotImproved);
    }

    #[test]
    fn without_a_pair_there_is_no_comparison() {
        assert_eq!(compare(&[], &blocks(&[1.0]), &confirm(0.01)), None);
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
                    let found = compare(&incumbent, &candidate, &confirm(0.0)).unwrap();
                    found.low <= 1.0 && 1.0 <= found.high
                })
                .count();
            assert!(covered * 100 >= tries * 94, "{covered} of {tries} with {pairs} pairs");
        }
    }
}
