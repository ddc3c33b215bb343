//! YAML as it was written, with its maps in order, and a way through it that can name every place.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::harness::HarnessError;
use crate::harness::open::bad;

/// Any YAML.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(IndexMap<String, Yaml>),
}

impl Yaml {
    /// Parses the text of the file at `path`.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Self, HarnessError> {
        let text = std::str::from_utf8(text).map_err(|error| {
            bad(path, format!("is not UTF-8 from byte {} on; save it as such", error.valid_up_to()))
        })?;
        serde_saphyr::from_str(text).map_err(|error| {
            let message = error.without_snippet().to_string();
            bad(path, format!("is not YAML: {}", message.chars().take(300).collect::<String>()))
        })
    }

    /// Returns what it is, for a message.
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// A place in a file.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    path: &'a Path,
    key: String,
    value: &'a Yaml,
}

impl<'a> Node<'a> {
    pub(super) fn root(path: &'a Path, value: &'a Yaml) -> Self {
        Self { path, key: String::new(), value }
    }

    pub(super) fn value(&self) -> &'a Yaml {
        self.value
    }

    /// Returns the error that says what is wrong at this place, and how to mend it.
    pub(super) fn bad(&self, problem: impl std::fmt::Display) -> HarnessError {
        let message = if self.key.is_empty() { problem.to_string() } else { format!("{}: {problem}", self.key) };
        bad(self.path, message)
    }

    /// Returns what stands under `name`, if anything does.
    pub(super) fn get(&self, name: &str) -> Result<Option<Node<'a>>, HarnessError> {
        let found = self.map()?.get(name).filter(|value| **value != Yaml::Null);
        Ok(found.map(|value| self.below(if self.key.is_empty() { name.to_owned() } else { format!(".{name}") }, value)))
    }

    /// Returns what stands under `name`; `remedy` says what to write where nothing does.
    pub(super) fn need(&self, name: &str, remedy: &str) -> Result<Node<'a>, HarnessError> {
        let absent = || {
            let key = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
            bad(self.path, format!("{key}: missing; {remedy}"))
        };
        self.get(name)?.ok_or_else(absent)
    }

    pub(super) fn map(&self) -> Result<&'a IndexMap<String, Yaml>, HarnessError> {
        match self.value {
            Yaml::Map(map) => Ok(map),
            other => Err(self.bad(format_args!("is {}; write a map, `key: value` a line", other.kind()))),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, HarnessError> {
        match self.value {
            Yaml::List(list) => {
                Ok(list.iter().enumerate().map(|(at, value)| self.below(format!("[{at}]"), value)).collect())
            }
            other => Err(self.bad(format_args!("is {}; write a list, `- …` a line", other.kind()))),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, HarnessError> {
        match self.value {
            Yaml::Text(text) => Ok(text),
            other => Err(self.bad(format_args!("is {}; write a text, in quotes", other.kind()))),
        }
    }

    /// Returns a number of seconds, 1 to a day.
    pub(super) fn seconds(&self) -> Result<u32, HarnessError> {
        match self.value {
            Yaml::Int(seconds @ 1..=86_400) => Ok(u32::try_from(*seconds).unwrap_or(u32::MAX)),
            Yaml::Int(seconds) => Err(self.bad(format_args!("{seconds} is outside 1 to 86400; write whole seconds"))),
            other => Err(self.bad(format_args!("is {}; write whole seconds, such as 180", other.kind()))),
        }
    }

    fn below(&self, step: String, value: &'a Yaml) -> Self {
        Self { path: self.path, key: format!("{}{step}", self.key), value }
    }
}
