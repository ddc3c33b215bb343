//! The clock outside: whether the gain that a duel's times claim shows in the time of its blocks.
//!
//! The times of a block are taken in the process of the kernel, which can reach them. The time of that process, from its
//! start to its end, is taken elsewhere. A pair of blocks *claims* a gain, `g`: by how much less the candidate's calls take,
//! all together. Outside a gain is *seen*, `s`: by how much less its process takes. What is claimed and not seen is
//! `d = g - s`.
//!
//! A true gain is in both, so `d` is noise: both sides start the same program, fill the same inputs and clear the same
//! caches, and a coin says which of them runs first, so that its sign is a coin's as well. A false gain was never saved:
//! then `d` is noise around `g`. Halfway between lies the bound. A pair with `g > 0` *denies* the claim where `d > g / 2`,
//! that is, where less than half of it was seen.
//!
//! **Alarm.** Of a claim of which half or more is true, a pair denies with a chance of at most 1/2: the median of `d` is then
//! at most `g / 2`, and nothing else is assumed about the noise. So the number of denials among `n` claims exceeds no more
//! often than the heads of `n` fair coins do (the sign test: J. Arbuthnott, "An argument for divine providence", 1710), and
//! the alarm rings where so many heads or more have a chance of at most [`FALSE_ALARM`]: at 8 of 8, which are the fewest pairs that
//! keep a change, at 10 of 10, 17 of 20 and 41 of 60.
//!
//! What a block spends beside its timed calls counts against the candidate, be it a first call that builds a table: only the
//! kernel's own process could say how long that took, and what the process says is what is in doubt.

/// The most that the chance of an alarm may be where at least half of the claim is true.
pub const FALSE_ALARM: f64 = 1.0 / 256.0;

/// What the candidate of one pair gained over a whole block, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// By the times of its calls.
    pub claimed: f64,
    /// By the clock outside.
    pub seen: f64,
}

impl Gain {
    /// Tells whether there is a claim, and less than half of it was seen.
    fn is_denied(&self) -> bool {
        self.claimed > 0.0 && self.seen < self.claimed / 2.0
    }
}

/// Tells whether the clock outside denies the gain that the pairs of a duel claim.
pub fn is_denied(pairs: &[Gain]) -> bool {
    let claims = pairs.iter().filter(|gain| gain.claimed > 0.0).count();
    let denials = pairs.iter().filter(|gain| gain.is_denied()).count();
    chance_of_heads(denials, claims) <= FALSE_ALARM
}

/// Returns the chance that of so many fair coins at least `heads` show heads.
fn chance_of_heads(heads: usize, coins: usize) -> f64 {
    let mut chances = vec![1.0];
    for _ in 0..coins {
        let fewer = std::iter::once(0.0).chain(chances.iter().copied());
        let as_many = chances.iter().copied().chain(std::iter::once(0.0));
        chances = fewer.zip(as_many).map(|(fewer, as_many)| f64::midpoint(fewer, as_many)).collect();
    }
    chances.iter().skip(heads).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how often the alarm rings in so many duels of `pairs` pairs, each of which claims `claimed`, of which the share
    /// `truth` is true. The noise of a block is up to one, and of every tenth up to ten.
    fn alarms(duels: u32, pairs: usize, claimed: f64, truth: f64) -> usize {
        let mut random = fastrand::Rng::with_seed(7);
        let mut noise = || if random.u32(0..10) == 0 { 10.0 * random.f64() } else { random.f64() };
        let mut pair = || Gain { claimed, seen: truth * claimed + noise() - noise() };
        (0..duels).filter(|_| is_denied(&(0..pairs).map(|_| pair()).collect::<Vec<_>>())).count()
    }

    #[test]
    fn eight_of_eight_seventeen_of_twenty_and_forty_one_of_sixty_denials_ring_the_alarm_and_fewer_do_not() {
        let (false_, true_) = (Gain { claimed: 1.0, seen: 0.0 }, Gain { claimed: 1.0, seen: 1.0 });
        for (pairs, denials) in [(8, 8), (10, 10), (20, 17), (60, 41)] {
            let duel = |denials: usize| [vec![false_; denials], vec![true_; pairs - denials]].concat();
            assert!(is_denied(&duel(denials)) && !is_denied(&duel(denials - 1)), "{denials} of {pairs}");
        }
        assert!(!is_denied(&[false_; 7]), "seven are too few, whatever they say");
        assert!(!is_denied(&[]));
    }

    #[test]
    fn a_pair_that_claims_nothing_denies_nothing() {
        let slower = Gain { claimed: -1.0, seen: -5.0 };
        assert!(!is_denied(&[slower; 60]));
        assert!(is_denied(&[vec![slower; 60], vec![Gain { claimed: 2.0, seen: 0.9 }; 10]].concat()));
    }

    #[test]
    fn an_honest_gain_rings_the_alarm_no_more_often_than_the_level_however_small_it_is_beside_the_noise() {
        for (pairs, claimed, truth) in
            [(10, 1e-6, 1.0), (20, 0.1, 1.0), (60, 0.01, 1.0), (20, 0.5, 0.5), (60, 3.0, 0.5)]
        {
            let rung = alarms(5000, pairs, claimed, truth);
            assert!(rung <= 36, "{rung} of 5000 with {pairs} pairs, 20 expected at most and a margin for luck");
        }
    }

    #[test]
    fn a_false_gain_is_found_where_it_is_larger_than_the_noise_and_a_true_one_is_left_alone() {
        assert_eq!(alarms(1000, 10, 30.0, 0.0), 1000);
        assert!(alarms(500, 60, 3.0, 0.0) > 450);
        assert!(alarms(1000, 10, 0.1, 0.0) < 100, "what is smaller than the noise is not seen");
        assert_eq!(alarms(1000, 20, 30.0, 1.0), 0);
    }

    #[test]
    fn the_chances_of_many_coins_are_exact_and_do_not_vanish() {
        assert_eq!(chance_of_heads(3, 4), 5.0 / 16.0);
        assert!((chance_of_heads(0, 2000) - 1.0).abs() < 1e-9);
        assert!((chance_of_heads(1001, 2001) - 0.5).abs() < 1e-9);
    }
}
