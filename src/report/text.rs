//! Plain text: foreign words made harmless, and numbers as people read them.

use crate::artifact::visible;
use crate::protocol::Micros;

/// Characters of a foreign text in a line of the live view.
pub(super) const LINE: usize = 160;

/// Characters of a foreign text in a block of its own row.
pub(super) const ROW: usize = 240;

/// Returns `text` as one line of at most `limit` characters that no terminal takes for a command.
///
/// White space of any kind becomes single spaces. Control characters become their pictures (`␛`), and characters that
/// reorder or hide the text around them become `�`: nothing is dropped, so that nothing can hide.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() {
            gap = length > 0;
            continue;
        }
        let needed = 1 + usize::from(gap);
        if length + needed > limit {
            // Cut for good: the mark takes the last character's place where the line is full.
            if length >= limit {
                line.pop();
            }
            line.push('…');
            return line;
        }
        if gap {
            line.push(' ');
        }
        line.push(visible(c));
        length += needed;
        gap = false;
    }
    line
}

/// Returns `text`, or `-` where there is none.
pub(super) fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Returns the first ten characters of a commit's name.
pub(super) fn short_sha(sha: &str) -> String {
    sha.chars().take(10).map(visible).collect()
}

/// Returns a ratio of times, `1.970x`.
pub(super) fn times(ratio: f64) -> String {
    if ratio >= 100.0 { format!("{ratio:.1}x") } else { format!("{ratio:.3}x") }
}

/// Returns a number of microseconds with its unit.
pub(super) fn micros(us: f64) -> String {
    Micros::new(us).map_or_else(|_| format!("{us} µs"), |us| us.to_string())
}

/// Returns a time span: `812 ms`, `4.2 s`, `3 min 05 s`, `1 h 02 min`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns a number with its thousands apart, `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns so many of a thing, `1 pair` or `4 pairs`.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(number))
}

/// Returns an amount of US dollars: to the cent, below a dollar to the hundredth of one.
pub(super) fn dollars(usd: f64) -> String {
    if usd >= 1.0 || usd == 0.0 { format!("${usd:.2}") } else { format!("${usd:.4}") }
}

/// Returns `text` filled up with spaces to `width` characters.
pub(super) fn padded(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// Returns `text` with the characters that mean something in HTML escaped, for element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_one_harmless_line() {
        let hostile = "\u{1b}[2J\u{1b}]0;title\u{7}first\r\n\tsecond\u{9b}31m \u{202e}txet\u{0}\u{2028}end";
        let line = one_line(hostile, 100);
        assert_eq!(line, "␛[2J␛]0;title␇first second�31m �txet␀ end");
        assert!(!line.chars().any(char::is_control));
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        assert_eq!(one_line("abcdef", 6), "abcdef");
        assert_eq!(one_line("abcdefg", 6), "abcde…");
        assert_eq!(one_line("ab cd ef", 6), "ab cd…");
        assert_eq!(one_line(&"x".repeat(1_000_000), 240).chars().count(), 240);
        assert_eq!(one_line(" \n\t ", 10), "");
        assert_eq!(one_line("äöü", 2), "ä…");
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(counted(1, "pair"), "1 pair");
        assert_eq!(counted(1000, "pair"), "1,000 pairs");
        assert_eq!(["812 ms", "4.2 s", "3 min 05 s", "1 h 02 min"], [812, 4_249, 185_000, 3_725_000].map(duration)[..]);
        assert_eq!(
            (dollars(0.0), dollars(0.0123), dollars(12.345)),
            ("$0.00".into(), "$0.0123".into(), "$12.35".into())
        );
        assert_eq!((times(1.97), times(123.456)), ("1.970x".into(), "123.5x".into()));
        assert_eq!(micros(f64::INFINITY), "inf µs");
    }
}
