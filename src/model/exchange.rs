//! One exchange with a model, as a line of a run's `transcript.jsonl`.

use serde::{Deserialize, Serialize};

use super::api::{CallResult, Turn};
use super::message::Sent;
use crate::protocol::{Answerer, Problem, RawCall, RunState, Usage};

/// What went to a model and what came back. The transcript explains a run and feeds replays; the journal alone decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The format's version: [`Exchange::VERSION`].
    pub v: u32,
    /// The turns that the run had had before.
    pub turn: u32,
    /// The iteration under way.
    pub iteration: u32,
    /// The phase's name.
    pub phase: String,
    /// The model that answered.
    pub model: String,
    /// Who that is, where it is not always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Answerer>,
    /// The results of the calls of the turn before.
    pub results: Vec<CallResult>,
    /// What was sent, where the model is one that reads. The first exchange of each process keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// The answer's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The answer's calls.
    pub calls: Vec<RawCall>,
    /// What was wrong with the answer's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What the answer cost.
    pub usage: Usage,
}

impl Exchange {
    /// The version that this program writes.
    pub const VERSION: u32 = 2;
    /// The file in a run's folder.
    pub const FILE: &'static str = "transcript.jsonl";

    /// Returns the exchange in which `turn` came. `model` is the name of the model that was asked.
    pub fn new(state: &RunState, model: String, results: &[CallResult], turn: &Turn) -> Self {
        Self {
            v: Self::VERSION,
            turn: state.counters.round_trips + state.counters.tuner_turns,
            iteration: state.iteration.0,
            phase: state.phase.name().to_owned(),
            model: turn.by.as_ref().map_or(model, |by| by.name().to_owned()),
            by: turn.by.clone(),
            results: results.to_vec(),
            sent: turn.sent.clone(),
            text: turn.text.clone(),
            calls: turn.calls.clone(),
            problem: turn.problem,
            usage: turn.usage,
        }
    }
}
