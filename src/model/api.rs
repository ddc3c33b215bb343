//! The seam between the run and whoever proposes changes.

use std::future::Future;
use std::pin::Pin;

use thiserror::Error;

use crate::journal::Snapshots;
use crate::protocol::{RawCall, RunState, Usage};

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
}

/// A model that can propose nothing any more: the run ends as blocked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// There is nothing left to try.
    #[error("{0}")]
    Exhausted(String),
    /// It cannot be asked, and asking again will not help.
    #[error("{0}")]
    Failed(String),
}

/// The future of a model's answer, on the session's single thread.
pub type TurnFuture<'a> = Pin<Box<dyn Future<Output = Result<Turn, ModelError>> + 'a>>;

/// Who proposes changes.
pub trait Model {
    /// Returns the model's name, as on the command line.
    fn name(&self) -> String;

    /// Asks for the next calls. Every retry is the model's own affair; an error ends the run.
    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a>;
}
