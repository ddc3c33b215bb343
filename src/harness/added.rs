//! What an edit adds to a text.

use std::collections::BTreeMap;

use similar::{ChangeTag, TextDiff};

/// Returns the lines that `after` has and `before` has not, by their numbers in `after` from 0, each with its line feed.
///
/// Line feeds alone end a line, as in the [tokens](super::lexer::tokens) of a source.
pub fn added_lines<'a>(before: &str, after: &'a str) -> BTreeMap<usize, &'a str> {
    let (old, new, head) = changed(before, after);
    let (old, new, first) = (lines(old), lines(new), head.matches('\n').count());
    let diff = TextDiff::from_slices(&old, &new);
    let inserted = diff.iter_all_changes().filter(|change| change.tag() == ChangeTag::Insert);
    let places = inserted.filter_map(|change| change.new_index());
    places.filter_map(|place| Some((first + place, *new.get(place)?))).collect()
}

/// Returns what stays of two texts without the whole lines that they share at their beginnings and at their ends, and the
/// former of these.
pub(super) fn changed<'b, 'a>(before: &'b str, after: &'a str) -> (&'b str, &'a str, &'a str) {
    let (head, tail) = common_lines(before.as_bytes(), after.as_bytes());
    (between(before, head, tail), between(after, head, tail), after.get(..head).unwrap_or_default())
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Returns `text` without its first `head` and its last `tail` bytes.
fn between(text: &str, head: usize, tail: usize) -> &str {
    text.get(head..text.len().saturating_sub(tail)).unwrap_or(text)
}

/// Returns how many bytes of whole lines two texts share at their beginnings, and how many more at their ends. A change is
/// mostly small, and a diff takes its time over every line that it is given.
fn common_lines(a: &[u8], b: &[u8]) -> (usize, usize) {
    let head = a.iter().take(common_head(a, b)).rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (a, b) = (a.get(head..).unwrap_or_default(), b.get(head..).unwrap_or_default());
    let same = common_tail(a, b);
    // A line is whole where a line feed stands before it in both texts.
    let shared = a.get(a.len() - same..).unwrap_or_default();
    let tail = shared.iter().position(|byte| *byte == b'\n').map_or(0, |at| same - at - 1);
    (head, tail)
}

/// The bytes that are compared at once.
const STRIDE: usize = 256;

/// Returns how many bytes two texts share at their beginnings.
fn common_head(a: &[u8], b: &[u8]) -> usize {
    let strides = a.as_chunks::<STRIDE>().0.iter().zip(b.as_chunks::<STRIDE>().0);
    let strides = strides.take_while(|(a, b)| a == b).count() * STRIDE;
    // Each skips by itself: a pair of them would skip byte by byte.
    let rest = a.iter().skip(strides).zip(b.iter().skip(strides));
    strides + rest.take_while(|(a, b)| a == b).count()
}

/// Returns how many bytes two texts share at their ends.
fn common_tail(a: &[u8], b: &[u8]) -> usize {
    let strides = a.as_rchunks::<STRIDE>().1.iter().rev().zip(b.as_rchunks::<STRIDE>().1.iter().rev());
    let strides = strides.take_while(|(a, b)| a == b).count() * STRIDE;
    let rest = a.iter().rev().skip(strides).zip(b.iter().rev().skip(strides));
    strides + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn added(before: &str, after: &str) -> Vec<(usize, String)> {
        added_lines(before, after).into_iter().map(|(place, line)| (place, line.to_owned())).collect()
    }

    #[test]
    fn added_lines_are_the_new_ones_alone() {
        assert_eq!(added("a\nb\n", "a\nc\nb\n"), [(1, "c\n".to_owned())]);
        assert_eq!(added("", "a\nb"), [(0, "a\n".to_owned()), (1, "b".to_owned())]);
        assert_eq!(added("b", "a\nb"), [(0, "a\n".to_owned())]);
        assert_eq!(added("a", "ab"), [(0, "ab".to_owned())]);
        assert!(added("a\nb\n", "a\n").is_empty() && added("a\n", "a\n").is_empty() && added("a", "").is_empty());
    }

    #[test]
    fn a_bare_carriage_return_ends_no_line() {
        assert_eq!(added("a\rb\rc\n", "a\rb\rc\nd\n"), [(1, "d\n".to_owned())]);
    }

    proptest! {
        #[test]
        fn a_text_without_what_was_added_is_in_order_within_the_one_before(
            before in "([ab]{0,2}\n){0,90}[ab]?", after in "([ab]{0,2}\n){0,90}[ab]?", head in "(aa\n){0,90}", tail in "(\nbb){0,90}",
        ) {
            let (before, after) = (format!("{head}{before}{tail}"), format!("{head}{after}{tail}"));
            let added = added_lines(&before, &after);
            let mut old = lines(&before).into_iter();
            for (place, line) in lines(&after).into_iter().enumerate() {
                match added.get(&place) {
                    Some(found) => prop_assert_eq!(*found, line),
                    None => prop_assert!(old.any(|old| old == line), "line {} is not an old one", place),
                }
            }
        }
    }
}
