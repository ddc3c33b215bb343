//! The replay: a model that says what a [recording](Recording) says, turn by turn.

use serde_json::Value;

use super::api::{CallResult, Fault, Model, ModelError, Turn, TurnFuture, View};
use super::recording::{Recorded, RecordedTurn, Recording};
use super::rehearsal::{MakeContext, Rehearsal};
use crate::protocol::{Answerer, Iteration, Phase, Purpose, RawCall, RunState, Tool, artifact_path};

/// Stands in arguments for an artifact's path.
const ARTIFACT: &str = "$artifact";

/// A recorded model.
pub struct Replay {
    recording: Recording,
    /// The recording holds turns of the tuner's: they count among its places.
    has_tuner: bool,
    rehearsal: Option<Rehearsal>,
    /// The results that the model has not seen, while the recorded tuner was at work.
    unseen: Option<Vec<CallResult>>,
}

impl From<Recording> for Replay {
    fn from(recording: Recording) -> Self {
        Self { has_tuner: recording.has_tuner(), recording, rehearsal: None, unseen: None }
    }
}

impl Replay {
    /// Compares, where the recording has the requests that were sent, their words with those that `make`'s contexts give
    /// today, and fails where they differ.
    #[must_use]
    pub fn with_context(self, make: MakeContext) -> Self {
        Self { rehearsal: Some(Rehearsal::new(make)), ..self }
    }

    /// Returns what stands after as many attempts as the run has made.
    fn recorded(&self, state: &RunState) -> Result<&Recorded, ModelError> {
        let counters = &state.counters;
        let tuner_turns = if self.has_tuner { counters.tuner_turns } else { 0 };
        let place = usize::try_from(counters.round_trips + counters.model_faults + tuner_turns).ok();
        place.and_then(|place| self.recording.turns.get(place)).ok_or_else(|| {
            let (path, count) = (self.recording.path.display(), self.recording.len());
            ModelError::Exhausted(format!("the recording {path} has ended after {count} turns"))
        })
    }

    fn answer(&mut self, view: View<'_>, recorded: RecordedTurn) -> Result<Turn, ModelError> {
        let RecordedTurn { calls, usage, problem, text, sent, by } = recorded;
        let number = view.state.counters.round_trips;
        let mut foresight = Foresight::new(view.state);
        let calls = calls.into_iter().enumerate().map(|(index, call)| {
            let mut arguments = call.arguments;
            fill(&mut arguments, &foresight.artifact());
            foresight.after(&call.tool, &arguments);
            RawCall { id: call.id.unwrap_or_else(|| format!("t{number}c{index}")), tool: call.tool, arguments }
        });
        let mut turn = Turn { calls: calls.collect(), usage, problem, text, by, ..Turn::default() };
        if turn.by == Some(Answerer::Tuner) {
            self.unseen.get_or_insert_with(|| view.results.to_vec());
            return Ok(turn);
        }
        let unseen = self.unseen.take();
        let view = View { results: unseen.as_deref().unwrap_or(view.results), ..view };
        if let (Some(rehearsal), Some(sent)) = (&mut self.rehearsal, &sent) {
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            turn.sent = rehearsal.check(view, number, sent, &turn)?;
        }
        Ok(turn)
    }
}

impl Model for Replay {
    fn name(&self) -> String {
        format!("replay:{}", self.recording.path.display())
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        let answer = match self.recorded(view.state).cloned() {
            Ok(Recorded::Silent) => return Box::pin(std::future::pending()),
            Ok(Recorded::Turn(turn)) => self.answer(view, *turn),
            Ok(Recorded::Fault(kind)) => {
                let message = "as the recording says".to_owned();
                Err(ModelError::Fault(Fault { model: self.name(), kind, message, retry_after_ms: None }))
            }
            Ok(Recorded::Failed(message)) => Err(ModelError::Failed(message)),
            Err(error) => Err(error),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Puts `artifact` in the place of every string that stands for it.
fn fill(value: &mut Value, artifact: &str) {
    match value {
        Value::String(text) if text == ARTIFACT => artifact.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, artifact)),
        Value::Object(map) => map.values_mut().for_each(|item| fill(item, artifact)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The artifacts that the calls of one turn are going to make, if each is carried out at once.
///
/// A measurement that the protocol repeats or enlarges has another artifact in the end: a recording that expects one
/// leaves its analysis to the next turn.
struct Foresight {
    iteration: Iteration,
    rounds: [u32; 4],
    /// The measurement that awaits its analysis, and its artifact.
    awaiting: Option<(Purpose, String)>,
    /// Whether the next benchmark is the final one.
    confirming: bool,
}

impl Foresight {
    fn new(state: &RunState) -> Self {
        let awaiting = state.awaiting_analysis();
        Self {
            iteration: state.iteration,
            rounds: state.current.rounds,
            awaiting: awaiting.map(|(purpose, evidence)| (purpose, evidence.artifact.path.clone())),
            confirming: state.phase == Phase::Confirmable,
        }
    }

    /// Returns the artifact that awaits its analysis, or else the one that the next smoke test would make.
    fn artifact(&self) -> String {
        self.awaiting.as_ref().map_or_else(|| self.path_of_next(Purpose::Test), |(_, path)| path.clone())
    }

    fn path_of_next(&self, purpose: Purpose) -> String {
        let made = self.rounds.get(purpose as usize).copied().unwrap_or_default();
        artifact_path(self.iteration, purpose, made + 1)
    }

    /// Takes a call in, as if the protocol had carried it out.
    fn after(&mut self, tool: &str, arguments: &Value) {
        let argument = |key| arguments.get(key).and_then(Value::as_str);
        match Tool::from_name(tool) {
            Some(Tool::TestRun) => self.measured(Purpose::Test),
            Some(Tool::BenchmarkRun) => {
                let confirms = argument("profile").map_or(self.confirming, |profile| profile == "final");
                self.measured(if confirms { Purpose::Final } else { Purpose::Candidate });
            }
            Some(Tool::AppendAnalysis) => match (self.awaiting.take(), argument("decision")) {
                (Some((Purpose::Test, _)), Some("KEEP")) => {}
                (Some((Purpose::Candidate, _)), Some("KEEP")) => self.confirming = true,
                _ => self.next_iteration(),
            },
            Some(Tool::Revert) => self.next_iteration(),
            Some(Tool::EditKernel | Tool::ReadFile) | None => {}
        }
    }

    fn measured(&mut self, purpose: Purpose) {
        self.awaiting = Some((purpose, self.path_of_next(purpose)));
        if let Some(rounds) = self.rounds.get_mut(purpose as usize) {
            *rounds += 1;
        }
    }

    fn next_iteration(&mut self) {
        *self = Self { iteration: self.iteration.next(), rounds: [0; 4], awaiting: None, confirming: false };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::model::ReplayError;
    use crate::protocol::{
        ArtifactRef, ContentHash, Current, Event, Evidence, FaultKind, KernelFailure, Outcome, Problem, RunStarted,
        Usage,
    };
    use jiff::Timestamp;

    fn recording(text: &str) -> (tempfile::TempDir, Result<Recording, ReplayError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("night.jsonl");
        std::fs::write(&path, text).unwrap();
        let opened = Recording::open(&path);
        (folder, opened)
    }

    /// Returns what the recording answers in `state`.
    fn next(recording: &Recording, state: &RunState) -> Result<Turn, ModelError> {
        let snapshots = crate::journal::Snapshots::new(Path::new("/nowhere"));
        let view = View { state, prompt: "", description: None, kernel: "", results: &[], snapshots: &snapshots };
        let mut replay = Replay::from(recording.clone());
        let mut turn = replay.turn(view);
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn,
            Poll::Pending => Err(ModelError::Exhausted("silence".to_owned())),
        }
    }

    /// Returns the state of a run in iteration 3, before its change.
    pub(in crate::model) fn state() -> RunState {
        let hash = ContentHash::of(b"").to_string();
        let effort = serde_json::json!(
            {"repeats": 1, "stage_repeats": [1], "early_stop_us": null, "timeout_seconds": 1, "pairs": 1});
        let run: RunStarted = serde_json::from_value(serde_json::json!({
            "run_id": "r", "program": "", "mission": "", "mission_hash": hash, "vars": {}, "repo_root": "",
            "kernel": "", "harness": "", "harness_hash": hash, "model": "", "runner": "", "baseline": hash,
            "base_commit": null, "branch": "", "seed": 0, "deploy_due": null,
            "terms": {
                "metric": "median_us", "target": {"speedup": 2.0}, "gpu": "cpu", "budget": {}, "min_improvement": 0.01,
                "forbidden": [], "deploy": null, "profiles": {"smoke": effort, "candidate": effort, "final": effort},
            },
        }))
        .unwrap();
        let mut state = RunState::start(Timestamp::UNIX_EPOCH, &Event::RunStarted(Box::new(run))).unwrap();
        (state.phase, state.iteration) = (Phase::Idle, Iteration(3));
        state
    }

    fn artifacts(turn: &Turn) -> Vec<&str> {
        turn.calls.iter().filter_map(|call| call.arguments.get("artifact")?.as_str()).collect()
    }

    #[test]
    fn the_turn_after_as_many_as_the_run_has_had_is_played() {
        let text = concat!(
            r#"{"calls":[{"tool":"test-run","arguments":{"profile":"smoke"},"id":"mine"},{"tool":"revert"}]}"#,
            "\r\n\n",
            r#"{"calls":[],"usage":{"prompt":7,"usd":0.5}}"#,
        );
        let (_folder, replay) = recording(text);
        let (replay, mut state) = (replay.unwrap(), state());
        let first = next(&replay, &state).unwrap();
        assert_eq!(first.calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["mine", "t0c1"]);
        assert_eq!(first.calls[1].arguments, Value::Null);
        assert_eq!(next(&replay, &state).unwrap(), first);
        state.counters.round_trips = 1;
        assert_eq!(next(&replay, &state).unwrap().usage, Usage { prompt: 7, usd: 0.5, ..Usage::default() });
        state.counters.round_trips = 2;
        let end = next(&replay, &state).unwrap_err();
        assert!(
            matches!(&end, ModelError::Exhausted(message) if message.ends_with("has ended after 2 turns")),
            "{end}"
        );
        assert!(Replay::from(replay).name().ends_with("night.jsonl"));
    }

    #[test]
    fn faults_failures_and_silence_stand_in_their_places() {
        let lines = "{\"fault\":\"server\"}\n{\"calls\":[],\"problem\":\"empty\"}\n{\"failed\":\"no credit\"}\n{\"silent\":true}";
        let (_folder, replay) = recording(lines);
        let (replay, mut state) = (replay.unwrap(), state());
        assert!(matches!(next(&replay, &state), Err(ModelError::Fault(fault)) if fault.kind == FaultKind::Server));
        state.counters.model_faults = 1;
        assert_eq!(next(&replay, &state).unwrap().problem, Some(Problem::Empty));
        state.counters.round_trips = 1;
        assert_eq!(next(&replay, &state), Err(ModelError::Failed("no credit".to_owned())));
        state.counters.model_faults = 2;
        assert_eq!(next(&replay, &state), Err(ModelError::Exhausted("silence".to_owned())));
    }

    #[test]
    fn a_bad_line_is_named_with_its_file_and_number() {
        for bad in [
            "{",
            "[]",
            r#"{"calls":[{"arguments":{}}]}"#,
            r#"{"calls":[],"cals":[]}"#,
            r#"{"usage":{}}"#,
            r#"{"silent":false}"#,
            r#"{"fault":"server","problem":"empty"}"#,
        ] {
            let (_folder, replay) = recording(&format!("{{\"calls\":[]}}\n\n{bad}\n"));
            let message = replay.unwrap_err().to_string();
            assert!(message.starts_with("line 3 of the recording ") && message.contains("night.jsonl"), "{message}");
        }
        let missing = Recording::open(Path::new("/nowhere/night.jsonl")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/night.jsonl"), "{missing}");
    }

    #[test]
    fn the_artifact_is_the_one_that_the_calls_before_in_the_turn_will_have_made() {
        let analysis = |decision| {
            format!(r#"{{"tool":"append-analysis","arguments":{{"artifact":"$artifact","decision":"{decision}"}}}}"#)
        };
        let bench = |profile| format!(r#"{{"tool":"benchmark-run","arguments":{{"profile":"{profile}"}}}}"#);
        let test = r#"{"tool":"test-run","arguments":{"profile":"smoke"}}"#;
        let calls = [
            test.to_owned(),
            analysis("KEEP"),
            bench("candidate"),
            analysis("KEEP"),
            bench("final"),
            analysis("KEEP"),
            test.to_owned(),
            analysis("REVERT"),
            test.to_owned(),
            r#"{"tool":"revert"}"#.to_owned(),
            analysis("KEEP"),
        ];
        let (_folder, replay) = recording(&format!("{{\"calls\":[{}]}}", calls.join(",")));
        let mut state = state();
        // The iteration was begun before, and its first smoke test came to nothing.
        state.current.rounds = [1, 0, 0, 0];
        let turn = next(&replay.unwrap(), &state).unwrap();
        let expected = [
            "iter-0003/test-2.txt",
            "iter-0003/candidate.txt",
            "iter-0003/final.txt",
            "iter-0004/test.txt",
            "iter-0006/test.txt",
        ];
        assert_eq!(artifacts(&turn), expected);
    }

    #[test]
    fn the_artifact_that_awaits_its_analysis_comes_first() {
        let line = r#"{"calls":[{"tool":"append-analysis","arguments":{"artifact":"$artifact","x":["$artifact","a $artifact"]}}]}"#;
        let (_folder, replay) = recording(line);
        let mut state = state();
        let artifact = ArtifactRef { path: "iter-0003/test-5.txt".to_owned(), hash: state.incumbent };
        let outcome = Outcome::KernelFailed { failure: KernelFailure::Crash, message: String::new() };
        let test = Some(Evidence { outcome, artifact, analysed: None });
        state.current = Current { test, ..Current::default() };
        state.phase = Phase::Tested;
        let turn = next(&replay.unwrap(), &state).unwrap();
        assert_eq!(artifacts(&turn), ["iter-0003/test-5.txt"]);
        assert_eq!(turn.calls[0].arguments["x"], serde_json::json!(["iter-0003/test-5.txt", "a $artifact"]));
    }
}
