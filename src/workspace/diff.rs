//! Unified diffs of the kernel.

use std::fmt::Write;
use std::time::Duration;

use similar::TextDiff;

/// After this time a diff settles for larger hunks: still right, only longer. It bounds texts that share nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns the unified diff between two texts of `path`, the empty text where they are equal.
///
/// `None` stands for a file that does not exist. Lines end in `\n` alone, as git sees them.
pub fn diff_texts(old: Option<&str>, new: Option<&str>, path: &str) -> String {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let diff = TextDiff::configure().timeout(PATIENCE).diff_slices(&old_lines, &new_lines);
    let name = |text: Option<&str>, side: &str| text.map_or("/dev/null".to_owned(), |_| format!("{side}/{path}"));
    let mut out = String::new();
    for hunk in diff.unified_diff().iter_hunks() {
        if out.is_empty() {
            out = format!("--- {}\n+++ {}\n", name(old, "a"), name(new, "b"));
        }
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let _ = write!(out, "{}{}", change.tag(), change.value());
            if !change.value().ends_with('\n') {
                out.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    out
}

fn lines(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split_inclusive('\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_diff() {
        assert_eq!(diff_texts(Some("a\n"), Some("a\n"), "k.py"), "");
        assert_eq!(diff_texts(None, Some(""), "k.py"), "");
    }

    #[test]
    fn a_changed_line_is_shown_in_its_hunk() {
        let expected = "--- a/k.py\n+++ b/k.py\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";
        assert_eq!(diff_texts(Some("a\nb\nc\n"), Some("a\nB\nc\n"), "k.py"), expected);
    }

    #[test]
    fn a_new_file_comes_from_nowhere() {
        assert_eq!(diff_texts(None, Some("a\n"), "k"), "--- /dev/null\n+++ b/k\n@@ -0,0 +1 @@\n+a\n");
    }

    #[test]
    fn a_lost_final_newline_and_bare_carriage_returns_are_told_exactly() {
        let expected = "--- a/k\n+++ b/k\n@@ -1 +1 @@\n-a\rb\n+a\rb\r\n\\ No newline at end of file\n";
        assert_eq!(diff_texts(Some("a\rb\n"), Some("a\rb\r"), "k"), expected);
    }
}
