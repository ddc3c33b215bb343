//! Words that are not the program's: made unable to pass for the program's own, and cut to size.
//!
//! A kernel, a tool's output and a model's earlier words may hold anything. In a request they stand in one of three places: in
//! a message whose role says whose they are, in a fence longer than any inside, or on one line in quotation marks. What chat
//! templates take for the border of a message is broken up everywhere.

use super::tokens;
use crate::artifact::visible;

/// What the templates of common models take for the border of a message or of a call.
const BORDERS: [&str; 11] = [
    "<|",
    "<｜",
    "</s>",
    "[INST]",
    "[/INST]",
    "<start_of_turn>",
    "<end_of_turn>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
];

/// Returns `text` without borders of messages, and with pictures in the place of characters that hide or reorder others.
/// Line feeds and tabs stay.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless: String = text.replace("\r\n", "\n").chars().map(shown).collect();
    for border in BORDERS {
        if harmless.contains(border) {
            let mut chars = border.chars();
            let first = chars.next().map(String::from).unwrap_or_default();
            harmless = harmless.replace(border, &format!("{first} {}", chars.as_str()));
        }
    }
    harmless
}

fn shown(c: char) -> char {
    if matches!(c, '\n' | '\t') { c } else { visible(c) }
}

/// Returns `text` as one line of at most `limit` characters.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    let line = harmless(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        None => line,
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default().trim_end()),
    }
}

/// Returns `text` as one line of at most `limit` characters in quotation marks that nothing inside can close.
pub(super) fn quoted(text: &str, limit: usize) -> String {
    format!("\"{}\"", one_line(text, limit).replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns `text` in a fence longer than any inside.
pub(super) fn fenced(text: &str, language: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}")
}

/// Returns `text` where it is at most about `limit` tokens; else its head and its tail around what `mark` says of the lines
/// left out, the first and the last, from 1.
pub(super) fn cut(text: &str, limit: u64, mark: impl Fn(usize, usize) -> String) -> String {
    let mut tokens = tokens::count(text);
    let mut bytes = text.len();
    let mut shown = text.to_owned();
    while tokens > limit && bytes > 0 {
        bytes = proportion(bytes, limit, tokens);
        shown = ends(text, bytes, &mark);
        tokens = tokens::count(&shown);
        if bytes < 80 {
            break;
        }
    }
    shown
}

/// Marks a cut.
pub(super) fn lines_left_out(first: usize, last: usize) -> String {
    format!("[{} lines are left out here]", last + 1 - first)
}

/// Returns so much of `bytes` as `limit` is of `tokens`, and always less.
fn proportion(bytes: usize, limit: u64, tokens: u64) -> usize {
    let share = u128::try_from(bytes).unwrap_or(u128::MAX) * u128::from(limit) / u128::from(tokens.max(1));
    usize::try_from(share).unwrap_or(bytes).min(bytes - bytes.div_ceil(20))
}

/// Returns the first two thirds and the last third of `bytes` of `text`, by whole lines where there are such.
fn ends(text: &str, bytes: usize, mark: &impl Fn(usize, usize) -> String) -> String {
    let head = text.get(..text.floor_char_boundary(bytes / 3 * 2)).unwrap_or_default();
    let head = head.rfind('\n').and_then(|end| head.get(..=end)).unwrap_or(head);
    let tail = text.get(text.ceil_char_boundary(text.len() - bytes / 3)..).unwrap_or_default();
    let tail = tail.find('\n').and_then(|start| tail.get(start + 1..)).unwrap_or(tail);
    let lines = |text: &str| text.matches('\n').count();
    let (first, last) = (lines(head) + 1, lines(text) - lines(tail));
    let gap = if head.ends_with('\n') { "" } else { "\n" };
    format!("{head}{gap}{}\n{tail}", mark(first, last.max(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_closes_a_fence_or_a_quotation() {
        let hostile = "```\n# Ledger\n`````\n";
        assert!(fenced(hostile, "c").starts_with("``````c\n") && fenced(hostile, "c").ends_with("\n``````"));
        assert_eq!(fenced("a", ""), "```\na\n```");
        assert_eq!(quoted("say \"KEEP\"\\\n# Ledger", 99), r#""say \"KEEP\"\\ # Ledger""#);
        assert_eq!(quoted("abcdef", 3), "\"abc…\"");
    }

    #[test]
    fn borders_of_messages_are_broken_and_hidden_characters_shown() {
        assert_eq!(harmless("<|im_end|>\n</s>[INST]"), "< |im_end|>\n< /s>[ INST]");
        assert_eq!(harmless("a\u{202e}b\u{1b}c\r\n\td"), "a\u{fffd}b␛c\n\td");
    }

    #[test]
    fn a_long_text_keeps_its_ends_and_says_which_lines_are_missing() {
        let text: String = (1..=1000).map(|line| format!("line {line} of the text\n")).collect();
        let shown = cut(&text, 300, |first, last| format!("[{first} to {last}]"));
        assert!(tokens::count(&shown) <= 300, "{}", tokens::count(&shown));
        assert!(shown.starts_with("line 1 of") && shown.ends_with("line 1000 of the text\n"));
        let mark = shown.lines().find(|line| line.starts_with('[')).unwrap();
        let numbers: Vec<usize> = mark[1..mark.len() - 1].split(" to ").map(|number| number.parse().unwrap()).collect();
        assert!(shown.contains(&format!("line {} of", numbers[0] - 1)));
        assert!(shown.contains(&format!("line {} of", numbers[1] + 1)));
        assert!(!shown.contains(&format!("line {} of", numbers[0])));
        assert_eq!(cut("short", 300, |_, _| String::new()), "short");
    }

    #[test]
    fn one_long_line_is_cut_as_well() {
        let shown = cut(&"x1 ".repeat(200_000), 100, |_, _| "[cut]".to_owned());
        assert!(tokens::count(&shown) <= 110 && shown.contains("[cut]"));
    }
}
