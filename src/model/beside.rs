//! The tuner beside another model: the model writes code, the tuner sets the values that the code declares.

use super::api::{CallResult, Model, Turn, TurnFuture, View};
use super::tuner::Tuner;
use crate::protocol::{Answerer, Decision, IterationRecord, Phase, RunState, Tool};

/// A model that lets the tuner take some iterations after each of its KEEPs.
struct Beside {
    model: Box<dyn Model>,
    tuner: Tuner,
    /// Iterations after each KEEP of the model's.
    iterations: u32,
    /// The results that the model has not seen, while the tuner is at work.
    unseen: Option<Vec<CallResult>>,
}

/// Puts the tuner beside `model`: after each KEEP of the model's it gets up to `iterations`, as long as the best kernel
/// declares tunables and values are left to try. With 0 it gets none.
pub fn with_tuner(model: Box<dyn Model>, iterations: u32) -> Box<dyn Model> {
    match iterations {
        0 => model,
        _ => Box::new(Beside { model, tuner: Tuner::new(), iterations, unseen: None }),
    }
}

impl Model for Beside {
    fn name(&self) -> String {
        self.model.name()
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        Box::pin(async move {
            // Where the tuner has nothing to propose, the model goes on.
            if self.is_tuners(view.state)
                && let Ok(turn) = self.tuner.turn(view).await
            {
                self.unseen.get_or_insert_with(|| view.results.to_vec());
                return Ok(one_iteration(turn));
            }
            let results = self.unseen.as_deref().unwrap_or(view.results);
            let turn = self.model.turn(View { results, ..view }).await?;
            self.unseen = None;
            Ok(turn)
        })
    }
}

impl Beside {
    fn is_tuners(&self, state: &RunState) -> bool {
        match state.phase {
            Phase::Idle => spent_since_keep(&state.ledger).is_some_and(|spent| spent < self.iterations),
            _ => state.current.by == Some(Answerer::Tuner),
        }
    }
}

/// Returns the tuner's iterations since the model's last KEEP, where there is one.
fn spent_since_keep(ledger: &[IterationRecord]) -> Option<u32> {
    let mut spent = 0;
    for record in ledger.iter().rev() {
        match (&record.by, record.decision) {
            (Some(Answerer::Tuner), _) => spent += 1,
            (_, Decision::Keep) => return Some(spent),
            (_, Decision::Revert) => {}
        }
    }
    None
}

/// Leaves the next iteration's change out of a turn of the tuner's: whose it is, is not known yet.
fn one_iteration(turn: Turn) -> Turn {
    let next = turn.calls.iter().skip(1).position(|call| Tool::from_name(&call.tool) == Some(Tool::EditKernel));
    let mut calls = turn.calls;
    calls.truncate(next.map_or(calls.len(), |next| next + 1));
    Turn { calls, by: Some(Answerer::Tuner), ..Turn::default() }
}
