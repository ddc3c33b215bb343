//! Holds what a duel's times claim against the clock outside.

use serde::{Deserialize, Serialize};

use super::judge::{Reading, Readings};
use crate::harness::{Ran, Role};
use crate::protocol::BadMicros;
use crate::stats::{self, Gain};

/// What is known of a block's process outside of it, where no kernel can reach, and what it says itself, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clocks {
    /// From its start to its end, by the runner's clock.
    pub elapsed_us: f64,
    /// How much of that it waited for a processor that others had, by the system's account, where there is one.
    pub waited_us: Option<f64>,
    /// Its calls that were only checked: the process's own clock. It is told, and vouches for nothing.
    pub untimed_us: f64,
}

impl Clocks {
    pub(super) fn new(ran: &Ran, untimed_us: f64) -> Self {
        let us = |time: std::time::Duration| time.as_secs_f64() * 1e6;
        Self { elapsed_us: us(ran.elapsed), waited_us: ran.waited.map(us), untimed_us }
    }

    /// Returns its time without the waiting, which on a busy machine is most of what it strays by.
    fn own_us(&self) -> Option<f64> {
        self.waited_us.map(|waited| self.elapsed_us - waited)
    }
}

/// Says why the gain of a duel is not to be believed: the clock outside does not see half of it, be it with the waiting for a
/// processor or without. A kernel whose threads keep each other waiting can hide work in the one, and noise hides it in the other.
///
/// # Errors
/// Where a block has no times.
pub(super) fn denial(readings: &Readings) -> Result<Option<String>, BadMicros> {
    let pairs = readings.of(Role::Incumbent).zip(readings.of(Role::Candidate));
    let pairs =
        pairs.filter_map(|(before, after)| Pair::of(before, after).transpose()).collect::<Result<Vec<_>, _>>()?;
    let clocks: [fn(&Pair) -> Option<f64>; 2] = [|pair| Some(pair.elapsed), |pair| pair.own];
    Ok(clocks.into_iter().find_map(|seen| {
        let of = |pair: &Pair| Some(Gain { claimed: pair.claimed, seen: seen(pair)? });
        let gains: Vec<Gain> = pairs.iter().filter_map(of).collect();
        stats::is_denied(&gains).then(|| message(&pairs, &gains))
    }))
}

fn message(pairs: &[Pair], gains: &[Gain]) -> String {
    let middle = |values: Vec<f64>| stats::median(&values).unwrap_or(f64::NAN);
    let claimed = middle(gains.iter().map(|gain| gain.claimed).collect());
    let seen = middle(gains.iter().map(|gain| gain.seen).collect());
    let untimed = middle(pairs.iter().map(|pair| pair.untimed).collect());
    let cause = if seen + untimed < claimed / 2.0 {
        "either the times are not true, or work was left to what is not timed".to_owned()
    } else {
        format!(
            "the first and the last call, which are not timed, are said to take {untimed:.0} µs of it, and nothing outside \
             tells that from times that are not true: make the first call cheaper, or time more calls"
        )
    };
    format!(
        "the clock outside does not confirm the gain: the blocks take {:.0} µs longer than their times say ({claimed:.0} µs a \
         block were claimed and {seen:.0} µs seen, at the median of {} pairs); {cause}",
        claimed - seen,
        gains.len(),
    )
}

/// What a pair's candidate gained on its incumbent over a whole block, in microseconds.
struct Pair {
    /// By the times of the calls.
    claimed: f64,
    /// By the clock outside.
    elapsed: f64,
    /// By the same without the waiting.
    own: Option<f64>,
    /// How much longer its calls that are only checked took, as the processes say.
    untimed: f64,
}

impl Pair {
    /// Returns nothing where a block has no such clocks, or where one of the two stopped early: they did not do the same.
    fn of(before: &Reading, after: &Reading) -> Result<Option<Self>, BadMicros> {
        let (Some(was), Some(is)) = (before.clocks, after.clocks) else { return Ok(None) };
        let mut claimed = 0.0;
        for (before, after) in before.cases.iter().zip(&after.cases) {
            let calls = before.time_us.len();
            if calls != after.time_us.len() {
                return Ok(None);
            }
            // By the figure that decides the duel, not by the sum: a few false times would move that one less.
            claimed += calls as f64 * (before.steady()?.get() - after.steady()?.get());
        }
        Ok(Some(Self {
            claimed,
            elapsed: was.elapsed_us - is.elapsed_us,
            own: was.own_us().zip(is.own_us()).map(|(was, is)| was - is),
            untimed: is.untimed_us - was.untimed_us,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::CaseResult;
    use crate::protocol::{Device, Micros};

    /// A block of 100 calls of `us`, in a process that took `elapsed_us`, of which the untimed calls took `untimed_us`.
    fn block(role: Role, us: f64, elapsed_us: f64, untimed_us: f64) -> Reading {
        let times = vec![Micros::new(us).unwrap(); 100];
        Reading {
            role,
            device: Device { name: "cpu (test)".to_owned(), compute_capability: None },
            cases: vec![CaseResult { id: "c".to_owned(), time_us: times, mean_us: None }],
            conditions: None,
            clocks: Some(Clocks { elapsed_us, waited_us: None, untimed_us }),
        }
    }

    /// Ten pairs of an incumbent whose calls take 100 µs with what `candidate` makes of it.
    fn ten(candidate: &Reading) -> Readings {
        let incumbent = block(Role::Incumbent, 100.0, 30_000.0, 200.0);
        let blocks: Vec<_> = [incumbent, candidate.clone()].into_iter().cycle().take(20).collect();
        Readings { expected: blocks.len(), blocks, ..Readings::default() }
    }

    #[test]
    fn a_gain_that_is_missing_from_the_blocks_own_time_is_denied_with_what_was_seen() {
        let told = denial(&ten(&block(Role::Candidate, 90.0, 30_000.0, 180.0))).unwrap().unwrap();
        assert!(
            told.contains("the blocks take 1000 µs longer than their times say (1000 µs a block were claimed"),
            "{told}"
        );
        assert!(told.contains("and 0 µs seen, at the median of 10 pairs); either the times are not true"), "{told}");
        assert_eq!(denial(&ten(&block(Role::Candidate, 90.0, 28_980.0, 180.0))).unwrap(), None);
    }

    #[test]
    fn what_a_busy_machine_hides_is_seen_without_the_waiting_for_a_processor() {
        let mut duel = ten(&block(Role::Candidate, 90.0, 30_000.0, 180.0));
        for (number, block) in duel.blocks.iter_mut().enumerate() {
            let clocks = block.clocks.as_mut().unwrap();
            let waited = if block.role == Role::Incumbent && number % 8 < 4 { 5000.0 } else { 100.0 };
            clocks.elapsed_us += waited;
            clocks.waited_us = Some(waited);
        }
        assert!(denial(&duel).unwrap().is_some());
        duel.blocks.iter_mut().for_each(|block| block.clocks.as_mut().unwrap().waited_us = None);
        assert_eq!(denial(&duel).unwrap(), None, "four pairs of ten");
    }

    #[test]
    fn a_first_call_may_cost_half_of_what_the_others_save_and_no_more_because_only_the_process_says_so() {
        assert_eq!(denial(&ten(&block(Role::Candidate, 90.0, 29_400.0, 600.0))).unwrap(), None);
        let told = denial(&ten(&block(Role::Candidate, 90.0, 29_900.0, 1100.0))).unwrap().unwrap();
        assert!(
            told.contains("are said to take 900 µs of it") && told.contains("make the first call cheaper"),
            "{told}"
        );
    }

    #[test]
    fn a_few_false_times_that_move_the_figure_count_as_if_all_were_moved() {
        let mut forged = block(Role::Candidate, 100.0, 30_000.0, 200.0);
        forged.cases[0].time_us[..30].fill(Micros::new(50.0).unwrap());
        assert!(denial(&ten(&forged)).unwrap().is_some());
    }

    #[test]
    fn blocks_without_clocks_and_those_that_stopped_early_are_not_judged() {
        let mut forged = block(Role::Candidate, 50.0, 30_000.0, 200.0);
        assert!(denial(&ten(&forged)).unwrap().is_some());
        forged.cases[0].time_us.truncate(50);
        assert_eq!(denial(&ten(&forged)).unwrap(), None);
        let without = Reading { clocks: None, ..block(Role::Candidate, 50.0, 30_000.0, 200.0) };
        assert_eq!(denial(&ten(&without)).unwrap(), None);
    }

    #[test]
    fn a_record_without_clocks_is_read_as_before_and_one_with_them_as_it_was_written() {
        let reading = block(Role::Candidate, 50.0, 30_000.25, 0.1);
        let text = serde_json::to_string(&reading).unwrap();
        assert!(text.contains(r#""clocks":{"elapsed_us":30000.25,"waited_us":null,"untimed_us":0.1}"#), "{text}");
        assert_eq!(serde_json::from_str::<Reading>(&text).unwrap(), reading);
        let old = text.replace(r#","clocks":{"elapsed_us":30000.25,"waited_us":null,"untimed_us":0.1}"#, "");
        assert_eq!(serde_json::from_str::<Reading>(&old).unwrap(), Reading { clocks: None, ..reading });
    }
}
