//! The error of a whole night: what each confirmation may spend of it.
//!
//! A night tries to confirm some changes one after the other, nobody knows how many. The chance that it keeps *any* change
//! that is not better than the margin shall be at most [`NIGHT`]. The method is the online fallback procedure (J. Tian and
//! A. Ramdas, "Online control of the familywise error rate", 2021): try `i` has the share `γ_i` of the night's error, with
//! `Σ γ_i ≤ 1`, and inherits the level of the try before it where that one was confirmed:
//!
//! ```text
//! level_i = NIGHT · γ_i + (level_{i-1} where try i-1 was confirmed, else 0),   γ_i = i^-1.6 / ζ(1.6)
//! ```
//!
//! *Why it holds.* Each try, given all that happened before, confirms a bad change with a chance of at most its level: its
//! test is valid on its own, and the level is fixed before the first pair. So the chance of any bad KEEP is at most the mean
//! of the sum of the levels of the bad tries up to the first bad KEEP. Until then, every confirmed try was a good one, and a
//! share that a good try passes on reaches one later try only. So each `NIGHT · γ_j` stands in that sum at most once, and the
//! sum is at most `NIGHT`. Nothing else is assumed: the changes may depend on one another and on all results before.
//!
//! A try counts from its start. One that the infrastructure ended, or the kernel's failure, has spent its share: otherwise
//! what fails only while it is losing could try again for nothing.

/// The chance that a night keeps any change that is not better than the margin.
pub const NIGHT: f64 = 0.01;

/// The sum of `i^-1.6` over all `i`, rounded up.
const ZETA: f64 = 2.285_766;

/// Returns the level of the next try, given for each try before it whether it was confirmed.
pub fn level(earlier: &[bool]) -> f64 {
    let share = |number: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a number of tries is far below 2^52")]
        let number = number as f64;
        NIGHT * number.powf(-1.6) / ZETA
    };
    let carried =
        earlier.iter().enumerate().fold(
            0.0,
            |carried, (place, confirmed)| {
                if *confirmed { carried + share(place.saturating_add(1)) } else { 0.0 }
            },
        );
    carried + share(earlier.len().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_never_exceed_the_night_s_error() {
        // The rest of the series after n terms is below n^-0.6 / 0.6.
        let tries = 2000;
        let spent: f64 = (0..tries).map(|tried| level(&vec![false; tried])).sum();
        let rest = NIGHT / ZETA * f64::from(2000).powf(-0.6) / 0.6;
        assert!(spent + rest <= NIGHT * 1.000_001, "{spent} and at most {rest}");
    }

    #[test]
    fn what_a_confirmed_try_had_goes_to_the_next_and_to_no_other() {
        let (first, second, third) = (level(&[]), level(&[false]), level(&[false, false]));
        assert_eq!(level(&[true]), first + second);
        assert_eq!(level(&[true, false]), third);
        assert!((level(&[true, true]) - (first + second + third)).abs() < 1e-15);
        assert!((level(&[false, true]) - (second + third)).abs() < 1e-15);
    }

    #[test]
    fn a_night_of_gamblers_keeps_hardly_ever_anything() {
        // Each try is confirmed with exactly its level, the most that its test allows.
        let mut random = fastrand::Rng::with_seed(3);
        let nights = 20_000;
        let spoilt = (0..nights)
            .filter(|_| {
                let mut history = Vec::new();
                (0..60).any(|_| {
                    let good = random.f64() < 0.3;
                    let confirmed = good || random.f64() < level(&history);
                    history.push(confirmed);
                    confirmed && !good
                })
            })
            .count();
        assert!(spoilt <= 245, "{spoilt} of {nights} nights, at most 200 expected and a margin for luck");
    }
}
