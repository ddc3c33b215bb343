//! The tuner's analyses: what was measured, what follows from it, and the next single change.

use super::belief::Belief;
use super::history::History;
use super::kernel::{Kernel, Point};
use crate::protocol::{Comparison, Outcome, RunState};

/// The longest account of a failure that an analysis repeats, in characters.
const ACCOUNT: usize = 200;

/// Returns the outcome of a change in one sentence.
pub(super) fn summary(change: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured { candidate, incumbent, comparison: Some(found), .. } => {
            let against = incumbent.as_ref().map_or_else(String::new, |side| format!(" against {}", side.us));
            format!(
                "{change}: {:.3}x the incumbent's speed [{:.3}, {:.3}] over {} pairs, {}{against}; {}",
                found.ratio, found.low, found.high, found.pairs, candidate.us, found.verdict
            )
        }
        Outcome::Measured { candidate, .. } => format!("{change}: every case passed, at {}", candidate.us),
        Outcome::KernelFailed { failure, message } => {
            let account = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            let bounded: String = account.chars().filter(|c| !c.is_control()).take(ACCOUNT).collect();
            format!("{change}: {failure}: {bounded}")
        }
        Outcome::InfraFailed { failure, .. } => format!("{change}: {failure}"),
    }
}

/// Returns what the figures say, before what they teach.
pub(super) fn signals(state: &RunState, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured { comparison: Some(found), .. } => {
            place(found, found.margin.max(state.run.terms.min_improvement))
        }
        Outcome::Measured { .. } => "correct; a smoke test does not compare speeds".to_owned(),
        Outcome::KernelFailed { failure, .. } => format!("the change does not pass ({failure})"),
        Outcome::InfraFailed { failure, .. } => format!("the change was not measured ({failure})"),
    }
}

fn place(found: &Comparison, margin: f64) -> String {
    let percent = margin * 100.0;
    if found.low > 1.0 + margin {
        format!("the whole interval lies above the margin of {percent:.1}%")
    } else if found.high <= 1.0 + margin {
        format!("no part of the interval lies above the margin of {percent:.1}%")
    } else {
        format!("the interval straddles the margin of {percent:.1}%")
    }
}

/// Returns what is believed, after everything that was measured, of the values that the step from `from` to `to` changed.
pub(super) fn learned(kernel: &Kernel, history: &History, from: &Point, to: &Point) -> String {
    let sentences = from.moves_to(to).filter_map(|step| {
        let (tunable, seen) = (kernel.tunables.get(step.tunable)?, history.tunables.get(step.tunable)?);
        let at = from.at(step.tunable);
        let expected = Belief::new(tunable, seen).expect(at, step.to);
        let (new, old) = (tunable.value(step.to), tunable.value(at));
        Some(if seen.failed.contains_key(&step.to) {
            format!("; {} {new} is given a chance of {:.0}% to fail from now on", tunable.name, expected.risk * 100.0)
        } else {
            let (gain, spread) = (expected.gain.exp_m1() * 100.0, expected.spread * 100.0);
            format!("; {} {new} against {old} is put at {gain:+.1}% ± {spread:.1}%", tunable.name)
        })
    });
    sentences.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ContentHash, Device, KernelFailure, Micros, Side, Verdict};

    fn found(low: f64, ratio: f64, high: f64) -> Comparison {
        Comparison {
            verdict: Verdict::Improved,
            ratio,
            low,
            high,
            p_value: 0.01,
            pairs: 10,
            margin: 0.01,
            setback: None,
        }
    }

    #[test]
    fn a_duel_is_told_in_its_figures() {
        let side =
            |us| Side { kernel: ContentHash::of(b""), us: Micros::new(us).unwrap(), blocks: vec![], cases: vec![] };
        let outcome = Outcome::Measured {
            device: Device { name: "cpu".to_owned(), compute_capability: None },
            candidate: side(8.0),
            incumbent: Some(side(10.0)),
            comparison: Some(found(1.2, 1.25, 1.3)),
            noise: None,
        };
        assert_eq!(
            summary("set T from 1 to 2", &outcome),
            "set T from 1 to 2: 1.250x the incumbent's speed [1.200, 1.300] over 10 pairs, 8.000 µs against 10.00 µs; \
             improved"
        );
    }

    #[test]
    fn an_interval_lies_above_the_margin_or_below_it_or_across() {
        let said = |low, high| place(&found(low, 1.0, high), 0.07);
        assert_eq!(said(1.08, 1.2), "the whole interval lies above the margin of 7.0%");
        assert_eq!(said(0.9, 1.07), "no part of the interval lies above the margin of 7.0%");
        assert_eq!(said(1.0, 1.2), "the interval straddles the margin of 7.0%");
    }

    #[test]
    fn an_account_is_one_bounded_line_without_control_characters() {
        let message = format!("\n  \u{1b}[31mno{}\nsecond line", "!".repeat(1000));
        let said = summary("c", &Outcome::KernelFailed { failure: KernelFailure::Compile, message });
        assert!(said.starts_with("c: compile error: [31mno!!!") && said.len() < 250, "{said}");
        assert!(!said.contains(char::is_control) && !said.contains("second"));
    }
}
