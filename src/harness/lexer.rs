//! Words, texts and marks of a source, without its comments: as much of a language as tripwires need.

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Token<'a> {
    /// A name or a number.
    Word(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    /// Any other character but white space.
    Mark(char),
}

/// How comments and texts look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Comments {
    /// `//` and `/* */`.
    C,
    /// `#`, and texts of several lines between three quotes.
    Python,
}

/// Returns the tokens of `source` up to the first that begins behind the line `last`, each with the line it begins on, counted
/// from 0. What is not closed goes on to the end.
pub(super) fn tokens(source: &str, comments: Comments, last: usize) -> Vec<(usize, Token<'_>)> {
    let (mut rest, mut line, mut found) = (source, 0, Vec::new());
    while let Some(first) = rest.chars().next().filter(|_| found.last().is_none_or(|(line, _)| *line <= last)) {
        let (token, length) = next(rest, first, comments);
        let (passed, left) = rest.split_at(length);
        found.extend(token.map(|token| (line, token)));
        if !matches!(token, Some(Token::Word(_) | Token::Mark(_))) {
            line += passed.bytes().filter(|byte| *byte == b'\n').count();
        }
        rest = left;
    }
    found
}

/// Returns the lines of a text that begins on `line`, each with its number.
pub(super) fn lines_of(line: usize, text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').enumerate().map(move |(at, piece)| (line + at, piece))
}

/// Returns the token at the start of `rest`, where there is one, and its length in bytes.
fn next(rest: &str, first: char, comments: Comments) -> (Option<Token<'_>>, usize) {
    let to = |end: &str, from: usize| {
        let tail = rest.get(from..).unwrap_or_default();
        tail.find(end).map_or(rest.len(), |at| from + at + end.len())
    };
    match (first, comments) {
        ('/', Comments::C) if rest.starts_with("//") => (None, to("\n", 0)),
        ('/', Comments::C) if rest.starts_with("/*") => (None, to("*/", 2)),
        ('#', Comments::Python) => (None, to("\n", 0)),
        ('"' | '\'', _) => text(rest, first, comments),
        (c, _) if is_word(c) => {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (rest.get(..length).map(Token::Word), length)
        }
        (c, _) if c.is_whitespace() => (None, rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len())),
        (c, _) => (Some(Token::Mark(c)), c.len_utf8()),
    }
}

fn text(rest: &str, quote: char, comments: Comments) -> (Option<Token<'_>>, usize) {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let mark = if comments == Comments::Python && rest.starts_with(&triple) { 3 } else { 1 };
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(mark) {
        let closes = rest.get(at..).is_some_and(|tail| if mark == 3 { tail.starts_with(&triple) } else { c == quote });
        if !escaped && closes {
            return (rest.get(mark..at).map(Token::Text), at + mark);
        }
        // A text on one line ends with it, closed or not: an apostrophe in an `#error` opens none.
        if mark == 1 && c == '\n' && !escaped {
            return (rest.get(mark..at).map(Token::Text), at);
        }
        escaped = c == '\\' && !escaped;
    }
    (rest.get(mark..).map(Token::Text), rest.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_left_out_and_lines_are_counted() {
        let found = tokens("a /* b\n c */ d // e\nf(\"g\\\"\", 'h')", Comments::C, 2);
        let expected = [
            (0, Token::Word("a")),
            (1, Token::Word("d")),
            (2, Token::Word("f")),
            (2, Token::Mark('(')),
            (2, Token::Text("g\\\"")),
            (2, Token::Mark(',')),
            (2, Token::Text("h")),
            (2, Token::Mark(')')),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_token_behind_the_last_line_is_the_last() {
        let found = tokens("a\nb\n\n/*\n*/ (c\n", Comments::C, 1);
        assert_eq!(found, [(0, Token::Word("a")), (1, Token::Word("b")), (4, Token::Mark('('))]);
    }

    #[test]
    fn pythons_long_texts_go_over_lines() {
        let found = tokens("x = '''a\n'b' # c''' # d\ny", Comments::Python, 9);
        let expected =
            [(0, Token::Word("x")), (0, Token::Mark('=')), (0, Token::Text("a\n'b' # c")), (2, Token::Word("y"))];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_closed_ends_somewhere() {
        for text in ["\"", "'''", "/*", "//", "\"\\", "'a\nb", "µ'µ", "'''µ", "#"] {
            for comments in [Comments::C, Comments::Python] {
                tokens(text, comments, 0);
            }
        }
    }
}
