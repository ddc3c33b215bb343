//! A model that knows what it wants: one call a turn, each change led to its fate by the shortest way.

use std::future::ready;

use afterhours::model::{Model, ModelError, Turn, TurnFuture, View};
use afterhours::protocol::{Phase, RawCall, RunState, Usage};
use serde_json::{Value, json};

use super::canned::{Fate, MARK, iteration_of};

pub struct Script {
    pub fate: fn(u32) -> Fate,
}

impl Script {
    fn call(&self, state: &RunState, kernel: &str) -> Option<(&'static str, Value)> {
        let fate = (self.fate)(state.iteration.0);
        Some(match state.phase {
            Phase::Idle => ("edit-kernel", edit(state.iteration.0, kernel)),
            Phase::Edited => ("test-run", json!({"profile": "smoke"})),
            Phase::Measurable if fate == Fate::GivenUp => ("revert", json!({"reason": "the smoke test is slower"})),
            Phase::Measurable => ("benchmark-run", json!({"profile": "candidate"})),
            Phase::Confirmable => ("benchmark-run", json!({"profile": "final"})),
            Phase::Tested => ("append-analysis", analysis(state, fate != Fate::Wrong)?),
            Phase::Measured | Phase::Confirmed => ("append-analysis", analysis(state, fate == Fate::Kept)?),
            Phase::Deploy | Phase::Baseline | Phase::Closing | Phase::Stopped => return None,
        })
    }
}

impl Model for Script {
    fn name(&self) -> String {
        "script".to_owned()
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        let id = format!("call_{:08x}", view.state.counters.round_trips);
        let turn = self.call(view.state, view.kernel).map(|(tool, arguments)| Turn {
            calls: vec![RawCall { id, tool: tool.to_owned(), arguments }],
            usage: Usage { prompt: 6_000, cached: 5_000, completion: 300, usd: 0.004 },
            ..Turn::default()
        });
        Box::pin(ready(turn.ok_or_else(|| ModelError::Failed("asked in a phase without a call".to_owned()))))
    }
}

fn edit(iteration: u32, kernel: &str) -> Value {
    json!({
        "change": format!("unroll the inner loop by {iteration} and keep the partial sums in registers"),
        "edits": [{
            "search": format!("{MARK}{}\n", iteration_of(kernel)),
            "replace": format!("{MARK}{iteration}\n"),
        }],
    })
}

fn analysis(state: &RunState, keep: bool) -> Option<Value> {
    let (_, evidence) = state.awaiting_analysis()?;
    Some(json!({
        "artifact": evidence.artifact.path,
        "decision": if keep { "KEEP" } else { "REVERT" },
        "summary": "Unrolling shortens the dependency chain of the partial sums; the metric moved as the ratio says.",
        "feedback": "No spills, no outliers above two per cent; the largest case gained the most, the smallest nothing.",
        "next_step": "Split the accumulator into two, so that the additions of one iteration do not wait for each other.",
    }))
}
