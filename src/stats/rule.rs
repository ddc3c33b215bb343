//! The rule of a run's next duel, from what the run has been through.

use crate::protocol::{Pending, Purpose, RunState};

use super::noise::margin;
use super::sequential::{Aim, Rule};
use super::spending::{NIGHT, level};

/// The most pairs of a run's last duel: none of them is saved by an early end, and an interval needs no more.
const LAST_DUEL: u32 = 20;

/// Returns the rule of a measurement that is about to begin or has begun, of at most `most` pairs.
///
/// A final one that could not be won with so many pairs gets as many as it takes. The last duel of a run decides about no
/// change, so it spends nothing of what the changes share.
pub fn rule(state: &RunState, purpose: Purpose, most: u32) -> Rule {
    let begun = matches!(&state.pending, Some(Pending::Measure(spec)) if spec.purpose == Purpose::Final);
    let earlier = state.finals.len().saturating_sub(usize::from(begun));
    let aim = match purpose {
        Purpose::Test | Purpose::Candidate | Purpose::Recheck => Aim::Screen,
        Purpose::Final => Aim::Confirm { level: level(state.finals.get(..earlier).unwrap_or_default()) },
        Purpose::Headline => Aim::Estimate { level: NIGHT },
    };
    let most = if purpose == Purpose::Headline { most.min(LAST_DUEL) } else { most };
    Rule { margin: margin(state.run.terms.min_improvement, &state.noise), aim, most }.winnable()
}
