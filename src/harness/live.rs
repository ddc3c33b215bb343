//! What an edit brings to life: code that was in no comment and no text before it.

use std::collections::{BTreeMap, BTreeSet};

use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::added::{added_lines, changed};
use super::lexer::{Comments, Token, lines_of, tokens};

/// What changes how the lines after it are read: a comment or a text begins or ends, or a text goes on to the next line.
const TURNS: [&str; 5] = ["/*", "*/", "\"\"\"", "'''", "\\\n"];

/// What tells that a text of Python's is C.
const C_MARKS: [&str; 3] = ["#include", "__global__", "extern \"C\""];

/// A token, and what reads it: C may stand in a text of Python's.
type Live<'a> = (Comments, Token<'a>);

/// Returns the lines of `after` that may hold what was not live before, by their numbers from 0: those that are added, and all
/// where the change may have turned code into a comment or a text, or back. No line needs to be read for it.
pub(super) fn maybe_live(before: &str, after: &str) -> BTreeSet<usize> {
    if may_turn(before, after) {
        return (0..=after.matches('\n').count()).collect();
    }
    added_lines(before, after).into_keys().collect()
}

/// Tells whether the change may have turned code into a comment or a text, or back.
fn may_turn(before: &str, after: &str) -> bool {
    let (old, new, head) = changed(before, after);
    let turns = |text: &str| TURNS.iter().chain(&C_MARKS).any(|mark| text.contains(mark));
    turns(old) || turns(new) || head.ends_with("\\\n")
}

/// Returns the lines of `after` that were in a comment before, whole, as far as the change is one that can free any.
pub(super) fn freed(before: &str, after: &str, comments: Comments) -> String {
    if !may_turn(before, after) {
        return String::new();
    }
    let live = made_live(before, after, comments);
    after.split_inclusive('\n').enumerate().filter(|(at, _)| live.contains(at)).map(|(_, line)| line).collect()
}

/// Returns the lines of `after` whose tokens were not live before, by their numbers from 0.
pub(super) fn made_live(before: &str, after: &str, comments: Comments) -> BTreeSet<usize> {
    let (old, new) = (live_lines(before, comments), live_lines(after, comments));
    let (old, (places, new)): (Vec<_>, (Vec<_>, Vec<_>)) = (old.into_values().collect(), new.into_iter().unzip());
    let changes = capture_diff_slices(Algorithm::Myers, &old, &new);
    let others = changes.iter().filter(|change| change.tag() != DiffTag::Equal);
    others.flat_map(|change| places.get(change.new_range()).unwrap_or_default()).copied().collect()
}

/// Returns the tokens of each line that has any. A text counts where each of its lines stands.
fn live_lines(source: &str, comments: Comments) -> BTreeMap<usize, Vec<Live<'_>>> {
    let mut lines: BTreeMap<usize, Vec<Live<'_>>> = BTreeMap::new();
    for (line, token) in tokens(source, comments, usize::MAX) {
        match token {
            Token::Text(text) if comments == Comments::Python && holds_c(text) => {
                for (at, inner) in live_lines(text, Comments::C) {
                    lines.entry(line + at).or_default().extend(inner);
                }
            }
            Token::Text(text) => {
                for (line, piece) in lines_of(line, text) {
                    lines.entry(line).or_default().push((comments, Token::Text(piece)));
                }
            }
            Token::Word(_) | Token::Mark(_) => lines.entry(line).or_default().push((comments, token)),
        }
    }
    lines
}

/// Tells whether a text of Python's is C: a kernel for a GPU often is.
pub(super) fn holds_c(text: &str) -> bool {
    C_MARKS.iter().any(|mark| text.contains(mark))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::harness::{Language, tripped};

    /// Lines that trip wires, each whole.
    const LIVE: [&str; 7] =
        ["fork();", "#include <unistd.h>", "import os", "x = 'a' + open(y)", "rdtsc /\\", "printf(\"/*\");", "a * b"];

    /// Lines, and parts of lines, that end and begin comments and texts, and what trips a wire between them.
    const PARTS: [&str; 16] = [
        "/*",
        "*/",
        "//",
        "#",
        "\"\"\"",
        "'''",
        "\"",
        "'",
        "\\\n",
        "\n",
        "\n",
        "fork ",
        "environ ",
        "#include <a>",
        "\\",
        "x ",
    ];

    const LANGUAGES: [Language; 3] = [Language::C, Language::Cuda, Language::Python];

    /// Returns the lines of `live` with comments and empty lines among them.
    fn dressed(live: &[&str], comments: Comments, choices: &[Index]) -> String {
        let around = match comments {
            Comments::C => ["", "\n", "/* fork(); */ ", "// import os\n", "/*\n * open(y) \"\n */\n"],
            Comments::Python => ["", "\n", "  \n", "# import os\n", "# \"\"\" fork()\n\n"],
        };
        let behind = match comments {
            Comments::C => ["", " ", " // exit(1)", " /* getenv */", "/*\n*/"],
            Comments::Python => ["", " ", " # exec(x)", "# '''", "\n#"],
        };
        let lines = live.iter().zip(choices.chunks(2)).map(|(line, choice)| {
            let [before, after] = choice else { return String::new() };
            format!("{}{line}{}\n", before.get(&around), after.get(&behind))
        });
        lines.collect()
    }

    /// Returns how often each word is live that trips a wire wherever it stands.
    fn count(source: &str, comments: Comments) -> BTreeMap<&str, usize> {
        let mut found = BTreeMap::new();
        for (by, token) in live_lines(source, comments).into_values().flatten() {
            match (by, token) {
                (Comments::C, Token::Word(word @ ("fork" | "environ"))) | (_, Token::Word(word @ "environ")) => {
                    *found.entry(word).or_default() += 1;
                }
                _ => {}
            }
        }
        found
    }

    proptest! {
        #[test]
        fn an_edit_that_leaves_every_live_token_as_it_was_trips_nothing(
            live in prop::collection::vec(select(&LIVE[..]), 1..8),
            choices in prop::collection::vec(any::<Index>(), 32),
            language in select(&LANGUAGES[..]),
        ) {
            let (one, other) = choices.split_at(16);
            let (before, after) =
                (dressed(&live, language.comments(), one), dressed(&live, language.comments(), other));
            prop_assert_eq!(tripped(language, &before, &after), []);
        }

        #[test]
        fn no_word_comes_to_life_unseen(
            before in prop::collection::vec(select(&PARTS[..]), 0..24),
            after in prop::collection::vec(select(&PARTS[..]), 0..3),
            (from, to) in (any::<Index>(), any::<Index>()),
            language in select(&LANGUAGES[..]),
        ) {
            let (from, to) = (from.index(before.len() + 1), to.index(before.len() + 1));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 3));
            let edited = [&before[..from], &after[..], &before[to..]].concat().concat();
            let before = before.concat();
            let old = count(&before, language.comments());
            for (word, times) in count(&edited, language.comments()) {
                if times > old.get(word).copied().unwrap_or_default() {
                    let found = tripped(language, &before, &edited);
                    prop_assert!(found.iter().any(|found| found.word == word), "{word} in {before:?}, {edited:?}: {found:?}");
                }
            }
        }
    }
}
