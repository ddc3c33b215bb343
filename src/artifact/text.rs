//! Text of others inside our own, so that it can neither be lost nor be taken for ours.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// The first line of every artifact.
pub(super) const TITLE: &str = "# AFTERHOURS PyGPUBench Artifact";
/// What stands in the diff's fence where there is no diff.
pub(super) const NO_DIFF: &str = "(no kernel diff vs git hash)";

/// What a line of a body must not begin with.
const MARKS: [&str; 5] = ["##", "# AFTERHOURS", "```", "~~~", NO_DIFF];

/// Returns a diff or an output as it stands in the artifact.
pub(super) fn escape(body: &str) -> String {
    let mut escaped = String::with_capacity(body.len());
    for line in body.split_inclusive(ends_line) {
        if let Some(mark) = Mark::of(line) {
            escaped.push_str(mark.indent);
            escaped.push('\\');
            escaped.push_str(mark.rest);
        } else {
            escaped.push_str(line);
        }
    }
    escaped
}

/// Returns the text that [`escape`] was given, or the place of a line that it would not have left so.
pub(super) fn unescape(escaped: &str) -> Result<String, usize> {
    let mut body = String::with_capacity(escaped.len());
    let mut place = 0;
    for line in escaped.split_inclusive(ends_line) {
        if let Some(mark) = Mark::of(line) {
            body.push_str(mark.indent);
            body.push_str(mark.rest.strip_prefix('\\').ok_or(place)?);
        } else {
            body.push_str(line);
        }
        place += line.len();
    }
    Ok(body)
}

/// A line that must be told apart from our own.
struct Mark<'a> {
    /// The white space it begins with.
    indent: &'a str,
    /// Backslashes, if any, and the mark.
    rest: &'a str,
}

impl<'a> Mark<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let rest = line.trim_start_matches(is_space);
        let mark = rest.trim_start_matches('\\');
        let indent = line.strip_suffix(rest)?;
        MARKS.iter().any(|start| mark.starts_with(start)).then_some(Self { indent, rest })
    }
}

/// Returns a character as a reader can see it: the picture of one that controls a terminal (`␛`), and `�` for one that hides
/// or reorders the text around it.
pub fn visible(c: char) -> char {
    match c {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        c => c,
    }
}

/// Tells whether `str.splitlines` of Python ends a line there.
fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Tells whether `str.strip` of Python removes it: four control characters more than Unicode's white space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Returns a value as it stands after its key: as it is, or as a JSON string.
pub(super) fn value(text: &str) -> Cow<'_, str> {
    let plain = !text.starts_with(['"', '\u{feff}'])
        && !text.starts_with(is_space)
        && !text.ends_with(is_space)
        && !text.contains(|c: char| c.is_control() || ends_line(c));
    if plain { Cow::Borrowed(text) } else { Cow::Owned(json(&Value::from(text))) }
}

/// Returns the text that [`value`] was given, or nothing for a JSON string that is none.
pub(super) fn read_value(written: &str) -> Option<String> {
    if written.starts_with('"') { serde_json::from_str(written).ok() } else { Some(written.to_owned()) }
}

/// How many numbers of a list stand on a line: a block's times are many, and a line for each would be mostly white space.
const NUMBERS: usize = 10;

/// Writes `value` as JSON, indented by `depth` levels of two spaces.
fn indented(value: &Value, depth: usize, text: &mut String) {
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    let follows = |text: &mut String, at: usize, by: usize| {
        if at > 0 {
            text.push(',');
        }
        if at.is_multiple_of(by) { line(text, depth + 1) } else { text.push(' ') }
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let by = if items.iter().all(Value::is_number) { NUMBERS } else { 1 };
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                follows(text, at, by);
                indented(item, depth + 1, text);
            }
            line(text, depth);
            text.push(']');
        }
        Value::Object(keys) if !keys.is_empty() => {
            text.push('{');
            for (at, (key, item)) in keys.iter().enumerate() {
                follows(text, at, 1);
                // Writing to a string cannot fail, here and below.
                let _ = write!(text, "{}: ", Value::from(key.as_str()));
                indented(item, depth + 1, text);
            }
            line(text, depth);
            text.push('}');
        }
        Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

/// Returns `value` as indented JSON in which no string can end a line, end a fence or look like a heading.
pub(super) fn json(value: &Value) -> String {
    let (mut plain, mut text) = (String::new(), String::new());
    indented(value, 0, &mut plain);
    for c in plain.chars() {
        // The line feeds are the indentation's own; those of strings are escaped already.
        if c != '\n' && (c.is_control() || ends_line(c)) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    // Both occur inside strings only, where a character may always be written by its number.
    text.replace("```", r"\u0060\u0060\u0060").replace("##", r"\u0023\u0023")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_output_stays_as_it_is() {
        for body in ["", "PASS 9.8 ± 0.21 µs\n", " # comment\n+## x\n #include <a>\n\\ No newline at end of file\n"] {
            assert_eq!(escape(body), body);
        }
    }

    #[test]
    fn lines_that_look_like_ours_get_one_backslash_more() {
        assert_eq!(
            escape("## exit_code\n\\## x\r \t```json\u{2028}~~~"),
            "\\## exit_code\n\\\\## x\r \t\\```json\u{2028}\\~~~"
        );
        assert_eq!(escape("# AFTERHOURS"), "\\# AFTERHOURS");
        assert_eq!(escape(NO_DIFF), format!("\\{NO_DIFF}"));
    }

    #[test]
    fn a_line_without_its_backslash_is_nothing_we_wrote() {
        assert_eq!(unescape("fine\n## forged\n"), Err(5));
    }

    #[test]
    fn only_values_that_need_it_are_quoted() {
        for text in ["", "B200", "python run.py --tag \"a b\"", "µs", "C:\\path", "## heading"] {
            assert_eq!(value(text), text);
        }
        assert_eq!(value("two\nlines"), r#""two\nlines""#);
        assert_eq!(value("next\u{85}line"), r#""next\u0085line""#);
        assert_eq!(value("\"quoted\""), r#""\"quoted\"""#);
        assert_eq!(value(" indented"), r#"" indented""#);
        assert_eq!(read_value("\"no end"), None);
    }

    #[test]
    fn many_numbers_share_a_line_and_everything_else_has_its_own() {
        let value = serde_json::json!({
            "empty": [[], {}], "mixed": [1, "a"], "times": (0..12).map(|n| f64::from(n) / 2.0).collect::<Vec<_>>(),
        });
        let expected = "{\n  \"empty\": [\n    [],\n    {}\n  ],\n  \"mixed\": [\n    1,\n    \"a\"\n  ],\n  \"times\": [\n    \
                        0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5,\n    5.0, 5.5\n  ]\n}";
        assert_eq!(json(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(expected).unwrap(), value);
    }

    #[test]
    fn json_holds_no_fence_no_heading_and_no_foreign_line_end() {
        let value = Value::from("\\## json_result\n````\u{2029}\u{7f}\u{9b}");
        let text = json(&value);
        assert!(text.is_ascii() && !text.contains("##") && !text.contains("```"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    /// Texts that are made of what could go wrong.
    fn hostile() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "\\", "#", "##", "```", "~~~", "\n", "\r", "\u{85}", "\x1c", "\x1f", "\u{2028}", " ", "\t", "\"", "a",
            NO_DIFF,
        ]);
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in hostile(), free: String) {
            for text in [text, free] {
                prop_assert_eq!(unescape(&escape(&text)), Ok(text.clone()));
                let written = value(&text);
                prop_assert!(!written.contains(ends_line));
                prop_assert_eq!(read_value(&written), Some(text));
            }
        }
    }
}
