//! `expected.json`: what a scenario must come to.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::error::EvalError;
use super::text;
use crate::protocol::{BudgetKind, Decision, Event, RevertCause, Rule, StopReason};

/// The file that may hold the expected kernel where a JSON text would be hard to read.
pub(super) const KERNEL: &str = "expected.txt";

/// What must hold after the run; whatever is `None` is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// The stop's code, as `agent status` has it.
    pub(super) stop: Option<String>,
    /// The exit code of `agent run`.
    pub(super) exit: Option<u8>,
    /// Every iteration, in order.
    pub(super) iterations: Option<Vec<Ended>>,
    /// The rule of every refusal, in order.
    pub(super) refusals: Option<Vec<Rule>>,
    /// The kernel's text at the end.
    pub(super) kernel: Option<String>,
    /// Types of events that occur in this order, others between them.
    pub(super) events: Option<Vec<String>>,
    /// The number of commits on the run's branch.
    pub(super) commits: Option<usize>,
    /// A part of the account of why the run was blocked.
    pub(super) blocked: Option<String>,
    /// Not expected, but done: the user says stop after so many events.
    pub(super) stop_after: Option<usize>,
    /// Not expected, but done: the run's process dies after so many events, and another goes on.
    #[serde(default)]
    pub(super) resume_after: Vec<usize>,
}

/// How an iteration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ended {
    pub(super) decision: Decision,
    pub(super) cause: Option<RevertCause>,
}

impl Expected {
    /// Reads `expected.json` in the scenario's folder, and `expected.txt` where there is one.
    pub(super) fn read(folder: &Path) -> Result<Self, EvalError> {
        let path = folder.join(super::scenario::EXPECTED);
        let bad = |message: String| EvalError::bad(&path, message);
        let mut expected: Self = text::json(&text::read(&path)?).map_err(bad)?;
        let kernel = folder.join(KERNEL);
        if kernel.exists() {
            if expected.kernel.is_some() {
                return Err(bad(format!("kernel: {KERNEL} says it as well; keep one of the two")));
            }
            expected.kernel = Some(text::read(&kernel)?);
        }
        expected.check().map_err(bad)?;
        Ok(expected)
    }

    fn check(&self) -> Result<(), String> {
        let done = Self { stop_after: self.stop_after, resume_after: self.resume_after.clone(), ..Self::default() };
        if *self == done {
            return Err("nothing is expected; give at least one of stop, exit, iterations, refusals, kernel, events, \
                        commits, blocked"
                .to_owned());
        }
        if self.stop_after == Some(0) || !self.resume_after.iter().is_sorted_by(|a, b| a < b) {
            return Err("stop_after, resume_after: events count from 1, each after the one before".to_owned());
        }
        if let Some(stop) = &self.stop
            && !stops().contains(stop)
        {
            return Err(format!("stop: {stop:?} is no way to stop; there are {}", stops().join(", ")));
        }
        if let Some(exit) = self.exit
            && ![0, 10, 11, 12].contains(&exit)
        {
            return Err(format!("exit: a run does not end with {exit}; there are 0, 10, 11, 12"));
        }
        let keep = |ended: &&Ended| ended.decision == Decision::Keep && ended.cause.is_some();
        if self.iterations.iter().flatten().find(keep).is_some() {
            return Err("iterations: a KEEP has no cause".to_owned());
        }
        for (place, name) in self.events.iter().flatten().enumerate() {
            known(name).map_err(|message| format!("events[{place}]: {message}"))?;
        }
        Ok(())
    }
}

/// Returns the codes of all stops.
fn stops() -> Vec<String> {
    let budgets = [
        BudgetKind::Iterations,
        BudgetKind::Wall,
        BudgetKind::Tokens,
        BudgetKind::Usd,
        BudgetKind::NoProgress,
        BudgetKind::InfraFailures,
    ];
    let blocked = StopReason::Blocked { message: String::new() };
    let others = [StopReason::TargetReached, StopReason::User, blocked];
    budgets.map(|budget| StopReason::Budget { budget }).iter().chain(&others).map(StopReason::code).collect()
}

/// Checks that there are events of the type `name`: the journal's own reader knows which there are.
fn known(name: &str) -> Result<(), String> {
    match serde_json::from_value::<Event>(json!({"type": name})) {
        Err(error) if error.to_string().starts_with("unknown variant") => Err(error.to_string()),
        Err(_) | Ok(_) => Ok(()),
    }
}
