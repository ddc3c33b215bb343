//! The events of a run, in the words of its journal. An intent stands before each side effect, its result after.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::{Analysis, ArtifactRef, Decision, Outcome, Purpose};
use super::fault::{FaultKind, Problem};
use super::ids::{ContentHash, Iteration, RunId};
use super::refusal::Refusal;
use super::stop::{StopReason, StopSource};
use super::terms::{Budget, Controls, Terms};

/// A tool call as it came from a model: nothing in it has been checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawCall {
    /// The model's own id for the call.
    pub id: String,
    /// The tool's name.
    pub tool: String,
    /// The arguments: an object where the model kept to the schema.
    pub arguments: serde_json::Value,
}

/// The tokens and the money of one exchange with a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Prompt tokens, the cached ones included.
    pub prompt: u64,
    /// Prompt tokens that the provider took from its cache.
    pub cached: u64,
    /// Completion tokens.
    pub completion: u64,
    /// US dollars.
    pub usd: f64,
}

/// Who answered a turn, where it is not always the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answerer {
    /// One of several language models, by its name.
    Model(String),
    /// The tuner beside the model.
    Tuner,
}

impl Answerer {
    /// Returns the name, for reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Model(name) => name,
            Self::Tuner => "tuner",
        }
    }
}

/// Who asked for a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// The protocol itself: the baseline, a repetition, the headline.
    Code,
    /// The model, by the call with this id.
    Model(String),
}

/// Whether a final duel has the profile's size, or is the larger one that follows an ambiguous verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuelSize {
    /// As the profile says.
    #[default]
    Normal,
    /// Twice the profile's pairs.
    Larger,
}

/// One measurement to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureSpec {
    /// Who asked for it.
    pub by: Caller,
    /// What for.
    pub purpose: Purpose,
    /// Counts from 1 the measurements of this purpose in this iteration.
    pub round: u32,
    /// Counts from 1 the tries: the second repeats the first after an infra failure.
    pub attempt: u32,
    /// How many pairs.
    pub size: DuelSize,
    /// The text under test.
    pub candidate: ContentHash,
    /// The text it is compared with.
    pub incumbent: Option<ContentHash>,
    /// What the caller changes of the profile.
    pub controls: Controls,
    /// The caller's own word for the measurement, kept in its artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Why the incumbent is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevertCause {
    /// The smoke test failed.
    TestFailed,
    /// The candidate benchmark failed or showed no material gain.
    NotImproved,
    /// The final benchmark did not confirm the gain.
    NotConfirmed,
    /// The infrastructure failed twice in a row.
    Infra,
    /// The model chose it.
    ModelChoice,
    /// The model made no legal step for many turns.
    Stuck,
    /// A budget was spent in the middle of the iteration.
    Budget,
    /// The user said stop.
    UserStop,
    /// The model or the runner failed for good.
    Blocked,
}

impl RevertCause {
    /// Returns the cause in a few words, for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Self::TestFailed => "the smoke test failed",
            Self::NotImproved => "no material gain over the incumbent",
            Self::NotConfirmed => "the final benchmark did not confirm the gain",
            Self::Infra => "the infrastructure failed twice",
            Self::ModelChoice => "the model chose to revert",
            Self::Stuck => "the model made no legal step for many turns",
            Self::Budget => "a budget was spent",
            Self::UserStop => "the user said stop",
            Self::Blocked => "the run cannot go on",
        }
    }
}

/// What a run is, fixed at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run's name.
    pub run_id: RunId,
    /// The program's version that began it.
    pub program: String,
    /// The mission's file, as given.
    pub mission: String,
    /// The mission's text, kept among the snapshots: a resumed run needs no mission file.
    pub mission_hash: ContentHash,
    /// The variables given on the command line.
    pub vars: BTreeMap<String, String>,
    /// The mission's terms.
    pub terms: Terms,
    /// The repository's root.
    pub repo_root: String,
    /// The kernel, below the root.
    pub kernel: String,
    /// The harness, below the root.
    pub harness: String,
    /// The hash of everything that defines the measurement.
    pub harness_hash: ContentHash,
    /// The model, as on the command line.
    pub model: String,
    /// The runner's name.
    pub runner: String,
    /// The kernel's text as it was found: the baseline.
    pub baseline: ContentHash,
    /// The commit that was checked out; absent in a repository without one.
    pub base_commit: Option<String>,
    /// The branch that receives the commits.
    pub branch: String,
    /// Seeds what the run draws at random on its own side: the tuner's order of trials.
    pub seed: u64,
    /// The hash of the watched files, where a deploy is due.
    pub deploy_due: Option<ContentHash>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "fields", rename_all = "snake_case")]
pub enum Event {
    /// The first event of every journal.
    RunStarted(Box<RunStarted>),
    /// The run goes on in a new process. The time since the event before is not counted.
    RunResumed {
        /// The new process.
        pid: u32,
        /// A new budget, where the user raised it.
        budget: Option<Budget>,
    },
    /// Intent: the deploy command is about to run.
    DeployStarted {
        /// Its command line.
        command: String,
        /// The hash of the files it deploys.
        watched: ContentHash,
    },
    /// The deploy command ended.
    DeployFinished {
        /// 0 is success.
        exit_code: i32,
        /// The end of what it printed.
        output: String,
    },
    /// Intent: the model is about to be asked.
    TurnStarted {},
    /// The model answered.
    TurnFinished {
        /// In the order in which they are to run.
        calls: Vec<RawCall>,
        /// What it cost.
        usage: Usage,
        /// How long it took.
        model_ms: u64,
        /// What was wrong with the answer's form, where something was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
        /// Who answered, where it is not always the same: a fallback, or the tuner beside the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Answerer>,
    },
    /// An attempt to ask the model came to nothing; the next one follows after the wait.
    ModelFault {
        /// The model that was asked.
        model: String,
        /// In a word.
        kind: FaultKind,
        /// In the endpoint's words, bounded, without any key.
        message: String,
        /// How long the attempt took, in milliseconds.
        model_ms: u64,
        /// The wait before the next attempt, in milliseconds.
        wait_ms: u64,
    },
    /// Nobody answers this turn any more: the user said stop, or the wall budget ended, while the model was asked.
    TurnAbandoned {},
    /// The model or the runner failed for good: the change in flight is put back, and the run ends.
    Blocked {
        /// What happened, and what would help.
        message: String,
    },
    /// A call was not legal; nothing else happened. The calls behind it in its turn are dropped.
    CallRefused {
        /// The call's id.
        call: String,
        /// The tool's name as the model spelled it, bounded.
        tool: String,
        /// The rule and the legal calls.
        refusal: Refusal,
    },
    /// A call was legal but could not be carried out; nothing changed. The calls behind it are dropped.
    CallFailed {
        /// The call's id.
        call: String,
        /// The tool's name.
        tool: String,
        /// What was wrong, for the model.
        message: String,
    },
    /// The model read lines of a file.
    FileRead {
        /// The call's id.
        call: String,
        /// The file, as the model named it.
        path: String,
        /// The first line.
        first: u64,
        /// The last line.
        last: u64,
    },
    /// Intent: the kernel file is about to receive the change. Its text is already among the snapshots.
    EditStarted {
        /// The call's id.
        call: String,
        /// The change in one line, in the model's words.
        change: String,
        /// The incumbent.
        from: ContentHash,
        /// The change in flight.
        to: ContentHash,
    },
    /// The kernel file holds the change.
    EditFinished {
        /// The program's own time for the call.
        overhead_us: u64,
    },
    /// Intent: a measurement is about to run.
    MeasureStarted(Box<MeasureSpec>),
    /// A measurement ended, and its artifact is on disk.
    MeasureFinished {
        /// What came of it.
        outcome: Box<Outcome>,
        /// The record.
        artifact: ArtifactRef,
        /// The time of the harness's processes and of waiting for the device.
        harness_ms: u64,
        /// The program's own time for the call.
        overhead_us: u64,
    },
    /// Intent: an analysis is about to be appended to an artifact.
    AnalysisStarted {
        /// Who wrote it.
        by: Caller,
        /// The artifact's path below the run's folder.
        artifact: String,
        /// The artifact's length before, in bytes: a repetition cuts a torn attempt off.
        length: u64,
        /// Stands in the section.
        timestamp: Timestamp,
        /// The words.
        analysis: Analysis,
    },
    /// The analysis stands in the artifact.
    AnalysisFinished {
        /// The artifact as it is now.
        artifact: ArtifactRef,
        /// The program's own time for the call.
        overhead_us: u64,
    },
    /// Intent: the incumbent is about to be put back.
    RevertStarted {
        /// Who asked for it.
        by: Caller,
        /// Why.
        cause: RevertCause,
        /// The change in flight.
        from: ContentHash,
        /// The incumbent.
        to: ContentHash,
    },
    /// The kernel file holds the incumbent.
    RevertFinished {
        /// The program's own time for the call.
        overhead_us: u64,
    },
    /// Intent: the change is about to be committed. The commit's time is this event's, so that a repetition gives the same one.
    CommitStarted {
        /// The text: the one that was measured.
        kernel: ContentHash,
        /// The commit it stands on.
        parent: Option<String>,
        /// The commit's message.
        message: String,
        /// The commit's time.
        timestamp: Timestamp,
    },
    /// The change is committed, and is the incumbent from now on.
    CommitFinished {
        /// The commit.
        sha: String,
    },
    /// The iteration is over.
    IterationFinished {
        /// Which.
        iteration: Iteration,
        /// What was decided.
        decision: Decision,
        /// Why it was reverted.
        cause: Option<RevertCause>,
    },
    /// The kernel file held a text that is none of the run's: somebody edited it. The text is safe in the named file.
    OutsideEdit {
        /// The text that was found.
        found: ContentHash,
        /// Where it was saved, below the run's folder.
        rescued: String,
    },
    /// The loop is over but for one last duel: the best kernel against the one found at the start.
    Closing {
        /// Why the loop is over.
        reason: StopReason,
    },
    /// The user said stop.
    StopRequested {
        /// How.
        by: StopSource,
    },
    /// The run is over.
    RunStopped {
        /// Why.
        reason: StopReason,
    },
}
