//! Where journal and code disagree.

use serde::Serialize;
use serde_json::Value;

use crate::protocol::Event;

/// The longest text of an event that is shown, in characters.
const MOST: usize = 400;

/// The first point of a journal at which today's code says something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The event's number in the journal.
    pub seq: u64,
    /// The event's type.
    pub event: String,
    /// What the journal says.
    pub journal: String,
    /// What today's code says.
    pub today: String,
}

/// Two accounts of the same thing.
#[derive(Clone, Debug)]
pub(super) struct Disagreement {
    pub(super) journal: String,
    pub(super) today: String,
}

impl Disagreement {
    pub(super) fn new(journal: impl Into<String>, today: impl Into<String>) -> Self {
        Self { journal: journal.into(), today: today.into() }
    }

    /// Returns the disagreement of an event with what today's code would do.
    pub(super) fn with(event: &Event, today: impl Into<String>) -> Self {
        Self::new(words(event), today)
    }

    /// Returns the first difference between two values that should be one.
    pub(super) fn between(what: &str, journal: &Value, today: &Value) -> Option<Self> {
        let (key, journal, today) = first_difference(String::new(), journal, today)?;
        Some(Self::new(format!("{what}{key} is {}", clip(&journal)), format!("{what}{key} is {}", clip(&today))))
    }
}

/// Returns the event as the journal has it, bounded.
pub(super) fn words(event: &Event) -> String {
    clip(&serde_json::to_string(event).unwrap_or_default())
}

/// Returns the event's type.
pub(super) fn name(event: &Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_default();
    value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Figures that differ by less are the same: another machine's logarithm may round otherwise.
const SAME: f64 = 1e-9;

fn first_difference(key: String, a: &Value, b: &Value) -> Option<(String, String, String)> {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64().unwrap_or(f64::NAN), y.as_f64().unwrap_or(f64::NAN));
            let same = x == y || (x - y).abs() <= SAME * x.abs().max(y.abs());
            (!same).then(|| (key, a.to_string(), b.to_string()))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(place, (x, y))| first_difference(format!("{key}[{place}]"), x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            let of = |map: &serde_json::Map<String, Value>, name: &str| map.get(name).cloned().unwrap_or_default();
            keys.into_iter().find_map(|name| first_difference(format!("{key}.{name}"), &of(x, name), &of(y, name)))
        }
        _ => (a != b).then(|| (key, a.to_string(), b.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let said = |a, b| Disagreement::between("outcome", &a, &b).map(|found| found.today);
        assert_eq!(said(json!({"a": [1, {"b": 2.0}]}), json!({"a": [1, {"b": 2.0 + 1e-12}]})), None);
        assert_eq!(said(json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 3}]})).unwrap(), "outcome.a[1].b is 3");
        assert_eq!(said(json!({"a": 1}), json!({"a": 1, "c": "x"})).unwrap(), "outcome.c is \"x\"");
        assert_eq!(said(json!([1]), json!([1, 2])).unwrap(), "outcome is [1,2]");
    }
}
