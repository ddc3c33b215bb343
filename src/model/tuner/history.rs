//! The ledger as the tuner reads it: which texts are spent, and what each measured change showed.

use std::collections::{HashMap, HashSet};

use super::belief::{Difference, Observations};
use super::kernel::{Kernel, Point};
use crate::protocol::{
    Comparison, ContentHash, Current, Decision, Finding, IterationRecord, Outcome, RevertCause, RunState,
};

/// Gives the text with a hash, where it can be had.
pub(super) type Texts<'a> = dyn Fn(ContentHash) -> Option<String> + 'a;

/// After so many failures of the infrastructure a text counts as tried: the change itself may be what breaks it.
const INFRA_TRIES: u32 = 2;
/// The smallest variance of a measured logarithm of speed, and the one taken where an interval says nothing.
const LEAST_VARIANCE: f64 = 0.002 * 0.002;
const BLIND_VARIANCE: f64 = 0.05 * 0.05;

/// The points of the texts read so far: all that the tuner remembers, and only to be quick.
#[derive(Debug, Default)]
pub(super) struct Points {
    skeleton: Option<ContentHash>,
    known: HashMap<ContentHash, Option<Point>>,
}

impl Points {
    /// Returns the point of a text in the space of `kernel`, where it lies in it.
    pub(super) fn get(&mut self, hash: ContentHash, kernel: &Kernel, texts: &Texts<'_>) -> Option<Point> {
        if self.skeleton != Some(kernel.skeleton) {
            self.known.clear();
            self.skeleton = Some(kernel.skeleton);
        }
        if let Some(point) = self.known.get(&hash) {
            return point.clone();
        }
        let point = kernel.locate(&texts(hash)?);
        self.known.insert(hash, point.clone());
        point
    }
}

/// What one iteration showed of its change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trial {
    /// The text with the change.
    pub(super) kernel: ContentHash,
    /// Whether it became the incumbent.
    kept: bool,
    /// Why it was reverted.
    cause: Option<RevertCause>,
    showed: Showed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Showed {
    /// A ratio of speeds, as a logarithm, with its variance.
    Gain(f64, f64),
    Failure,
    /// It passed, and no duel followed; or nothing was measured.
    Nothing,
}

impl Trial {
    /// Returns the trial of an iteration that is over.
    fn of_record(record: &IterationRecord) -> Option<Self> {
        let failed = record.findings().any(|finding| matches!(finding, Finding::Failed { .. }));
        let comparison = record.findings().rev().find_map(|finding| match finding {
            Finding::Passed(figure) => figure.comparison.as_ref(),
            Finding::Failed { .. } => None,
        });
        Some(Self {
            kernel: record.kernel?,
            kept: record.decision == Decision::Keep,
            cause: record.cause,
            showed: Showed::from(failed, comparison),
        })
    }

    /// Returns the trial that the iteration under way becomes with `decision`: what its record will be read as.
    pub(super) fn of_current(current: &Current, decision: Decision) -> Option<Self> {
        let outcomes = || current.all_evidence().rev().map(|evidence| &evidence.outcome);
        let failed = outcomes().any(|outcome| matches!(outcome, Outcome::KernelFailed { .. }));
        Some(Self {
            kernel: current.edited?,
            kept: decision == Decision::Keep,
            cause: None,
            showed: Showed::from(failed, outcomes().find_map(Outcome::comparison)),
        })
    }

    /// Tells whether the text was measured to its end, as far as its change is concerned.
    fn is_over(&self) -> bool {
        use RevertCause::{Blocked, Budget, Infra, Stuck, UserStop};
        !matches!(self.cause, Some(Infra | Blocked | Budget | Stuck | UserStop))
    }
}

impl Showed {
    fn from(failed: bool, comparison: Option<&Comparison>) -> Self {
        match comparison {
            _ if failed => Self::Failure,
            Some(found) if found.ratio.is_finite() && found.ratio > 0.0 => {
                Self::Gain(found.ratio.ln(), variance(found))
            }
            _ => Self::Nothing,
        }
    }
}

/// Returns the variance of the logarithm of the ratio: its interval is taken as four standard deviations wide.
fn variance(found: &Comparison) -> f64 {
    let deviation = (found.high / found.low).ln() / 4.0;
    let usable = found.low > 0.0 && deviation.is_finite();
    if usable { (deviation * deviation).max(LEAST_VARIANCE) } else { BLIND_VARIANCE }
}

/// What the ledger teaches, seen from one incumbent.
#[derive(Debug)]
pub(super) struct History {
    /// Texts that are not to be tried again, the baseline and the incumbents among them.
    pub(super) tried: HashSet<ContentHash>,
    /// Their points.
    pub(super) points: HashSet<Point>,
    /// What is known of each tunable.
    pub(super) tunables: Vec<Observations>,
}

impl History {
    /// Reads the ledger of `state`, and after it `last`, as seen from the incumbent `kernel`.
    pub(super) fn read(
        state: &RunState,
        last: Option<Trial>,
        kernel: &Kernel,
        texts: &Texts<'_>,
        points: &mut Points,
    ) -> Self {
        let present = ContentHash::of(kernel.text.as_bytes());
        let mut history = Self {
            tried: HashSet::from([state.run.baseline, present]),
            points: HashSet::from([kernel.point.clone()]),
            tunables: vec![Observations::default(); kernel.tunables.len()],
        };
        let mut from = points.get(state.run.baseline, kernel, texts);
        history.points.extend(from.clone());
        let mut infra: HashMap<ContentHash, u32> = HashMap::new();
        for trial in state.ledger.iter().filter_map(Trial::of_record).chain(last) {
            let to = points.get(trial.kernel, kernel, texts);
            let broken = infra.entry(trial.kernel).or_default();
            *broken += u32::from(trial.cause == Some(RevertCause::Infra));
            if trial.is_over() || *broken >= INFRA_TRIES {
                history.tried.insert(trial.kernel);
                history.points.extend(to.clone());
            }
            if let (Some(from), Some(to)) = (&from, &to) {
                history.learn(&trial, from, to, kernel);
            }
            if trial.kept {
                from = to;
            }
        }
        history
    }

    fn learn(&mut self, trial: &Trial, from: &Point, to: &Point, kernel: &Kernel) {
        let moves: Vec<_> = from.moves_to(to).collect();
        let share = moves.len() as f64;
        for step in &moves {
            let Some(seen) = self.tunables.get_mut(step.tunable) else { continue };
            match trial.showed {
                Showed::Failure => *seen.failed.entry(step.to).or_default() += 1,
                Showed::Gain(gain, variance) => {
                    *seen.passed.entry(step.to).or_default() += 1;
                    let others = from.moves_to(&kernel.point).filter(|other| other.tunable != step.tunable);
                    // Of a change of several values each is taken to have an equal share, and to be known the worse.
                    seen.differences.push(Difference {
                        from: from.at(step.tunable),
                        to: step.to,
                        gain: gain / share,
                        variance: variance * share * share,
                        away: others.count() + moves.len() - 1,
                    });
                }
                Showed::Nothing => {}
            }
        }
    }
}
