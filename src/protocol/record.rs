//! What is written down of a run: its iterations, its baseline, its last duel, and what it has counted and spent.

use serde::{Deserialize, Serialize};

use super::event::{Answerer, RevertCause, Usage};
use super::evidence::{ArtifactRef, Comparison, Decision, KernelFailure};
use super::ids::{ContentHash, Iteration, Micros};

/// The figures of one benchmark, as reports show them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The candidate's metric.
    pub us: Micros,
    /// The incumbent's metric in the same duel.
    pub incumbent_us: Option<Micros>,
    /// The comparison.
    pub comparison: Option<Comparison>,
}

/// One measurement's result, as reports show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It passed.
    Passed(Figure),
    /// The kernel failed.
    Failed {
        /// How.
        failure: KernelFailure,
        /// A short account.
        message: String,
    },
}

/// What an iteration came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IterationRecord {
    /// Which.
    pub iteration: Iteration,
    /// The change in one line; empty where the model made none.
    pub change: String,
    /// The text with the change.
    pub kernel: Option<ContentHash>,
    /// Who made it, where it is not always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Answerer>,
    /// The smoke test.
    pub test: Option<Finding>,
    /// The candidate benchmark.
    pub candidate: Option<Finding>,
    /// The final benchmark.
    #[serde(rename = "final")]
    pub confirmation: Option<Finding>,
    /// The last check before the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck: Option<Finding>,
    /// What was decided.
    pub decision: Decision,
    /// Why it was reverted.
    pub cause: Option<RevertCause>,
    /// The last failure of the infrastructure, where there was one.
    pub infra: Option<String>,
    /// What the last analysis says of the signals, bounded.
    pub feedback: String,
    /// The plan for the next change.
    pub next_step: String,
    /// The commit, and the artifacts it names.
    pub kept: Option<Kept>,
}

impl IterationRecord {
    /// Returns what was found, the last measurement's last.
    pub fn findings(&self) -> impl DoubleEndedIterator<Item = &Finding> {
        [&self.test, &self.candidate, &self.confirmation, &self.recheck].into_iter().flatten()
    }
}

/// The evidence behind a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The commit.
    pub sha: String,
    /// The records of test, candidate, final and recheck.
    pub artifacts: Vec<ArtifactRef>,
}

/// The last duel: the best kernel against the one found at the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Headline {
    /// The best kernel's text.
    pub kernel: ContentHash,
    /// Its figures: the incumbent is the original.
    pub result: Option<Figure>,
    /// The record.
    pub artifact: ArtifactRef,
}

/// What a run has counted and spent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Iterations that ended in KEEP.
    pub keeps: u32,
    /// Iterations that ended in REVERT.
    pub reverts: u32,
    /// Reverts since the last KEEP.
    pub no_progress: u32,
    /// Refused calls.
    pub refusals: u32,
    /// Legal calls that could not be carried out.
    pub failed_calls: u32,
    /// Measurements that failed for reasons of the infrastructure.
    pub infra_failures: u32,
    /// The same, where the repetition failed as well.
    pub infra_unrecovered: u32,
    /// Exchanges with the model.
    pub round_trips: u32,
    /// Turns that the tuner beside the model took; they cost nothing, and are no exchanges.
    pub tuner_turns: u32,
    /// Attempts to ask the model that came to nothing.
    pub model_faults: u32,
    /// Answers that had something wrong with their form.
    pub format_errors: u32,
    /// Tokens and money.
    pub usage: Usage,
    /// Time in the model, in milliseconds.
    pub model_ms: u64,
    /// Time in harnesses, in milliseconds.
    pub harness_ms: u64,
    /// The program's own time for each tool call, in microseconds.
    pub overheads_us: Vec<u64>,
    /// Times that somebody else edited the kernel file.
    pub outside_edits: u32,
    /// Times that the run went on after a crash or a stop.
    pub resumes: u32,
    /// Failed deploys in a row.
    pub failed_deploys: u32,
    /// Duels against the original.
    pub headlines: u32,
}

/// The kernel as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Its metric.
    pub us: Micros,
    /// The records of its test and benchmark.
    pub artifacts: Vec<ArtifactRef>,
}
