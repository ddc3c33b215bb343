//! Moves as the edits of one `edit-kernel` call: each search text stands exactly once in the kernel.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::kernel::{Kernel, Move};

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Edit {
    search: String,
    replace: String,
}

/// Returns the edits that carry `moves` out on `kernel`, whether they are applied one after the other or all at once.
pub(super) fn edits(kernel: &Kernel, moves: &[Move]) -> Vec<Edit> {
    let mut blocks: Vec<RangeInclusive<usize>> = Vec::new();
    let mut touched: Vec<usize> =
        moves.iter().filter_map(|step| kernel.sites.get(step.tunable)).map(|site| site.line).collect();
    touched.sort_unstable();
    for line in touched {
        let block = unique_block(kernel, line);
        match blocks.last_mut() {
            Some(last) if block.start() <= last.end() => *last = *last.start().min(block.start())..=*block.end(),
            _ => blocks.push(block),
        }
    }
    let apart = edits_of(kernel, moves, &blocks);
    if applies(kernel, moves, &apart) {
        return apart;
    }
    // A line that becomes like another makes the other's search ambiguous: one edit then spans them all.
    let span = blocks.first().zip(blocks.last()).map(|(first, last)| *first.start()..=*last.end());
    edits_of(kernel, moves, span.as_slice())
}

/// Returns the lines around `line`, as few as are needed for their text to stand once in the kernel.
fn unique_block(kernel: &Kernel, line: usize) -> RangeInclusive<usize> {
    let (mut first, mut last) = (line, line);
    while !stands_once(&kernel.text, &text_of(kernel, &(first..=last))) {
        if first > 0 && line - first <= last - line {
            first -= 1;
        } else if last + 1 < kernel.lines.len() {
            last += 1;
        } else if first > 0 {
            first -= 1;
        } else {
            break;
        }
    }
    first..=last
}

fn text_of(kernel: &Kernel, block: &RangeInclusive<usize>) -> String {
    let (first, last) = (kernel.lines.get(*block.start()), kernel.lines.get(*block.end()));
    let range = first.zip(last).map(|(first, last)| first.start..last.end);
    range.and_then(|range| kernel.text.get(range)).unwrap_or_default().to_owned()
}

fn edits_of(kernel: &Kernel, moves: &[Move], blocks: &[RangeInclusive<usize>]) -> Vec<Edit> {
    // Values hold no line breaks: the lines of the text after the moves are the same lines.
    let moved = Kernel::parse(kernel.with(moves));
    blocks.iter().map(|block| Edit { search: text_of(kernel, block), replace: text_of(&moved, block) }).collect()
}

fn applies(kernel: &Kernel, moves: &[Move], edits: &[Edit]) -> bool {
    let mut text = kernel.text.clone();
    for edit in edits {
        if !stands_once(&text, &edit.search) {
            return false;
        }
        text = text.replacen(&edit.search, &edit.replace, 1);
    }
    text == kernel.with(moves)
}

fn stands_once(text: &str, part: &str) -> bool {
    let Some(first) = text.find(part) else { return false };
    let step = part.chars().next().map_or(1, char::len_utf8);
    !part.is_empty() && text.get(first + step..).is_some_and(|rest| !rest.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, moves: &[Move]) -> Vec<Edit> {
        let kernel = Kernel::parse(text.to_owned());
        let made = edits(&kernel, moves);
        assert!(applies(&kernel, moves, &made), "{made:?}");
        made
    }

    fn edit(search: &str, replace: &str) -> Edit {
        Edit { search: search.to_owned(), replace: replace.to_owned() }
    }

    const FIRST: Move = Move { tunable: 0, to: 1 };
    const SECOND: Move = Move { tunable: 1, to: 1 };

    #[test]
    fn a_line_that_stands_once_is_the_whole_search() {
        let made = applied("a\n  T = 1 # tune: 1 2\r\nb\n", &[FIRST]);
        assert_eq!(made, [edit("  T = 1 # tune: 1 2", "  T = 2 # tune: 1 2")]);
    }

    #[test]
    fn a_line_that_stands_twice_takes_its_neighbours_with_it() {
        let text = "#if A\r\nT = 1 # tune: 1 2\r\n#else\r\nT = 1 # tune: 1 2\r\n#endif\r\n";
        assert_eq!(applied(text, &[SECOND]), [edit("#else\r\nT = 1 # tune: 1 2", "#else\r\nT = 2 # tune: 1 2")]);
        assert_eq!(applied(text, &[FIRST, SECOND]).len(), 2);
    }

    #[test]
    fn a_line_inside_another_line_is_not_unique() {
        let made = applied("T = 1 # tune: 1 2\nXT = 1 # tune: 1 2\n", &[FIRST]);
        assert_eq!(made, [edit("T = 1 # tune: 1 2\nXT = 1 # tune: 1 2", "T = 2 # tune: 1 2\nXT = 1 # tune: 1 2")]);
    }

    #[test]
    fn two_moves_are_two_edits_and_one_where_the_first_would_blur_the_second() {
        let text = "A = 1 # tune: 1 2\nx\nB = 1 # tune: 1 2\n";
        assert_eq!(applied(text, &[FIRST, SECOND]).len(), 2);
        let text = "T = 1 # tune: 1 2\nx\nT = 2 # tune: 2 1\nT = 2 # tune: 1 2\n";
        assert_eq!(applied(text, &[FIRST, Move { tunable: 2, to: 0 }]).len(), 1);
    }

    #[test]
    fn a_text_of_equal_lines_is_searched_as_a_whole() {
        let text = "T = 1 # tune: 1 2\n".repeat(3);
        for tunable in 0..3 {
            applied(&text, &[Move { tunable, to: 1 }]);
        }
    }
}
