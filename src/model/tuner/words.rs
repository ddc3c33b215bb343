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
            let account: String =
                message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().into();
            format!("{change}: {failure}: {}", account.chars().take(ACCOUNT).collect::<String>())
        }
        Outcome::InfraFailed { failure, .. } => format!("{change}: {failure}"),
    }
}

/// Returns what the figures say, before what they teach.
pub(super) fn signals(state: &RunState, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured { comparison: Some(found), .. } => place(found, state.run.terms.min_improvement),
        Outcome::Measured { .. } => "correct; a smoke test does not compare speeds".to_owned(),
        Outcome::KernelFailed { failure, .. } => format!("the change does not pass ({failure})"),
        Outcome::InfraFailed { failure, .. } => format!("the change was not measured ({failure})"),
    }
}

fn place(found: &Comparison, margin: f64) -> String {
    let percent = margin * 100.0;
    if found.low > 1.0 + margin {
        format!("the whole interval lies above the margin of {percent}%")
    } else if found.high <= 1.0 + margin {
        format!("no part of the interval lies above the margin of {percent}%")
    } else {
        format!("the interval straddles the margin of {percent}%")
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
