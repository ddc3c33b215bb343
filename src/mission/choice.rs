//! Who proposes, and where measurements run.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

/// Where jobs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerChoice {
    /// On this machine.
    #[default]
    Local,
    /// On a Slurm cluster.
    Slurm,
    /// On Modal.
    Modal,
}

impl RunnerChoice {
    /// Returns the name as missions and the command line spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Slurm => "slurm",
            Self::Modal => "modal",
        }
    }
}

impl fmt::Display for RunnerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a run where the system cannot confine a kernel's processes as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxChoice {
    /// It does not begin.
    Required,
    /// It begins, with the protections that there are, and every artifact names those that there are not.
    #[default]
    BestEffort,
    /// It begins, and the processes may do what the account may, within limits.
    Unconfined,
}

/// A text that names no runner or no model.
#[derive(Debug, Error)]
#[error("{text:?} is not a {kind}: use {expected}")]
pub struct BadChoice {
    text: String,
    kind: &'static str,
    expected: &'static str,
}

impl FromStr for RunnerChoice {
    type Err = BadChoice;

    fn from_str(text: &str) -> Result<Self, BadChoice> {
        [Self::Local, Self::Slurm, Self::Modal].into_iter().find(|choice| choice.as_str() == text).ok_or_else(|| {
            BadChoice { text: text.chars().take(80).collect(), kind: "runner", expected: "local, slurm or modal" }
        })
    }
}

/// Who proposes the changes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum ModelChoice {
    /// The built-in tuner, which needs no network.
    #[default]
    Tuner,
    /// A model behind an OpenAI-compatible endpoint, by its name there.
    OpenAi(String),
    /// A recording.
    Replay(PathBuf),
    /// A map of settings with a `provider` of `tuner`, `openai` or `replay`; the model's own code reads the rest.
    Detailed(Map<String, Value>),
}

impl fmt::Display for ModelChoice {
    /// As the command line spells it; a map as `provider:name`, or the provider alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tuner => f.write_str("tuner"),
            Self::OpenAi(name) => write!(f, "openai:{name}"),
            Self::Replay(path) => write!(f, "replay:{}", path.display()),
            Self::Detailed(map) => {
                let text = |key| map.get(key).and_then(Value::as_str);
                f.write_str(text("provider").unwrap_or_default())?;
                text("name").map_or(Ok(()), |name| write!(f, ":{name}"))
            }
        }
    }
}

impl FromStr for ModelChoice {
    type Err = BadChoice;

    fn from_str(text: &str) -> Result<Self, BadChoice> {
        match text.split_once(':') {
            None if text == "tuner" => Ok(Self::Tuner),
            Some(("openai", name)) if !name.trim().is_empty() => Ok(Self::OpenAi(name.trim().to_owned())),
            Some(("replay", path)) if !path.trim().is_empty() => Ok(Self::Replay(path.trim().into())),
            _ => Err(BadChoice {
                text: text.chars().take(80).collect(),
                kind: "model",
                expected: "tuner, openai:NAME or replay:PATH",
            }),
        }
    }
}

impl TryFrom<Value> for ModelChoice {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => text.parse().map_err(|_| format!("{text:?} names no model")),
            Value::Object(map) => match map.get("provider").and_then(Value::as_str) {
                Some("tuner" | "openai" | "replay") => Ok(Self::Detailed(map)),
                _ => Err("a map of a model's settings needs a provider: tuner, openai or replay".to_owned()),
            },
            other => Err(format!("{other} names no model")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_written_as_it_is_read() {
        for text in ["tuner", "openai:gpt-x", "openai:org/model:tag", "replay:a b/c.jsonl"] {
            assert_eq!(text.parse::<ModelChoice>().unwrap().to_string(), text);
        }
        for text in ["local", "slurm", "modal"] {
            assert_eq!(text.parse::<RunnerChoice>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_choice_is_answered_with_those_there_are() {
        for text in ["", "gpt", "openai", "openai:", "replay: ", "tuner:x", "Tuner"] {
            let message = text.parse::<ModelChoice>().unwrap_err().to_string();
            assert_eq!(message, format!("{text:?} is not a model: use tuner, openai:NAME or replay:PATH"));
        }
        let message = "ssh".parse::<RunnerChoice>().unwrap_err().to_string();
        assert_eq!(message, "\"ssh\" is not a runner: use local, slurm or modal");
    }
}
