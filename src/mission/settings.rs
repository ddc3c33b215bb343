//! From YAML to the typed front matter, with errors that name file, line and key.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::document::Document;
use super::error::{At, MissionError};
use super::front::FrontMatter;
use super::keys;

/// The keys that a variable of the command line may set, each with its name in prompts that declare their variables.
const SETTABLE: &[(&str, Option<&str>)] = &[
    ("kernel", Some("kernel_path")),
    ("harness", Some("harness_path")),
    ("metric", Some("metric_name")),
    ("target_us", Some("target_metric_us")),
    ("target_speedup", None),
    ("gpu", None),
    ("runner", None),
    ("model", None),
    ("min_improvement", None),
    ("seed", None),
];

/// The variable for the repository's root, which no key sets: whoever runs the mission knows it.
pub(super) const REPO_ROOT: &str = "repo_root";

/// Returns the key that the variable `name` stands for.
pub(super) fn key_of(name: &str) -> Option<&'static str> {
    SETTABLE.iter().find(|(key, alias)| *key == name || *alias == Some(name)).map(|(key, _)| *key)
}

/// Returns the names under which a prompt may use the key `key`.
pub(super) fn names_of(key: &'static str) -> impl Iterator<Item = &'static str> {
    let alias = SETTABLE.iter().find(|(known, _)| *known == key).and_then(|(_, alias)| *alias);
    std::iter::once(key).chain(alias)
}

/// Returns every name that is a variable in each mission.
pub(super) fn known_names<'a>() -> impl Iterator<Item = &'a str> {
    SETTABLE.iter().flat_map(|(key, alias)| std::iter::once(*key).chain(*alias)).chain([REPO_ROOT])
}

/// The front matter before it is typed, with the command line's variables laid over it.
pub(super) struct Settings<'a> {
    path: &'a Path,
    document: &'a Document,
    map: Map<String, Value>,
    /// By key, the variable that set it.
    overridden: BTreeMap<&'static str, &'a str>,
}

impl<'a> Settings<'a> {
    /// Parses the front matter of `document` and lays `vars` over it.
    pub(super) fn read(
        path: &'a Path,
        document: &'a Document,
        vars: &'a BTreeMap<String, String>,
    ) -> Result<Self, MissionError> {
        let map = parse_yaml(path, document)?;
        let mut settings = Self { path, document, map, overridden: BTreeMap::new() };
        keys::check(&|key| settings.at(key), &settings.map)?;
        for (name, value) in vars {
            if let Some(key) = key_of(name) {
                settings.set(key, name, value);
            }
        }
        Ok(settings)
    }

    /// Returns the typed front matter.
    pub(super) fn typed(&self) -> Result<FrontMatter, MissionError> {
        serde_path_to_error::deserialize(Value::Object(self.map.clone())).map_err(|error| {
            let text = error.inner().to_string();
            // What was expected is said by the remedy, in the mission's words instead of Rust's.
            let problem = text.rsplit_once(", expected ").map_or(text.as_str(), |(problem, _)| problem);
            self.bad(&error.path().to_string(), problem.chars().take(200).collect::<String>())
        })
    }

    /// Returns the error that says what is wrong with the value of `key`.
    pub(super) fn bad(&self, key: &str, problem: impl Into<String>) -> MissionError {
        let set_by = self.overridden.get(key);
        let at = if set_by.is_some() { At::file(self.path) } else { self.at(key) };
        let shown = set_by.map_or_else(|| key.to_owned(), |name| format!("--var {name}"));
        MissionError::BadValue { at, key: shown, problem: problem.into(), remedy: keys::remedy(key).to_owned() }
    }

    /// Returns the keys whose values are texts, numbers or truth values, with these as text.
    pub(super) fn scalars(&self) -> impl Iterator<Item = (&str, String)> {
        self.map.iter().filter_map(|(key, value)| Some((key.as_str(), scalar(value)?)))
    }

    /// The last target that was set wins over the other kind of target.
    fn set(&mut self, key: &'static str, name: &'a str, text: &str) {
        let is_number = matches!(key, "target_us" | "target_speedup" | "min_improvement" | "seed");
        let number = if is_number { text.trim().parse().ok().map(Value::Number) } else { None };
        match key {
            "target_us" if !self.overridden.contains_key("target_speedup") => drop(self.map.remove("target_speedup")),
            "target_speedup" if !self.overridden.contains_key("target_us") => drop(self.map.remove("target_us")),
            _ => {}
        }
        self.map.insert(key.to_owned(), number.unwrap_or_else(|| Value::String(text.to_owned())));
        self.overridden.insert(key, name);
    }

    fn at(&self, key: &str) -> At {
        match line_of(&self.document.yaml, key) {
            Some(line) => At::line(self.path, self.document.yaml_line + line),
            None => At::file(self.path),
        }
    }
}

/// Returns a text, number or truth value as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse_yaml(path: &Path, document: &Document) -> Result<Map<String, Value>, MissionError> {
    if document.yaml.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_saphyr::from_str::<Value>(&document.yaml) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => {
            let problem = "it is not a map; write a `key: value` a line".to_owned();
            Err(MissionError::FrontMatter { at: At::line(path, document.yaml_line), problem })
        }
        Err(error) => Err(yaml_error(path, document, &error)),
    }
}

fn yaml_error(path: &Path, document: &Document, error: &serde_saphyr::Error) -> MissionError {
    let line = error.location().and_then(|location| usize::try_from(location.line()).ok()?.checked_sub(1));
    let at = |line: usize| At::line(path, document.yaml_line + line);
    if let Some(tab) = line.and_then(|line| tab_indent(&document.yaml, line)) {
        let problem = "the line is indented with a tab; use spaces".to_owned();
        return MissionError::FrontMatter { at: at(tab), problem };
    }
    let problem = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("{key} is given a second time; remove one of the two")
        }
        other => {
            // The place in the message counts from the front matter's first line, not the file's.
            let text = other.to_string();
            text.split(" at line ").next().unwrap_or(&text).to_owned()
        }
    };
    MissionError::FrontMatter { at: line.map_or_else(|| At::file(path), at), problem }
}

/// Returns the line of a tab that indents `line` or the one after it, where parsers notice it.
fn tab_indent(yaml: &str, line: usize) -> Option<usize> {
    let indented = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    yaml.lines().enumerate().skip(line).take(2).find(|(_, line)| indented(line)).map(|(number, _)| number)
}

/// Returns the line of `yaml`, from 0, that has `key`: each of its parts is sought below the one before.
fn line_of(yaml: &str, key: &str) -> Option<usize> {
    let mut found = None;
    let mut lines = yaml.lines().enumerate().peekable();
    for part in key.split('.') {
        let part = part.split('[').next().unwrap_or(part);
        let has_part = |line: &str| {
            line.split(['{', ',']).any(|piece| {
                let name = piece.split(':').next().unwrap_or(piece).trim();
                piece.contains(':') && name.trim_matches(['"', '\'']) == part
            })
        };
        while let Some((number, line)) = lines.peek() {
            let top_level = found.is_none() && line.starts_with([' ', '\t']);
            if has_part(line) && !top_level {
                found = Some(*number);
                break;
            }
            lines.next();
        }
        lines.peek()?;
    }
    found
}
