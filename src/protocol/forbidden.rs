//! Forbidden tools: refused by name, in the arguments of any call, and in the lines that an edit adds.

use super::refusal::{Refusal, Rule};

/// The names that every mission forbids: the leaderboard's own client and skills, and a deploy around the deploy step.
pub const BUILT_IN: [&str; 8] = [
    "popcorn-test-run",
    "popcorn-benchmark-run",
    "popcorn-leaderboard-run",
    "popcorn-cli",
    "pygpubench-modal-run",
    "run_pygpubench_modal",
    "modal deploy",
    "git push",
];

/// The forbidden names of a run.
#[derive(Clone, Debug)]
pub struct Forbidden {
    names: Vec<(String, String)>,
}

impl Forbidden {
    /// Returns the built-in names and `extra`.
    pub fn new(extra: &[String]) -> Self {
        let names = BUILT_IN.iter().map(|name| (*name).to_owned()).chain(extra.iter().cloned());
        Self { names: names.map(|name| (squeeze(&name), name)).filter(|(squeezed, _)| !squeezed.is_empty()).collect() }
    }

    /// Returns the forbidden name that `text` mentions.
    ///
    /// Case, separators and invisible characters do not count: `Popcorn_CLI` is `popcorn-cli`.
    pub fn find(&self, text: &str) -> Option<&str> {
        let squeezed = squeeze(text);
        self.names.iter().find(|(name, _)| squeezed.contains(name)).map(|(_, name)| name.as_str())
    }

    /// Returns the refusal for `text`, where it mentions a forbidden name; `place` says where it stands.
    pub fn check(&self, text: &str, place: &str) -> Result<(), Refusal> {
        match self.find(text) {
            None => Ok(()),
            Some(name) => Err(Refusal {
                rule: Rule::ForbiddenTool,
                message: format!("{place} mentions `{name}`, which this mission forbids"),
                legal: Vec::new(),
            }),
        }
    }

    /// Checks every string inside `value`, keys included.
    pub fn check_value(&self, value: &serde_json::Value, place: &str) -> Result<(), Refusal> {
        match value {
            serde_json::Value::String(text) => self.check(text, place),
            serde_json::Value::Array(items) => items.iter().try_for_each(|item| self.check_value(item, place)),
            serde_json::Value::Object(map) => map.iter().try_for_each(|(key, item)| {
                self.check(key, place)?;
                self.check_value(item, place)
            }),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Ok(()),
        }
    }
}

/// Keeps letters and digits alone, in lower case.
fn squeeze(text: &str) -> String {
    let mut squeezed = String::with_capacity(text.len());
    for c in text.chars() {
        // Nearly every character is one of these, and its lower case needs no table.
        if c.is_ascii_alphanumeric() {
            squeezed.push(c.to_ascii_lowercase());
        } else if c.is_alphanumeric() {
            squeezed.extend(c.to_lowercase());
        }
    }
    squeezed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_spelling() {
        let forbidden = Forbidden::new(&["My-Tool".to_owned()]);
        for text in
            ["popcorn-cli submit", "POPCORN_CLI", "pop\u{200b}corn cli", "x; my tool --now", "modal  deploy app.py"]
        {
            assert!(forbidden.find(text).is_some(), "{text:?}");
        }
        for text in ["", "popcorn", "a corn cli", "deploy the modal app"] {
            assert_eq!(forbidden.find(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_are_found_deep_inside_arguments() {
        let forbidden = Forbidden::new(&[]);
        let value = serde_json::json!({"a": [1, null, {"b": "run popcorn-cli"}]});
        assert_eq!(forbidden.check_value(&value, "the call").unwrap_err().rule, Rule::ForbiddenTool);
        let key = serde_json::json!({"popcorn-cli": 1});
        assert!(forbidden.check_value(&key, "the call").is_err());
        assert!(forbidden.check_value(&serde_json::json!({"a": ["fine", 2.5, true]}), "the call").is_ok());
    }

    #[test]
    fn an_empty_extra_name_forbids_nothing() {
        assert_eq!(Forbidden::new(&["--".to_owned()]).find("anything"), None);
    }
}
