//! One number for many: the metric of a block, and of a side.

use serde::{Deserialize, Serialize};

use crate::protocol::{BadMicros, MetricName, Micros};

/// Returns the median of `values`, the mean of the two middle ones where their number is even; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    median_of(&mut values.to_vec())
}

/// Returns the median, as [`median`] does, and leaves the values in another order.
fn median_of(values: &mut [f64]) -> Option<f64> {
    let (lower, upper) = neighbours(values, values.len().checked_sub(1)? / 2)?;
    if values.len() % 2 == 1 { Some(lower) } else { upper.map(|upper| f64::midpoint(lower, upper)) }
}

/// Returns the quantile of `values` at `fraction`, between its two neighbours where it falls between them; `None` of none.
pub fn quantile(values: &[f64], fraction: f64) -> Option<f64> {
    quantile_of(&mut values.to_vec(), fraction)
}

/// Returns the quantile, as [`quantile`] does, and leaves the values in another order.
fn quantile_of(values: &mut [f64], fraction: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a count of calls is far below 2^52")]
    let place = fraction.clamp(0.0, 1.0) * values.len().saturating_sub(1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies within the values")]
    let (low, high) = neighbours(values, place as usize)?;
    Some(low + (high.unwrap_or(low) - low) * place.fract())
}

/// Returns the value that would stand at `place` if the values were sorted, and the one after it, which the last has not.
/// The others are not sorted for it.
fn neighbours(values: &mut [f64], place: usize) -> Option<(f64, Option<f64>)> {
    if place >= values.len() {
        return None;
    }
    let (_, value, above) = values.select_nth_unstable_by(place, f64::total_cmp);
    Some((*value, above.iter().copied().min_by(f64::total_cmp)))
}

/// Returns the arithmetic mean of `values`; `None` of none.
pub fn mean(values: &[f64]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a count of calls is far below 2^52")]
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Returns the geometric mean of `values`, all above zero; `None` of none.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    mean(&logs).map(f64::exp)
}

/// Returns the metric of one case's calls in one block, in microseconds.
///
/// # Errors
/// Where there are no calls, or their metric is no time.
pub fn case_metric(metric: MetricName, calls: &[Micros]) -> Result<Micros, BadMicros> {
    let mut calls: Vec<f64> = calls.iter().map(|us| us.get()).collect();
    let value = match metric {
        MetricName::MedianUs | MetricName::GmeanUs => median_of(&mut calls),
        MetricName::MeanUs => mean(&calls),
    };
    Micros::new(value.unwrap_or(f64::NAN))
}

/// The part of a case's calls that is faster than the time by which blocks are compared.
const STEADY: f64 = 0.2;

/// Returns the time of one case's calls in one block by which blocks are compared, in microseconds: their 20th percentile.
///
/// What disturbs a call only ever makes it slower, and often comes in bursts of many calls: a low quantile stays where the
/// undisturbed calls are, when the median and the mean have long moved. It says which of two kernels is faster, and is
/// never shown as a kernel's time.
///
/// # Errors
/// Where there are no calls.
pub fn steady(calls: &[Micros]) -> Result<Micros, BadMicros> {
    let mut calls: Vec<f64> = calls.iter().map(|us| us.get()).collect();
    Micros::new(quantile_of(&mut calls, STEADY).unwrap_or(f64::NAN))
}

/// How the metrics of several cases become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// Their geometric mean.
    #[default]
    GeometricMean,
    /// Their arithmetic mean.
    ArithmeticMean,
    /// The last case's alone.
    Last,
}

/// Returns the metric over several cases.
///
/// # Errors
/// Where there are no cases.
pub fn over_cases(ranking: Ranking, cases: &[Micros]) -> Result<Micros, BadMicros> {
    let values: Vec<f64> = cases.iter().map(|us| us.get()).collect();
    let value = match (ranking, values.as_slice()) {
        // A single case is its own mean, to the last bit.
        (_, [one]) => Some(*one),
        (Ranking::GeometricMean, values) => geometric_mean(values),
        (Ranking::ArithmeticMean, values) => mean(values),
        (Ranking::Last, values) => values.last().copied(),
    };
    Micros::new(value.unwrap_or(f64::NAN))
}

/// Returns the metric over several blocks: their median.
///
/// # Errors
/// Where there are no blocks.
pub fn over_blocks(blocks: &[Micros]) -> Result<Micros, BadMicros> {
    let mut values: Vec<f64> = blocks.iter().map(|us| us.get()).collect();
    Micros::new(median_of(&mut values).unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn neighbours_are_those_of_the_sorted_values(
            values in prop::collection::vec(prop_oneof![-5.0..5.0_f64, (-3..3_i32).prop_map(f64::from)], 0..90),
            place in 0..90_usize,
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let expected = sorted.get(place).map(|value| (*value, sorted.get(place + 1).copied()));
            prop_assert_eq!(neighbours(&mut values.clone(), place), expected);
        }
    }

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let values = [40.0, 10.0, 30.0, 20.0, 50.0];
        assert_eq!(quantile(&values, 0.0), Some(10.0));
        assert_eq!(quantile(&values, 0.25), Some(20.0));
        assert_eq!(quantile(&values, 0.9), Some(46.0));
        assert_eq!(quantile(&values, 1.0), Some(50.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn the_steady_time_is_not_moved_by_a_burst_that_slows_most_calls() {
        let calls = |slow: usize| (0..60).map(|i| Micros::new(if i < slow { 180.0 } else { 100.0 }).unwrap()).collect();
        let (quiet, burst): (Vec<_>, Vec<_>) = (calls(0), calls(45));
        assert_eq!(steady(&quiet).unwrap(), steady(&burst).unwrap());
        assert_eq!(case_metric(MetricName::MedianUs, &burst).unwrap().get(), 180.0, "the metric tells what happened");
        assert!(steady(&[]).is_err());
    }

    #[test]
    fn cases_count_alike_whatever_their_size() {
        let us = |value| Micros::new(value).unwrap();
        let gmean = over_cases(Ranking::GeometricMean, &[us(10.0), us(1000.0)]).unwrap();
        assert!((gmean.get() - 100.0).abs() < 1e-9);
        assert_eq!(over_cases(Ranking::GeometricMean, &[us(0.1)]).unwrap(), us(0.1));
        assert!(over_cases(Ranking::GeometricMean, &[]).is_err());
    }

    #[test]
    fn the_mission_s_metric_is_taken() {
        let calls: Vec<_> = [1.0, 2.0, 9.0].map(|value| Micros::new(value).unwrap()).to_vec();
        assert_eq!(case_metric(MetricName::MedianUs, &calls).unwrap().get(), 2.0);
        assert_eq!(case_metric(MetricName::MeanUs, &calls).unwrap().get(), 4.0);
        assert!(case_metric(MetricName::MeanUs, &[]).is_err());
    }
}
