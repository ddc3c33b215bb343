//! What a scenario needs of a run, taken from its events one after the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::measurement::line;
use crate::protocol::{ArtifactRef, BudgetKind, Event, Outcome, Pending, RawCall, Rule, RunState, StopReason, Tool};
use crate::stats;
use crate::tools::{Recorded, log_ratios, with_short_artifact};

/// What was taken so far.
pub(super) struct Tape {
    /// The lines of the recording.
    pub(super) replies: Vec<Value>,
    /// The line of each measurement.
    pub(super) measured: Vec<Value>,
    /// The rule of each refusal.
    pub(super) refusals: Vec<Rule>,
    /// The types of the events, those that a scenario does not have left out.
    pub(super) events: Vec<String>,
    /// Files below the repository's root that the model read.
    pub(super) read: BTreeSet<String>,
    /// How each deploy ended.
    pub(super) deploy_code: Option<i32>,
    /// The events before the user's wish to stop.
    pub(super) stop_after: Option<usize>,
    /// The events before each crash.
    pub(super) resume_after: Vec<usize>,
    /// Edits of the kernel by somebody else.
    pub(super) outside_edits: usize,
    run: PathBuf,
    repo_root: PathBuf,
    written_in: PathBuf,
    /// Whether a turn was given up, so that the recording has come to its end.
    abandoned: bool,
}

impl Tape {
    /// Begins with the first event of the run in the folder `run`.
    pub(super) fn new(run: &Path, state: &RunState) -> Self {
        let repo_root = PathBuf::from(&state.run.repo_root);
        Self {
            replies: Vec::new(),
            measured: Vec::new(),
            run: run.to_owned(),
            refusals: Vec::new(),
            events: vec!["run_started".to_owned()],
            read: BTreeSet::new(),
            deploy_code: None,
            stop_after: None,
            resume_after: Vec::new(),
            outside_edits: 0,
            written_in: repo_root.join("artifacts").join(state.run.run_id.as_str()),
            repo_root,
            abandoned: false,
        }
    }

    /// Takes an event in, before it is folded into `state`; an error says what no scenario can have.
    pub(super) fn take(&mut self, state: &RunState, event: &Event) -> Result<(), String> {
        match event {
            Event::OutsideEdit { .. } => {
                self.outside_edits += 1;
                return Ok(());
            }
            Event::TurnStarted {} if self.abandoned => {
                return Err("it was stopped while the model was asked, and resumed: record one that was not".to_owned());
            }
            Event::TurnFinished { calls, usage, problem, by, .. } => {
                let calls: Vec<_> = calls.iter().map(|call| self.call(call)).collect();
                let mut line = json!({"calls": calls, "usage": usage});
                if let Some(line) = line.as_object_mut() {
                    line.extend(problem.map(|problem| ("problem".to_owned(), json!(problem))));
                    line.extend(by.as_ref().map(|by| ("by".to_owned(), json!(by))));
                }
                self.replies.push(line);
            }
            Event::ModelFault { kind, .. } => self.replies.push(json!({"fault": kind})),
            Event::TurnAbandoned {} => self.abandon(),
            Event::Blocked { message } => match &state.pending {
                Some(Pending::Turn) => self.replies.push(json!({"failed": message})),
                _ => return Err(format!("it was blocked by its surroundings: {message}")),
            },
            Event::MeasureFinished { outcome, artifact, .. } => {
                let line = self.measurement(state, outcome, artifact);
                self.measured.push(line.map_err(|why| format!("{}: {why}", artifact.path))?);
            }
            Event::CallRefused { refusal, .. } => self.refusals.push(refusal.rule),
            Event::FileRead { path, .. } => self.note_read(path),
            Event::CallFailed { call, tool, .. } if tool == Tool::ReadFile.name() => self.note_failed_read(state, call),
            Event::DeployFinished { exit_code, .. } => {
                if self.deploy_code.is_some_and(|code| code != *exit_code) {
                    return Err("its deploy command ended in two ways".to_owned());
                }
                self.deploy_code = Some(*exit_code);
            }
            Event::StopRequested { .. } if self.stop_after.is_some() => {
                return Err("it was stopped twice".to_owned());
            }
            Event::StopRequested { .. } => self.stop_after = Some(self.events.len()),
            Event::RunResumed { budget: Some(_), .. } => return Err("it was resumed with another budget".to_owned()),
            Event::RunResumed { .. } => self.resume_after.push(self.events.len()),
            _ => {}
        }
        let value = serde_json::to_value(event).unwrap_or_default();
        self.events.push(value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned());
        Ok(())
    }

    /// Returns the line by which a scenario comes to a measurement again, from the measurement's own record.
    fn measurement(&self, state: &RunState, outcome: &Outcome, artifact: &ArtifactRef) -> Result<Value, String> {
        let path = self.run.join(&artifact.path).with_extension("json");
        let result = std::fs::read_to_string(&path).map_err(|error| format!("its `.json` cannot be read: {error}"))?;
        let Recorded { outcome: recorded, effort, readings, .. } = Recorded::read(&result)?;
        if recorded != *outcome {
            return Err("its `.json` has another outcome than the journal; `agent replay` says more".to_owned());
        }
        if let (Outcome::Measured { comparison: Some(_), .. }, Some(Pending::Measure(spec))) = (outcome, &state.pending)
            && stats::rule(state, spec.purpose, effort.pairs).next(&log_ratios(&readings)) > 0
        {
            return Err(format!(
                "the duel ended because its time was over, and a scenario takes no time: record a run with a longer \
                 profiles.{}.timeout_seconds",
                spec.purpose.profile()
            ));
        }
        line(outcome, state.run.terms.metric, &readings).map_err(|error| error.to_string())
    }

    /// Checks what only the end can tell.
    pub(super) fn check(&self, stop: &StopReason) -> Result<(), String> {
        if *stop == (StopReason::Budget { budget: BudgetKind::Wall }) {
            return Err("it ended with its wall budget, and a scenario takes no time: record one with another budget"
                .to_owned());
        }
        Ok(())
    }

    /// The model was asked, and the user's wish came first. Behind a fault the next attempt was not even made.
    fn abandon(&mut self) {
        self.abandoned = true;
        let asked = self.events.iter().rev().find(|event| *event != "stop_requested");
        if asked.is_some_and(|event| event == "turn_started") {
            self.replies.push(json!({"silent": true}));
        }
    }

    fn call(&self, call: &RawCall) -> Value {
        let call = with_short_artifact(Arc::new(call.clone()), &self.repo_root, &self.written_in);
        let RawCall { id, tool, arguments } = Arc::unwrap_or_clone(call);
        json!({"tool": tool, "arguments": arguments, "id": id})
    }

    fn note_failed_read(&mut self, state: &RunState, call: &str) {
        let arguments = state.queue.iter().find(|queued| queued.id == call).map(|queued| &queued.arguments);
        if let Some(path) = arguments.and_then(|arguments| arguments.get("path")).and_then(Value::as_str) {
            self.note_read(path);
        }
    }

    fn note_read(&mut self, path: &str) {
        let is_own =
            matches!(path, "kernel" | "harness") || path.starts_with("iter-") || path.starts_with("artifacts/");
        let is_plain = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !is_own && is_plain {
            self.read.insert(path.to_owned());
        }
    }
}
