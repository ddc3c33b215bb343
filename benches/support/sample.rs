//! Times of one thing, and their quantiles.

use std::time::Duration;

/// Times of one thing, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// Takes one more time in.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the quantile by nearest rank, in milliseconds; NaN of none.
    pub fn quantile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }

    /// Returns the median, in milliseconds.
    pub fn median(&self) -> f64 {
        self.quantile(50)
    }

    /// Returns the 99th percentile, in milliseconds.
    pub fn p99(&self) -> f64 {
        self.quantile(99)
    }
}
