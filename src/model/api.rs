//! The seam between the run and whoever proposes changes.

use std::future::Future;
use std::pin::Pin;

use thiserror::Error;

use super::message::{Message, Sent};
use crate::journal::Snapshots;
use crate::protocol::{Answerer, FaultKind, Problem, RawCall, RunState, Usage};

/// What came of a call, for the model that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was carried out.
    Done,
    /// It broke a rule.
    Refused,
    /// It was legal, and could not be carried out.
    Failed,
    /// A call before it in the same turn was refused or failed, or the iteration ended.
    Dropped,
}

/// The result of one call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CallResult {
    /// The call's id.
    pub call: String,
    /// The tool's name, as the model spelled it.
    pub tool: String,
    /// What came of it.
    pub answer: Answer,
    /// The text for the model, bounded.
    pub text: String,
}

/// What a model gets to see when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The run so far: phase, figures, ledger.
    pub state: &'a RunState,
    /// The mission's prompt, its variables filled in.
    pub prompt: &'a str,
    /// What the harness says of its problem, where it says something. It is not the mission's author who says it.
    pub description: Option<&'a str>,
    /// The text in the kernel file: the incumbent, or the change in flight.
    pub kernel: &'a str,
    /// The results of the calls of the turn before; empty on the first turn of a process.
    pub results: &'a [CallResult],
    /// Every text that the run has tried.
    pub snapshots: &'a Snapshots,
}

/// A model's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// The calls it wants made, in order.
    pub calls: Vec<RawCall>,
    /// What the answer cost.
    pub usage: Usage,
    /// What was wrong with its form, where something was.
    pub problem: Option<Problem>,
    /// Its words beside the calls, bounded.
    pub text: String,
    /// Who answered, where it is not always the same.
    pub by: Option<Answerer>,
    /// What was sent, where something was.
    pub sent: Option<Sent>,
}

/// An attempt that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The model that was asked.
    pub model: String,
    /// In a word.
    pub kind: FaultKind,
    /// In the endpoint's words, bounded, without any key.
    pub message: String,
    /// The wait that the endpoint asks for, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    fn describe(&self) -> String {
        format!("{}: {}: {}", self.model, self.kind, self.message)
    }
}

/// Why a model did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// Asking again may help: the session journals the fault, waits, and asks again.
    #[error("{}", .0.describe())]
    Fault(Fault),
    /// There is nothing left to try: the run ends as blocked.
    #[error("{0}")]
    Exhausted(String),
    /// It cannot be asked, and asking again will not help: the run ends as blocked.
    #[error("{0}")]
    Failed(String),
}

/// What a language model is shown: the words of each request, made from the run.
pub trait Context {
    /// Returns the messages of the next request. Asked again before an answer came, it returns them again; every call of an
    /// answer has its result in them.
    ///
    /// # Errors
    /// Where the words cannot be made: asking again will not help.
    fn request(&mut self, view: &View<'_>) -> Result<Vec<Message>, ModelError>;

    /// Takes in the answer to the last request.
    fn answered(&mut self, turn: &Turn);

    /// Makes the next request smaller than the last one, which was too long. Returns whether it can be.
    fn shrink(&mut self) -> bool;

    /// Makes the next request anew, without the conversation: an endpoint has failed at it again and again.
    fn renew(&mut self);
}

/// The future of a model's answer, on the session's single thread.
pub type TurnFuture<'a> = Pin<Box<dyn Future<Output = Result<Turn, ModelError>> + 'a>>;

/// Who proposes changes.
pub trait Model {
    /// Returns the model's name, as on the command line.
    fn name(&self) -> String;

    /// Asks for the next calls, once. After a fault it is asked again with the same view, but for the count in
    /// `view.state.turn_faults`; by that count it may turn to another model. Dropping the future gives the attempt up.
    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a>;
}
