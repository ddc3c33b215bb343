//! Recordings: what a model said, turn by turn.
//!
//! A recording is a text file with one turn a line:
//!
//! ```json
//! {"calls":[{"tool":"test-run","arguments":{"profile":"smoke"},"id":"a"}],"usage":{"prompt":10}}
//! ```
//!
//! `id` and `usage` may be left out; `problem` names what was wrong with the answer's form. A line such as
//! `{"fault":"rate_limited"}` stands for an attempt that came to nothing, one such as `{"failed":"no credit"}` for an
//! endpoint that will never answer again, and `{"silent":true}` for one that answers nothing, however long anybody waits. In
//! arguments the string `$artifact` stands for the artifact that awaits its analysis when the call runs, which a recording
//! cannot know.
//!
//! The folder of a run is a recording as well, by its `transcript.jsonl`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::message::Sent;
use super::transcript;
use crate::protocol::{Answerer, FaultKind, Problem, Usage};

/// What a model said, turn by turn.
#[derive(Clone, Debug)]
pub struct Recording {
    pub(super) path: PathBuf,
    pub(super) turns: Vec<Recorded>,
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
    /// A transcript cannot be played as it is.
    #[error("the transcript {} cannot be played: {message}", path.display())]
    Transcript {
        /// The file.
        path: PathBuf,
        /// The line, what is wrong with it, and the remedy.
        message: String,
    },
}

/// What a model did when it was asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Line")]
pub(super) enum Recorded {
    Turn(Box<RecordedTurn>),
    Fault(FaultKind),
    Failed(String),
    Silent,
}

#[derive(Clone, Debug)]
pub(super) struct RecordedTurn {
    pub(super) calls: Vec<RecordedCall>,
    pub(super) usage: Usage,
    pub(super) problem: Option<Problem>,
    pub(super) text: String,
    pub(super) sent: Option<Sent>,
    pub(super) by: Option<Answerer>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordedCall {
    pub(super) tool: String,
    #[serde(default)]
    pub(super) arguments: Value,
    pub(super) id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    calls: Option<Vec<RecordedCall>>,
    usage: Option<Usage>,
    problem: Option<Problem>,
    by: Option<Answerer>,
    fault: Option<FaultKind>,
    failed: Option<String>,
    silent: Option<bool>,
}

impl TryFrom<Line> for Recorded {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        let Line { calls, usage, problem, by, fault, failed, silent } = line;
        match (calls, fault, failed, silent) {
            (Some(calls), None, None, None) => {
                let (usage, text) = (usage.unwrap_or_default(), String::new());
                Ok(Self::Turn(Box::new(RecordedTurn { calls, usage, problem, text, sent: None, by })))
            }
            (None, Some(fault), None, None) if usage.is_none() && problem.is_none() => Ok(Self::Fault(fault)),
            (None, None, Some(failed), None) if usage.is_none() && problem.is_none() => Ok(Self::Failed(failed)),
            (None, None, None, Some(true)) if usage.is_none() && problem.is_none() => Ok(Self::Silent),
            _ => Err("it has neither `calls` alone, nor `fault`, nor `failed`, nor `silent: true` alone"),
        }
    }
}

impl Recording {
    /// Reads the recording at `path`: a file with one turn a line, where empty lines do not count, or a run's folder.
    ///
    /// # Errors
    /// The file cannot be read, one of its lines is no turn, or a transcript is newer than this program or has gaps.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|cause| ReplayError::Read { path: path.to_owned(), cause })
        };
        if path.is_dir() {
            let file = path.join(super::Exchange::FILE);
            let turns = transcript::turns(&read(&file)?, path)
                .map_err(|message| ReplayError::Transcript { path: file, message })?;
            return Ok(Self { path: path.to_owned(), turns });
        }
        let turns = read(path)?
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

    /// Tells whether turns of the tuner beside the model are among them: it need not be asked then.
    pub fn has_tuner(&self) -> bool {
        self.turns.iter().any(|turn| matches!(turn, Recorded::Turn(turn) if turn.by == Some(Answerer::Tuner)))
    }

    /// Returns how many turns and attempts it has.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// Tells whether it has none.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}
