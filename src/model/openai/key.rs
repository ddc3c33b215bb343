//! The key: it goes into one header of a request, and nowhere else.

use std::fmt;

use serde_json::Value;

/// A secret that no `Debug` shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Key(String);

/// A shorter key is a placeholder such as `EMPTY` or `none`, for a server that asks for none: no secret, and perhaps a word of
/// the kernel's. In bytes.
const SHORTEST_SECRET: usize = 12;

/// What stands where a key stood.
const HIDDEN: &str = "[key]";

impl Key {
    /// Wraps a secret; white space around it is no part of it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the secret, for the one header that carries it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Tells whether a header can carry it.
    pub(super) fn fits_header(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Takes the secret out of a text that came from elsewhere: some servers repeat what they were sent. It is also found
    /// where JSON has escaped characters of it, once or several times over.
    pub fn hide(&self, text: &str) -> String {
        let Some(first) = self.0.chars().next().filter(|_| self.0.len() >= SHORTEST_SECRET) else {
            return text.to_owned();
        };
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, from)) = rest.find([first, '\\']).and_then(|place| rest.split_at_checked(place)) {
            shown.push_str(before);
            if let Some(behind) = self.strip(from) {
                shown.push_str(HIDDEN);
                rest = behind;
            } else {
                let mut chars = from.chars();
                shown.extend(chars.next());
                rest = chars.as_str();
            }
        }
        shown.push_str(rest);
        shown
    }

    /// Takes the secret out of every text in `value`, the names in objects included.
    pub(super) fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.hide(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_in(value)),
            Value::Object(map) => {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(name, mut value)| {
                        self.hide_in(&mut value);
                        (self.hide(&name), value)
                    })
                    .collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Returns what follows the secret where `text` begins with it, escaped or not.
    fn strip<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.0.chars().try_fold(text, |rest, expected| {
            let bare = rest.trim_start_matches('\\');
            if let Some(behind) = bare.strip_prefix(expected) {
                return Some(behind);
            }
            let code = bare.strip_prefix('u').filter(|_| bare.len() < rest.len())?;
            let digits = code.get(..4)?;
            (u32::from_str_radix(digits, 16) == Ok(u32::from(expected))).then(|| code.get(4..))?
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([hidden])")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_secret_is_hidden_wherever_it_stands_and_however_it_is_escaped() {
        let key = Key::new(" sk-a/\"bnight\n");
        for (text, hidden) in [
            ("", ""),
            ("sk-a/\"bnight", "[key]"),
            ("é sk-a/\"bnightsk-a/\"bnight!", "é [key][key]!"),
            (r#"sk-a\/\"bnight"#, "[key]"),
            (r#"{"x":"\u0073\u006B-a\\\/\u0022bnight"}"#, r#"{"x":"[key]"}"#),
            ("sk-a/\"bnigh", "sk-a/\"bnigh"),
            (r"\u007", r"\u007"),
            (r"\\n sk-", r"\\n sk-"),
        ] {
            assert_eq!(key.hide(text), hidden);
        }
        assert_eq!(format!("{key:?}"), "Key([hidden])");
    }

    #[test]
    fn a_placeholder_is_no_secret() {
        for placeholder in ["", "none", "EMPTY"] {
            assert_eq!(Key::new(placeholder).hide("none is EMPTY"), "none is EMPTY");
        }
    }

    #[test]
    fn the_secret_is_hidden_in_every_part_of_a_value() {
        let mut value = json!({"a": ["x sk-all-night", {"sk-all-night": 1}], "b": 2});
        Key::new("sk-all-night").hide_in(&mut value);
        assert_eq!(value, json!({"a": ["x [key]", {"[key]": 1}], "b": 2}));
    }
}
