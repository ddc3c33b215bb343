//! The machine's noise: how far the log ratio of one pair of blocks strays.
//!
//! It is measured where nothing but noise can show: between neighbouring blocks of the baseline, or each two that took turns,
//! which are a pair of equal kernels, and around the middle of a duel's pairs. A slow drift burdens both blocks of a pair alike. The median of the
//! absolute deviations, scaled to the standard deviation of a normal distribution, is not moved by bursts while most pairs are
//! free of them (F. R. Hampel, "The influence curve and its role in robust estimation", 1974).

use crate::protocol::Micros;

use super::location::median;
use super::paired::log_ratios;

/// The standard deviation of a normal distribution over the median of its absolute values.
const SCALE: f64 = 1.4826;

/// The readings that count: older ones are forgotten, so that the noise follows the machine.
const READINGS: usize = 5;

/// The fewest pairs that make a reading.
const FEWEST: usize = 4;

/// Returns the noise of one pair from successive blocks of one text, as a fraction; `None` with too few of them.
pub fn noise_of_blocks(blocks: &[Micros]) -> Option<f64> {
    spread(&log_ratios(blocks, blocks.get(1..)?), 0.0)
}

/// Returns the noise of one pair from the pairs of a duel, or of blocks that took turns, as a fraction; `None` with too few.
pub fn noise_of_pairs(incumbent: &[Micros], candidate: &[Micros]) -> Option<f64> {
    let ratios = log_ratios(incumbent, candidate);
    spread(&ratios, median(&ratios)?)
}

fn spread(ratios: &[f64], middle: f64) -> Option<f64> {
    let sizes: Vec<f64> = ratios.iter().map(|ratio| (ratio - middle).abs()).collect();
    median(&sizes).filter(|_| sizes.len() >= FEWEST).map(|median| SCALE * median)
}

/// Returns the noise of the machine as it is now: the median of the last readings, the newest last; `None` without any.
pub fn noise(readings: &[f64]) -> Option<f64> {
    median(readings.get(readings.len().saturating_sub(READINGS)..).unwrap_or(readings))
}

/// Returns the gain that counts: what the mission asks for, and never less than the noise.
pub fn margin(min_improvement: f64, readings: &[f64]) -> f64 {
    noise(readings).unwrap_or(0.0).max(min_improvement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(values: &[f64]) -> Vec<Micros> {
        values.iter().map(|value| Micros::new(*value).unwrap()).collect()
    }

    #[test]
    fn the_noise_is_the_standard_deviation_of_a_pair() {
        let mut random = fastrand::Rng::with_seed(1);
        // The sum of twelve uniform numbers has a standard deviation of one.
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let side: Vec<f64> = (0..2001).map(|_| 100.0 * (0.01 * normal()).exp()).collect();
        let other: Vec<f64> = (0..2001).map(|_| 80.0 * (0.01 * normal()).exp()).collect();
        let expected = 0.01 * std::f64::consts::SQRT_2;
        for found in [noise_of_blocks(&blocks(&side)), noise_of_pairs(&blocks(&side), &blocks(&other))] {
            let found = found.unwrap();
            assert!((found / expected - 1.0).abs() < 0.1, "{found}, not {expected}");
        }
    }

    #[test]
    fn neither_a_burst_nor_a_drift_is_taken_for_noise() {
        let drift: Vec<f64> = (0..12).map(|i| 100.0 * 1.001_f64.powi(i)).collect();
        assert!(noise_of_blocks(&blocks(&drift)).unwrap() < 0.002);
        let mut burst = vec![100.0, 100.1, 100.0, 100.1, 100.0, 100.1, 100.0, 100.1, 100.0, 100.1];
        burst[4] = 180.0;
        assert!(noise_of_blocks(&blocks(&burst)).unwrap() < 0.002);
    }

    #[test]
    fn too_few_blocks_make_no_reading() {
        assert_eq!(noise_of_blocks(&[]), None);
        assert_eq!(noise_of_blocks(&blocks(&[1.0, 2.0, 3.0])), None);
        assert_eq!(noise_of_pairs(&blocks(&[1.0, 2.0, 3.0]), &blocks(&[1.0, 2.0, 3.0])), None);
    }

    #[test]
    fn the_margin_is_the_mission_s_or_the_noise_and_old_readings_are_forgotten() {
        assert_eq!(margin(0.01, &[]), 0.01);
        assert_eq!(margin(0.01, &[0.002]), 0.01);
        assert_eq!(margin(0.01, &[0.03]), 0.03);
        assert_eq!(margin(0.01, &[0.5, 0.5, 0.5, 0.5, 0.5, 0.02, 0.02, 0.02, 0.02, 0.02]), 0.02);
        assert_eq!(margin(0.01, &[0.02, 0.02, 0.02, 0.9]), 0.02, "one wild reading does not count");
    }
}
