//! The state of a run: what the fold over its events knows.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Answerer, DuelSize, MeasureSpec, RawCall, RevertCause, RunStarted};
use super::evidence::{ArtifactRef, Comparison, Decision, Outcome, Purpose, Verdict};
use super::ids::{ContentHash, Iteration, Micros};
use super::record::{Baseline, Counters, Headline, IterationRecord};
use super::stop::{StopReason, StopSource};
use super::terms::{Effort, Target};

/// The fewest blocks of the baseline.
const BASELINE_BLOCKS: u32 = 12;

/// The phase of a run: which calls are legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The deploy command is due.
    Deploy,
    /// The kernel as found is being measured.
    Baseline,
    /// The next change is awaited.
    Idle,
    /// The kernel holds a change that has not been tested.
    Edited,
    /// The smoke test awaits its analysis.
    Tested,
    /// The change passed and may be benchmarked.
    Measurable,
    /// The candidate benchmark awaits its analysis.
    Measured,
    /// The gain is material and may be confirmed.
    Confirmable,
    /// The final benchmark awaits its analysis.
    Confirmed,
    /// The loop is over; the best kernel is measured against the original.
    Closing,
    /// The run is over.
    Stopped,
}

impl Phase {
    /// Every phase, in the order of a run.
    pub const ALL: [Self; 11] = [
        Self::Deploy,
        Self::Baseline,
        Self::Idle,
        Self::Edited,
        Self::Tested,
        Self::Measurable,
        Self::Measured,
        Self::Confirmable,
        Self::Confirmed,
        Self::Closing,
        Self::Stopped,
    ];

    /// Returns the phase's name in status and refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Baseline => "baseline",
            Self::Idle => "idle",
            Self::Edited => "edited",
            Self::Tested => "tested",
            Self::Measurable => "measurable",
            Self::Measured => "measured",
            Self::Confirmable => "confirmable",
            Self::Confirmed => "confirmed",
            Self::Closing => "closing",
            Self::Stopped => "stopped",
        }
    }
}

/// A measurement's outcome and its record.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What came of it.
    pub outcome: Outcome,
    /// The record, as it was when the measurement ended.
    pub artifact: ArtifactRef,
    /// The decision of its analysis, once there is one.
    pub analysed: Option<Decision>,
}

/// An intent whose result is not in the journal yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Pending {
    /// The deploy command may have run.
    Deploy {
        /// Its command line.
        command: String,
        /// The hash of the files it deploys.
        watched: ContentHash,
    },
    /// The model was asked.
    Turn,
    /// The kernel file may hold the change.
    Edit {
        /// The change in flight.
        to: ContentHash,
    },
    /// The measurement may have run.
    Measure(Box<MeasureSpec>),
    /// The analysis may stand in the artifact.
    Analysis {
        /// The artifact's path below the run's folder.
        artifact: String,
        /// Its length before, in bytes.
        length: u64,
        /// Stands in the section.
        timestamp: Timestamp,
        /// The words.
        analysis: super::evidence::Analysis,
    },
    /// The kernel file may hold the incumbent.
    Revert {
        /// Why.
        cause: RevertCause,
        /// The incumbent.
        to: ContentHash,
    },
    /// The commit may exist.
    Commit {
        /// The text.
        kernel: ContentHash,
        /// The commit it stands on.
        parent: Option<String>,
        /// The commit's message.
        message: String,
        /// The commit's time.
        timestamp: Timestamp,
    },
}

/// What the code must do next to the change in flight, before anything else is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Put the incumbent back.
    Revert(RevertCause),
    /// Check the change once more before its commit.
    Recheck,
    /// Commit the change.
    Commit,
    /// Close the iteration, which reverted.
    FinishReverted(RevertCause),
    /// Close the iteration, which kept its change.
    FinishKept,
}

/// The iteration that is under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Current {
    /// The change in one line.
    pub change: String,
    /// The text with the change.
    pub edited: Option<ContentHash>,
    /// Who made it, where it is not always the same.
    pub by: Option<Answerer>,
    /// The smoke test.
    pub test: Option<Evidence>,
    /// The candidate benchmark.
    pub candidate: Option<Evidence>,
    /// The final benchmark; after an ambiguous one, the larger.
    pub confirmation: Option<Evidence>,
    /// The last check before the commit.
    pub recheck: Option<Evidence>,
    /// A measurement that the code must repeat, or enlarge.
    pub again: Option<MeasureSpec>,
    /// Measurements so far of test, candidate, final and recheck.
    pub rounds: [u32; 4],
    /// What the code must do next.
    pub due: Option<Due>,
    /// What the last analysis says of the signals, bounded.
    pub feedback: String,
    /// The last analysis's plan.
    pub next_step: String,
    /// The last failure's account.
    pub failure: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// Turns of the model since its last legal step.
    pub idle_turns: u32,
    /// Whether a turn was given up because nobody answered in time.
    pub abandoned: bool,
}

impl Current {
    /// Returns the evidence that there is, the last measurement's last.
    pub fn all_evidence(&self) -> impl DoubleEndedIterator<Item = &Evidence> {
        [&self.test, &self.candidate, &self.confirmation, &self.recheck].into_iter().flatten()
    }

    /// Returns the evidence of `purpose`.
    pub fn evidence(&self, purpose: Purpose) -> Option<&Evidence> {
        match purpose {
            Purpose::Test => self.test.as_ref(),
            Purpose::Candidate => self.candidate.as_ref(),
            Purpose::Final => self.confirmation.as_ref(),
            Purpose::Recheck => self.recheck.as_ref(),
            Purpose::Headline => None,
        }
    }
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// What the run is.
    pub run: RunStarted,
    /// Which calls are legal.
    pub phase: Phase,
    /// The iteration under way.
    pub iteration: Iteration,
    /// The best kernel so far.
    pub incumbent: ContentHash,
    /// The change in the kernel file, where there is one.
    pub in_flight: Option<ContentHash>,
    /// The intent without a result, where there is one.
    pub pending: Option<Pending>,
    /// Attempts of the turn under way that came to nothing.
    pub turn_faults: u32,
    /// Who gave the last answer, where it is not always the same.
    pub answered_by: Option<Answerer>,
    /// The model's calls that have not run yet.
    pub queue: VecDeque<Arc<RawCall>>,
    /// The iteration under way.
    pub current: Current,
    /// The iterations that are over, the baseline not among them.
    pub ledger: Vec<IterationRecord>,
    /// The baseline's figures and records.
    pub baseline: Option<Baseline>,
    /// The incumbent's metric, from the duel that confirmed it; the baseline's before the first KEEP.
    pub best_us: Option<Micros>,
    /// How many times faster the incumbent is than the kernel as found, by all duels that confirmed a change together.
    pub speedup: f64,
    /// The tip of the run's branch.
    pub tip: Option<String>,
    /// The last duel against the original, where one was made.
    pub headline: Option<Headline>,
    /// The device that the last measurement came from.
    pub device: Option<String>,
    /// The noise of each measurement that showed it, as a fraction, in their order.
    pub noise: Vec<f64>,
    /// For each final benchmark that was started, in their order, whether its verdict was improved.
    pub finals: Vec<bool>,
    /// Counts.
    pub counters: Counters,
    /// Time in which the run was active, in milliseconds, up to `last_event`.
    pub active_ms: u64,
    /// The time of the newest event.
    pub last_event: Timestamp,
    /// The time of the first event.
    pub first_event: Timestamp,
    /// The reason for which the loop is over, once it is.
    pub closing: Option<StopReason>,
    /// Why the run cannot go on, where it cannot.
    pub blocked: Option<String>,
    /// The user's wish.
    pub stop_requested: Option<StopSource>,
    /// Why the run is over, once it is.
    pub stop: Option<StopReason>,
}

/// What an event is told against: the part of a state that the event may change, small enough to copy for each one.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Which calls were legal.
    pub phase: Phase,
    /// The iteration that was under way.
    pub iteration: Iteration,
    /// The intent that had no result.
    pub pending: Option<Pending>,
    /// The reason for which the loop was over, once it was.
    pub closing: Option<StopReason>,
    /// The baseline's metric, once it was known.
    pub baseline_us: Option<Micros>,
}

impl RunState {
    /// Returns what the next event will be told against.
    pub fn moment(&self) -> Moment {
        Moment {
            phase: self.phase,
            iteration: self.iteration,
            pending: self.pending.clone(),
            closing: self.closing.clone(),
            baseline_us: self.baseline.as_ref().map(|baseline| baseline.us),
        }
    }

    /// Returns the text that the kernel file holds by the journal's account.
    pub fn expected_kernel(&self) -> ContentHash {
        self.in_flight.unwrap_or(self.incumbent)
    }

    /// Returns the metric that ends the run, once the baseline is known.
    pub fn target_us(&self) -> Option<f64> {
        match self.run.terms.target {
            Target::Us(us) => Some(us.get()),
            Target::Speedup(times) => self.baseline.as_ref().map(|baseline| baseline.us.get() / times),
        }
    }

    /// Returns the time in which the run was active up to `now`, in milliseconds.
    pub fn active_ms_at(&self, now: Timestamp) -> u64 {
        self.active_ms.saturating_add(millis_between(self.last_event, now))
    }

    /// Returns the specification of a measurement of the change in flight.
    pub fn spec(&self, by: super::event::Caller, purpose: Purpose) -> MeasureSpec {
        let (candidate, incumbent) = match (purpose, self.in_flight) {
            (Purpose::Headline, _) => (self.incumbent, Some(self.run.baseline)),
            (Purpose::Test | Purpose::Recheck, _) | (_, None) => (self.expected_kernel(), None),
            (Purpose::Candidate | Purpose::Final, Some(edited)) => (edited, Some(self.incumbent)),
        };
        MeasureSpec {
            by,
            purpose,
            round: self.current.rounds.get(purpose as usize).map_or(self.counters.headlines, |rounds| *rounds) + 1,
            attempt: 1,
            size: DuelSize::Normal,
            candidate,
            incumbent,
            controls: super::terms::Controls::default(),
            tag: None,
        }
    }

    /// Returns how thoroughly `spec` is measured.
    pub fn effort(&self, spec: &MeasureSpec) -> Effort {
        let mut effort = spec.controls.apply(self.run.terms.profiles.get(spec.purpose.profile()));
        if spec.size == DuelSize::Larger {
            effort.pairs = effort.pairs.saturating_mul(2);
            effort.timeout_seconds = effort.timeout_seconds.saturating_mul(2);
        }
        if spec.purpose == Purpose::Candidate && spec.incumbent.is_none() {
            // The baseline shows the machine's noise as well, which takes more blocks than a look at the kernel.
            let more = BASELINE_BLOCKS.div_ceil(effort.pairs.max(1));
            effort.pairs = effort.pairs.max(BASELINE_BLOCKS);
            effort.timeout_seconds = effort.timeout_seconds.saturating_mul(more);
        }
        effort
    }

    /// Returns the evidence that awaits its analysis, and what it is for.
    pub fn awaiting_analysis(&self) -> Option<(Purpose, &Evidence)> {
        let purpose = match self.phase {
            Phase::Tested => Purpose::Test,
            Phase::Measured => Purpose::Candidate,
            Phase::Confirmed => Purpose::Final,
            Phase::Baseline => match (&self.current.test, &self.current.candidate) {
                (_, Some(_)) => Purpose::Candidate,
                (Some(_), None) => Purpose::Test,
                (None, None) => return None,
            },
            _ => return None,
        };
        let evidence = self.current.evidence(purpose)?;
        evidence.analysed.is_none().then_some((purpose, evidence))
    }

    /// Tells whether the candidate's gain over the incumbent is material: above the margin, and not ruled out.
    pub fn is_material(&self, comparison: &Comparison) -> bool {
        let margin = comparison.margin.max(self.run.terms.min_improvement);
        comparison.verdict != Verdict::NotImproved && comparison.ratio > 1.0 + margin
    }
}

/// Returns the milliseconds from `from` to `to`, 0 where the clock went back.
pub(super) fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond().saturating_sub(from.as_millisecond())).unwrap_or(0)
}
