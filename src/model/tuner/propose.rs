//! The next change: the most promising untried setting near the incumbent.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::belief::Belief;
use super::edits::edits;
use super::history::History;
use super::kernel::{Kernel, Move};
use crate::model::ModelError;
use crate::protocol::{ContentHash, Forbidden};

/// The number of single moves that pairs are made of, the most promising ones: some two thousand pairs.
const PARTNERS: usize = 64;

/// A change to be made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proposal {
    /// The change in one line.
    pub(super) change: String,
    /// The arguments of `edit-kernel`.
    pub(super) arguments: Value,
}

/// A single move and how promising it is.
#[derive(Clone, Copy, Debug)]
struct Scored {
    step: Move,
    /// Whether the value was never measured: those come first.
    fresh: bool,
    promise: f64,
}

/// Returns the next change of the incumbent `kernel`.
///
/// Values that were never measured come first, then those that lost in other settings, then two moves at once. Among
/// equals `seed` decides, by the text that would result: the choice does not depend on when it is made.
///
/// # Errors
/// [`ModelError::Exhausted`] where nothing is declared, and where nothing is left.
pub(super) fn propose(
    kernel: &Kernel,
    history: &History,
    seed: u64,
    forbidden: &Forbidden,
) -> Result<Proposal, ModelError> {
    if kernel.tunables.is_empty() {
        return Err(ModelError::Exhausted(
            "the kernel declares nothing to tune: end a line with a comment that lists a value's alternatives, such as \
             `#define TILE 8 // tune: 8 16 32`"
                .to_owned(),
        ));
    }
    let mut singles = singles(kernel, history);
    rank(&mut singles, |single| (!single.fresh, single.promise), |single| draw(kernel, seed, &[single.step]));
    let single = singles.iter().find_map(|single| proposal(kernel, history, forbidden, &[single.step]));
    let found = single.or_else(|| {
        let pairs = pairs(&mut singles, kernel, seed);
        pairs.iter().find_map(|(moves, _)| proposal(kernel, history, forbidden, moves))
    });
    found.ok_or_else(|| {
        ModelError::Exhausted(format!(
            "the space is spent: {} of {} settings tried, and no promising one is left within two changes of the best",
            history.points.len(),
            kernel.points(),
        ))
    })
}

fn singles(kernel: &Kernel, history: &History) -> Vec<Scored> {
    let mut scored = Vec::new();
    for (tunable, (declared, seen)) in kernel.tunables.iter().zip(&history.tunables).enumerate() {
        let belief = Belief::new(declared, seen);
        let at = kernel.point.at(tunable);
        scored.extend((0..declared.values.len()).filter(|to| *to != at).map(|to| Scored {
            step: Move { tunable, to },
            fresh: !seen.tried(to),
            promise: belief.promise(at, to),
        }));
    }
    scored
}

/// Returns the pairs of the most promising single moves, the most promising first.
fn pairs(singles: &mut [Scored], kernel: &Kernel, seed: u64) -> Vec<([Move; 2], f64)> {
    rank(singles, |single| (false, single.promise), |single| draw(kernel, seed, &[single.step]));
    let best = singles.get(..PARTNERS).unwrap_or(singles);
    let mut pairs: Vec<_> = best
        .iter()
        .flat_map(|one| best.iter().map(move |other| (one, other)))
        .filter(|(one, other)| one.step.tunable < other.step.tunable)
        .map(|(one, other)| ([one.step, other.step], one.promise + other.promise))
        .collect();
    rank(&mut pairs, |(_, promise)| (false, *promise), |(moves, _)| draw(kernel, seed, moves));
    pairs
}

/// Sorts by class, then by falling promise, then by lot.
fn rank<T>(items: &mut [T], key: impl Fn(&T) -> (bool, f64), lot: impl Fn(&T) -> u64) {
    items.sort_by_cached_key(|item| {
        let (class, promise) = key(item);
        // Promises that differ by rounding alone are equal.
        (class, Reverse((promise * 1e9).round() as i64), lot(item))
    });
}

/// Returns the lot of the point after `moves`.
fn draw(kernel: &Kernel, seed: u64, moves: &[Move]) -> u64 {
    let point = kernel.point.after(moves);
    point.0.iter().fold(fastrand::Rng::with_seed(seed).u64(..), |lot, choice| {
        fastrand::Rng::with_seed(lot.wrapping_add(*choice as u64)).u64(..)
    })
}

/// Returns the proposal for `moves`, unless their text is spent or their call would be refused.
fn proposal(kernel: &Kernel, history: &History, forbidden: &Forbidden, moves: &[Move]) -> Option<Proposal> {
    if history.points.contains(&kernel.point.after(moves)) {
        return None;
    }
    if history.tried.contains(&ContentHash::of(kernel.with(moves).as_bytes())) {
        return None;
    }
    let change = kernel.describe(moves);
    let arguments = json!({ "edits": edits(kernel, moves), "change": change });
    forbidden.check_value(&arguments, "the edit").ok()?;
    Some(Proposal { change, arguments })
}
