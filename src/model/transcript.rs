//! A run's transcript as a recording.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::exchange::Exchange;
use super::message::Sent;
use super::recording::{Recorded, RecordedCall, RecordedTurn};
use crate::protocol::{Answerer, Problem, RawCall, Usage};

/// What a replay needs of a line; those of version 1 have no more than the calls.
#[derive(Deserialize)]
struct Line {
    turn: u32,
    calls: Vec<RawCall>,
    #[serde(default)]
    usage: Usage,
    #[serde(default)]
    problem: Option<Problem>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    sent: Option<Sent>,
    #[serde(default)]
    by: Option<Answerer>,
}

/// Returns the turns of the transcript `text` of the run in `folder`, or what keeps it from being played.
///
/// A crash can leave a torn line, or a turn that the journal never heard of: the run asked again, and the answer that came
/// then counts. A turn without any answer is a gap.
pub(super) fn turns(text: &str, folder: &Path) -> Result<Vec<Recorded>, String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut turns: Vec<Recorded> = Vec::new();
    let mut torn: Option<String> = None;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let value: Value = match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => {
                torn = Some(format!("line {number} is damaged ({error})"));
                continue;
            }
        };
        version(&value).map_err(|message| format!("line {number}: {message}"))?;
        let line = Line::deserialize(&value).map_err(|error| format!("line {number} is no exchange: {error}"))?;
        let place = usize::try_from(line.turn).unwrap_or(usize::MAX);
        if place > turns.len() {
            let why = torn.unwrap_or_else(|| format!("line {number} is turn {place}"));
            return Err(format!(
                "{why}, and turn {} is missing; restore the file from a copy, or replay the journal with `agent replay`",
                turns.len()
            ));
        }
        turns.truncate(place);
        turns.push(recorded(line, &name));
    }
    Ok(turns)
}

fn version(line: &Value) -> Result<(), String> {
    match line.get("v").and_then(Value::as_u64) {
        Some(found) if found <= u64::from(Exchange::VERSION) => Ok(()),
        Some(found) => Err(format!(
            "it has version {found}, and this program reads up to version {}; use a newer program",
            Exchange::VERSION
        )),
        None => Err("it has no version `v`".to_owned()),
    }
}

fn recorded(line: Line, run: &str) -> Recorded {
    let Line { calls, usage, problem, text, sent, by, .. } = line;
    let call = |RawCall { id, tool, mut arguments }: RawCall| {
        // A name from the repository's root holds the old run's name; below the run's folder all artifacts keep theirs.
        if let Some(Value::String(path)) = arguments.get_mut("artifact")
            && let Some((_, short)) = path.split_once(&format!("artifacts/{run}/"))
        {
            *path = short.to_owned();
        }
        RecordedCall { tool, arguments, id: Some(id) }
    };
    let calls = calls.into_iter().map(call).collect();
    Recorded::Turn(Box::new(RecordedTurn { calls, usage, problem, text, sent, by }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(v: u32, turn: u32, tool: &str) -> String {
        serde_json::json!({"v": v, "turn": turn, "iteration": 1, "phase": "idle", "results": [],
            "calls": [{"id": "a", "tool": tool, "arguments": {"artifact": "artifacts/night/iter-0001/test.txt"}}],
            "usage": {"prompt": 3}})
        .to_string()
    }

    fn tools(text: &str) -> Result<Vec<String>, String> {
        let tool = |turn: &Recorded| match turn {
            Recorded::Turn(turn) => turn.calls[0].tool.clone(),
            Recorded::Fault(_) | Recorded::Failed(_) | Recorded::Silent => String::new(),
        };
        turns(text, Path::new("/far/artifacts/night")).map(|turns| turns.iter().map(tool).collect())
    }

    #[test]
    fn transcripts_of_older_programs_and_of_runs_that_crashed_can_be_played() {
        let lines = [exchange(1, 0, "edit-kernel"), exchange(1, 1, "test-run"), exchange(2, 2, "revert")];
        assert_eq!(tools(&lines.join("\n")).unwrap(), ["edit-kernel", "test-run", "revert"]);
        let torn = &lines[1][..40];
        let resumed = format!("{}\n{torn}\n{}\n{}\n", lines[0], lines[1], lines[2]);
        assert_eq!(tools(&resumed).unwrap(), ["edit-kernel", "test-run", "revert"]);
        let twice = format!("{}\n{}\n{}\n", lines[0], exchange(2, 1, "revert"), lines[1]);
        assert_eq!(tools(&twice).unwrap(), ["edit-kernel", "test-run"], "the second answer counts");
        assert_eq!(tools(&format!("{}\n{torn}", lines[0])).unwrap(), ["edit-kernel"], "torn at its end");
    }

    #[test]
    fn an_artifact_is_named_below_the_runs_folder() {
        let turns = turns(&exchange(2, 0, "append-analysis"), Path::new("/far/artifacts/night")).unwrap();
        let Recorded::Turn(turn) = &turns[0] else { panic!("{turns:?}") };
        assert_eq!(turn.calls[0].arguments["artifact"], "iter-0001/test.txt");
    }

    #[test]
    fn what_cannot_be_played_is_named_with_its_line() {
        let good = exchange(2, 0, "revert");
        for (text, says) in [
            (format!("{good}\n{}", exchange(3, 1, "revert")), "line 2: it has version 3"),
            (format!("{good}\n{}", exchange(2, 2, "revert")), "line 2 is turn 2, and turn 1 is missing"),
            (format!("{good}\n{{\"v\":2,\n{}", exchange(2, 2, "revert")), "line 2 is damaged"),
            ("{\"turn\":0}".to_owned(), "line 1: it has no version"),
            ("{\"v\":2,\"turn\":0}".to_owned(), "line 1 is no exchange: missing field `calls`"),
        ] {
            let error = tools(&text).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
