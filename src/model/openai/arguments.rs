//! A call's arguments, wherever a server puts them.

use serde_json::{Map, Value};

/// Returns the arguments as an object where there is one to be found, and otherwise as they came, for the gate to refuse.
pub(super) fn read(given: Value) -> Value {
    let Value::String(text) = given else {
        return if given.is_null() { Value::Object(Map::new()) } else { given };
    };
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(&text) {
        Ok(Value::String(inner)) => object_in(&inner).unwrap_or(Value::String(inner)),
        Ok(value) => value,
        Err(_) => object_in(&text).unwrap_or(Value::String(text)),
    }
}

/// Tells whether `given` holds a whole object.
pub(super) fn is_whole(given: &Value) -> bool {
    match given {
        Value::Object(_) => true,
        Value::String(text) => serde_json::from_str::<Map<String, Value>>(text).is_ok(),
        _ => false,
    }
}

/// Finds the one object in a text with a fence or words around it.
fn object_in(text: &str) -> Option<Value> {
    let inner = text.get(text.find('{')?..=text.rfind('}')?)?;
    serde_json::from_str(inner).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_found_wherever_a_server_puts_them() {
        for (given, expected) in [
            (json!("{\"a\":1}"), json!({"a": 1})),
            (json!({"a": 1}), json!({"a": 1})),
            (json!("```json\n{\"a\":1}\n```"), json!({"a": 1})),
            (json!("Sure: {\"a\":{\"b\":2}} as asked"), json!({"a": {"b": 2}})),
            (json!("\"{\\\"a\\\":1}\""), json!({"a": 1})),
            (json!("  "), json!({})),
            (Value::Null, json!({})),
            (json!("{\"a\":"), json!("{\"a\":")),
            (json!("} {"), json!("} {")),
            (json!("é{\"a\":1}é"), json!({"a": 1})),
            (json!([1]), json!([1])),
        ] {
            assert_eq!(read(given.clone()), expected, "{given}");
        }
    }
}
