//! The replay: a model that says what a recording says, turn by turn.
//!
//! A recording is a text file with one turn a line:
//!
//! ```json
//! {"calls":[{"tool":"test-run","arguments":{"profile":"smoke"},"id":"a"}],"usage":{"prompt":10}}
//! ```
//!
//! `id` and `usage` may be left out; `problem` names what was wrong with the answer's form. A line such as
//! `{"fault":"rate_limited"}` stands for an attempt that came to nothing, one such as `{"failed":"no credit"}` for an
//! endpoint that will never answer again. In arguments the string `$artifact` stands for the artifact that awaits its
//! analysis when the call runs, which a recording cannot know.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::api::{Fault, Model, ModelError, Turn, TurnFuture, View};
use crate::protocol::{FaultKind, Iteration, Phase, Problem, Purpose, RawCall, RunState, Tool, Usage, artifact_path};

/// Stands in arguments for an artifact's path.
const ARTIFACT: &str = "$artifact";

/// A recorded model.
#[derive(Clone, Debug)]
pub struct Replay {
    path: PathBuf,
    turns: Vec<Recorded>,
}

/// A recording that cannot be used.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read the recording {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// A line is no turn.
    #[error(
        "line {line} of the recording {} is no turn: {cause}; a turn is an object such as \
         {{\"calls\":[{{\"tool\":\"test-run\",\"arguments\":{{\"profile\":\"smoke\"}}}}]}}",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
}

/// What a model did when it was asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Line")]
enum Recorded {
    Turn { calls: Vec<RecordedCall>, usage: Usage, problem: Option<Problem> },
    Fault(FaultKind),
    Failed(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    calls: Option<Vec<RecordedCall>>,
    usage: Option<Usage>,
    problem: Option<Problem>,
    fault: Option<FaultKind>,
    failed: Option<String>,
}

impl TryFrom<Line> for Recorded {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        match line {
            Line { calls: Some(calls), usage, problem, fault: None, failed: None } => {
                Ok(Self::Turn { calls, usage: usage.unwrap_or_default(), problem })
            }
            Line { calls: None, usage: None, problem: None, fault: Some(fault), failed: None } => {
                Ok(Self::Fault(fault))
            }
            Line { calls: None, usage: None, problem: None, fault: None, failed: Some(failed) } => {
                Ok(Self::Failed(failed))
            }
            _ => Err("it has neither `calls` alone, nor `fault` alone, nor `failed` alone"),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedCall {
    tool: String,
    #[serde(default)]
    arguments: Value,
    id: Option<String>,
}

impl Replay {
    /// Reads the recording at `path`. Empty lines do not count.
    ///
    /// # Errors
    /// The file cannot be read, or one of its lines is no turn.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let text = std::fs::read_to_string(path).map_err(|cause| ReplayError::Read { path: path.to_owned(), cause })?;
        let turns = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|cause| ReplayError::Line {
                    path: path.to_owned(),
                    line: index + 1,
                    cause,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { path: path.to_owned(), turns })
    }

    /// Returns the turn after as many attempts as the run has made.
    fn next(&self, state: &RunState) -> Result<Turn, ModelError> {
        let number = state.counters.round_trips;
        let line = number + state.counters.model_faults;
        let Some(recorded) = usize::try_from(line).ok().and_then(|line| self.turns.get(line)) else {
            let (path, count) = (self.path.display(), self.turns.len());
            return Err(ModelError::Exhausted(format!("the recording {path} has ended after {count} turns")));
        };
        let (calls, usage, problem) = match recorded {
            Recorded::Turn { calls, usage, problem } => (calls, *usage, *problem),
            Recorded::Fault(kind) => {
                let message = "as the recording says".to_owned();
                return Err(ModelError::Fault(Fault {
                    model: self.name(),
                    kind: *kind,
                    message,
                    retry_after_ms: None,
                }));
            }
            Recorded::Failed(message) => return Err(ModelError::Failed(message.clone())),
        };
        let mut foresight = Foresight::new(state);
        let calls = calls.iter().enumerate().map(|(index, call)| {
            let mut arguments = call.arguments.clone();
            fill(&mut arguments, &foresight.artifact());
            foresight.after(&call.tool, &arguments);
            let id = call.id.clone().unwrap_or_else(|| format!("t{number}c{index}"));
            RawCall { id, tool: call.tool.clone(), arguments }
        });
        Ok(Turn { calls: calls.collect(), usage, problem, ..Turn::default() })
    }
}

impl Model for Replay {
    fn name(&self) -> String {
        format!("replay:{}", self.path.display())
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        Box::pin(std::future::ready(self.next(view.state)))
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
    rounds: [u32; 3],
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
        *self = Self { iteration: self.iteration.next(), rounds: [0; 3], awaiting: None, confirming: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ArtifactRef, ContentHash, Current, Event, Evidence, KernelFailure, Outcome, RunStarted};
    use jiff::Timestamp;

    fn recording(text: &str) -> (tempfile::TempDir, Result<Replay, ReplayError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("night.jsonl");
        std::fs::write(&path, text).unwrap();
        let opened = Replay::open(&path);
        (folder, opened)
    }

    /// Returns the state of a run in iteration 3, before its change.
    fn state() -> RunState {
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
        let first = replay.next(&state).unwrap();
        assert_eq!(first.calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["mine", "t0c1"]);
        assert_eq!(first.calls[1].arguments, Value::Null);
        assert_eq!(replay.next(&state).unwrap(), first);
        state.counters.round_trips = 1;
        assert_eq!(replay.next(&state).unwrap().usage, Usage { prompt: 7, usd: 0.5, ..Usage::default() });
        state.counters.round_trips = 2;
        let end = replay.next(&state).unwrap_err();
        assert!(
            matches!(&end, ModelError::Exhausted(message) if message.ends_with("has ended after 2 turns")),
            "{end}"
        );
        assert!(replay.name().starts_with("replay:") && replay.name().ends_with("night.jsonl"));
    }

    #[test]
    fn a_bad_line_is_named_with_its_file_and_number() {
        for bad in ["{", "[]", r#"{"calls":[{"arguments":{}}]}"#, r#"{"calls":[],"cals":[]}"#, r#"{"usage":{}}"#] {
            let (_folder, replay) = recording(&format!("{{\"calls\":[]}}\n\n{bad}\n"));
            let message = replay.unwrap_err().to_string();
            assert!(message.starts_with("line 3 of the recording ") && message.contains("night.jsonl"), "{message}");
        }
        let missing = Replay::open(Path::new("/nowhere/night.jsonl")).unwrap_err().to_string();
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
        state.current.rounds = [1, 0, 0];
        let turn = replay.unwrap().next(&state).unwrap();
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
        let turn = replay.unwrap().next(&state).unwrap();
        assert_eq!(artifacts(&turn), ["iter-0003/test-5.txt"]);
        assert_eq!(turn.calls[0].arguments["x"], serde_json::json!(["iter-0003/test-5.txt", "a $artifact"]));
    }
}
