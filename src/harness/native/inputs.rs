//! Fresh inputs for every call, from a seed that the kernel cannot know.

use rand_distr::{Distribution as _, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::dtype::Dtype;
use super::toml_file::Distribution;

/// The random numbers of one call, and of nothing else.
pub(super) type Stream = Xoshiro256PlusPlus;

/// Returns the stream of a case's call.
pub(super) fn stream(seed: u64, case: u64, call: u64) -> Stream {
    let mut hasher = blake3::Hasher::new();
    for number in [seed, case, call] {
        hasher.update(&number.to_le_bytes());
    }
    Stream::from_seed(*hasher.finalize().as_bytes())
}

/// Fills an input.
pub(super) fn fill(stream: &mut Stream, dtype: Dtype, distribution: Distribution, bytes: &mut [u8]) {
    match distribution {
        Distribution::Uniform { low, high } if dtype.integer_range().is_some() => {
            dtype.encode(bytes, || (low + unit(stream) * (high - low + 1.0)).floor().min(high));
        }
        Distribution::Uniform { low, high } => dtype.encode(bytes, || low + unit(stream) * (high - low)),
        Distribution::Normal { mean, std } => {
            dtype.encode(bytes, || {
                let standard: f64 = StandardNormal.sample(stream);
                mean + std * standard
            });
        }
    }
}

/// Fills an output with what no kernel writes by itself: NaN, or for integers a byte of the stream.
pub(super) fn poison(stream: &mut Stream, dtype: Dtype, bytes: &mut [u8]) {
    let byte = if dtype.integer_range().is_some() { byte(stream) } else { 0xff };
    bytes.fill(byte);
}

/// Returns a random byte.
pub(super) fn byte(stream: &mut Stream) -> u8 {
    let [byte, ..] = stream.next_u64().to_be_bytes();
    byte
}

/// Returns a number from 0 to below `end`, or 0.
pub(super) fn below(stream: &mut Stream, end: u32) -> u32 {
    // The bias of the remainder is below one in four thousand million.
    u32::try_from(stream.next_u64().checked_rem(u64::from(end)).unwrap_or(0)).unwrap_or(0)
}

/// A double from 0 to below 1, of 53 random bits.
fn unit(stream: &mut Stream) -> f64 {
    const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
    (stream.next_u64() >> 11) as f64 * SCALE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(call: u64, dtype: Dtype, distribution: Distribution) -> Vec<f64> {
        let mut bytes = vec![0; 4096 * dtype.size()];
        fill(&mut stream(7, 0, call), dtype, distribution, &mut bytes);
        dtype.decode(&bytes)
    }

    #[test]
    fn the_same_call_gets_the_same_inputs_and_another_call_others() {
        let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
        assert_eq!(filled(1, Dtype::F32, normal), filled(1, Dtype::F32, normal));
        assert_ne!(filled(1, Dtype::F32, normal), filled(2, Dtype::F32, normal));
    }

    #[test]
    fn uniform_values_stay_in_their_range_and_integers_reach_both_ends() {
        let uniform = Distribution::Uniform { low: -2.0, high: 3.0 };
        assert!(filled(1, Dtype::F64, uniform).iter().all(|value| (-2.0..3.0).contains(value)));
        let integers = filled(1, Dtype::I32, uniform);
        for value in -2..=3 {
            assert!(integers.contains(&f64::from(value)));
        }
        assert!(integers.iter().all(|value| (-2.0..=3.0).contains(value) && value.fract() == 0.0));
        let bytes = filled(1, Dtype::U8, Distribution::Uniform { low: 0.0, high: 255.0 });
        assert!(bytes.contains(&0.0) && bytes.contains(&255.0));
    }

    #[test]
    fn poisoned_floats_are_nan() {
        let mut bytes = [0; 16];
        poison(&mut stream(1, 1, 1), Dtype::F32, &mut bytes);
        assert!(Dtype::F32.decode(&bytes).iter().all(|value| value.is_nan()));
        assert!(Dtype::F64.decode(&bytes).iter().all(|value| value.is_nan()));
    }
}
