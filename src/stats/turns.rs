//! Two blocks that took turns: what one was like beside the other.
//!
//! Whatever slows a machine for longer than a turn slows neighbouring turns of both blocks, and hardly moves their ratio. What
//! is shorter slows some calls of a turn and never makes one faster, so the fastest call of a turn stands for it. A turn in
//! which the machine changed its pace is one of many, and the median of their ratios is not moved by a few.

use crate::protocol::Micros;

use super::location::median;

/// Returns the log ratio of one case's calls in two blocks that took turns, above zero where those of `after` were faster: the
/// median, over all turns of so many `calls`, of that of the fastest ones. `None` without a turn of both.
pub fn log_ratio_in_turns(calls: usize, before: &[Micros], after: &[Micros]) -> Option<f64> {
    let turns = before.chunks(calls.max(1)).zip(after.chunks(calls.max(1)));
    let ratios: Vec<f64> = turns.map(|(before, after)| (fastest(before) / fastest(after)).ln()).collect();
    median(&ratios)
}

fn fastest(turn: &[Micros]) -> f64 {
    turn.iter().map(|us| us.get()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TURN: usize = 5;

    fn times(values: impl IntoIterator<Item = f64>) -> Vec<Micros> {
        values.into_iter().map(|us| Micros::new(us).unwrap()).collect()
    }

    /// How much slower the machine is at a call of a block: half as fast from the `from`-th turn on, and at each third call.
    fn pace(call: usize, from: usize) -> f64 {
        let slow = if call / TURN >= from { 1.6 } else { 1.0 };
        if call % 3 == 1 { slow * 1.3 } else { slow }
    }

    proptest! {
        #[test]
        fn a_machine_that_changes_its_pace_in_between_does_not_move_the_ratio(
            from in 0..13_usize,
            ratio in 0.5..2.0_f64,
            count in 15..60_usize,
        ) {
            let before = times((0..count).map(|call| 100.0 * ratio * pace(call, from)));
            let after = times((0..count).map(|call| 100.0 * pace(call, from)));
            prop_assert!((log_ratio_in_turns(TURN, &before, &after).unwrap() - ratio.ln()).abs() < 1e-12);
            // Where it changes between the one's turn and the other's, one turn of three and more is off.
            let later = times((0..count).map(|call| 100.0 * pace(call, from + 1)));
            prop_assert!((log_ratio_in_turns(TURN, &before, &later).unwrap() - ratio.ln()).abs() < 1e-12);
        }

        #[test]
        fn it_is_turned_over_with_its_sides(
            before in prop::collection::vec(1.0..9.0_f64, 1..40),
            after in prop::collection::vec(1.0..9.0_f64, 1..40),
        ) {
            let (before, after) = (times(before), times(after));
            let sum = log_ratio_in_turns(TURN, &before, &after).unwrap() + log_ratio_in_turns(TURN, &after, &before).unwrap();
            prop_assert!(sum.abs() < 1e-12, "equal kernels cannot tell which of them they are: {sum}");
        }
    }

    #[test]
    fn a_block_that_stopped_early_is_compared_as_far_as_it_goes() {
        let (long, short) = (times([4.0; 30]), times([2.0; 7]));
        assert_eq!(log_ratio_in_turns(TURN, &long, &short), Some(2.0_f64.ln()));
        assert_eq!(log_ratio_in_turns(TURN, &long, &[]), None);
    }
}
