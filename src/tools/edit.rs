//! `edit-kernel`: the kernel's text with the change.

use std::borrow::Cow;
use std::path::Path;

use memchr::memmem;
use thiserror::Error;

use super::args::{EditKernel, Replacement};
use crate::harness::{Act, Language, added_lines, freed_lines, tripped};
use crate::protocol::{Forbidden, Refusal, Rule, RunState};

/// The longest kernel, in bytes.
pub const MOST_BYTES: usize = 1 << 20;

/// The longest change line, in characters.
const MOST_CHANGE: usize = 200;

/// An edit that cannot be made; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// Neither or both of the forms.
    #[error("give either `edits` or `text`, and not both")]
    OneForm,
    /// An empty list.
    #[error("`edits` is empty")]
    NoEdits,
    /// An empty search.
    #[error("edits[{index}].search is empty")]
    EmptySearch {
        /// Of the replacement.
        index: usize,
    },
    /// The search does not occur.
    #[error("edits[{index}].search does not occur in the kernel; copy it exactly, whitespace included{hint}")]
    NotFound {
        /// Of the replacement.
        index: usize,
        /// Where the kernel has something like it.
        hint: String,
    },
    /// The search occurs more than once.
    #[error("edits[{index}].search occurs {times} times in the kernel; add lines around it until it occurs once")]
    NotUnique {
        /// Of the replacement.
        index: usize,
        /// How often.
        times: usize,
    },
    /// The text is the same.
    #[error("the edit changes nothing")]
    NoChange,
    /// The text is too long.
    #[error("the kernel would be {0} bytes long; at most {MOST_BYTES} are allowed")]
    TooLong(usize),
    /// The text has a NUL byte.
    #[error("the kernel would hold a NUL character")]
    Nul,
    /// The change has no name.
    #[error("`change` is empty; say in one line what is changed")]
    NoName,
}

/// A change that is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// It brings a forbidden tool in, or trips a wire.
    Refused(Refusal),
    /// It cannot be made as it is described.
    Failed(EditError),
}

/// Returns `kernel` with the change, where no line that it adds names a forbidden tool or trips a wire.
///
/// # Errors
/// The refusal, or why the change cannot be made.
pub fn change(kernel: &str, args: &EditKernel, state: &RunState, forbidden: &Forbidden) -> Result<String, ChangeError> {
    let text = edit(kernel, args).map_err(ChangeError::Failed)?;
    let language = Language::of(Path::new(&state.run.kernel));
    let legal = |refusal| ChangeError::Refused(Refusal { legal: state.legal().to_vec(), ..refusal });
    check_names(kernel, &text, language, forbidden).map_err(legal)?;
    language
        .map_or(Ok(()), |language| check_tripwires(kernel, &text, language, state))
        .map_err(ChangeError::Refused)?;
    Ok(text)
}

/// Refuses a change that brings a forbidden name in: on lines that it adds, or as code that was a comment.
fn check_names(before: &str, after: &str, language: Option<Language>, forbidden: &Forbidden) -> Result<(), Refusal> {
    // All at once: a name may be broken over lines.
    let added: String = added_lines(before, after).into_values().collect();
    forbidden.check(&added, "what the edit adds")?;
    let freed = language.map(|language| freed_lines(language, before, after)).unwrap_or_default();
    forbidden.check(&freed, "what the edit frees from a comment")
}

/// Refuses a change that reaches for something other than the computation.
fn check_tripwires(before: &str, after: &str, language: Language, state: &RunState) -> Result<(), Refusal> {
    match tripped(language, before, after).into_iter().find(|tripped| tripped.act == Act::Refuse) {
        None => Ok(()),
        Some(tripped) => Err(state.refusal(
            Rule::Tripwire,
            format!(
                "what the edit adds trips the wire `{}` by `{}`: a kernel computes, and needs nothing of the kind",
                tripped.name, tripped.word
            ),
        )),
    }
}

/// Returns `kernel` with the change.
///
/// # Errors
/// Where the change cannot be made exactly as it is described.
pub fn edit(kernel: &str, args: &EditKernel) -> Result<String, EditError> {
    if change_line(&args.change).is_empty() {
        return Err(EditError::NoName);
    }
    let text = match (&args.edits, &args.text) {
        (Some(edits), None) if edits.is_empty() => return Err(EditError::NoEdits),
        (Some(edits), None) => edits
            .iter()
            .enumerate()
            .try_fold(Cow::Borrowed(kernel), |text, (index, replacement)| {
                replace(&text, index, replacement).map(Cow::Owned)
            })?
            .into_owned(),
        (None, Some(text)) => text.clone(),
        (Some(_), Some(_)) | (None, None) => return Err(EditError::OneForm),
    };
    if text == kernel {
        return Err(EditError::NoChange);
    }
    if text.len() > MOST_BYTES {
        return Err(EditError::TooLong(text.len()));
    }
    if text.contains('\0') {
        return Err(EditError::Nul);
    }
    Ok(text)
}

/// Returns the change as one bounded line.
pub fn change_line(change: &str) -> String {
    let line = change.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.chars().count() <= MOST_CHANGE {
        return line;
    }
    line.chars().take(MOST_CHANGE - 1).chain(['…']).collect()
}

fn replace(text: &str, index: usize, replacement: &Replacement) -> Result<String, EditError> {
    let Replacement { search, replace } = replacement;
    if search.is_empty() {
        return Err(EditError::EmptySearch { index });
    }
    let mut places = memmem::find_iter(text.as_bytes(), search.as_bytes());
    let place = places.next();
    let times = usize::from(place.is_some()) + places.count();
    if times == 0 && text.contains("\r\n") && !search.contains('\r') {
        // A model writes bare line feeds; a kernel with Windows line ends keeps them.
        let windows = |part: &str| part.replace('\n', "\r\n");
        let retry = Replacement { search: windows(search), replace: windows(&replace.replace("\r\n", "\n")) };
        if retry.search.contains('\r') {
            return self::replace(text, index, &retry);
        }
    }
    match (times, place.and_then(|place| text.split_at_checked(place))) {
        (1, Some((before, rest))) => Ok([before, replace, rest.strip_prefix(search).unwrap_or(rest)].concat()),
        (0, _) => Err(EditError::NotFound { index, hint: nearest(text, search) }),
        (times, _) => Err(EditError::NotUnique { index, times }),
    }
}

/// Points to the line that equals the search's first line but for whitespace.
fn nearest(text: &str, search: &str) -> String {
    let bare = |line: &str| line.split_whitespace().collect::<String>();
    let Some(wanted) = search.lines().map(bare).find(|line| !line.is_empty()) else { return String::new() };
    text.lines()
        .position(|line| bare(line) == wanted)
        .map_or(String::new(), |line| format!("; line {} differs in whitespace alone", line + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap(search: &str, replace: &str) -> EditKernel {
        EditKernel {
            change: "a change".to_owned(),
            edits: Some(vec![Replacement { search: search.to_owned(), replace: replace.to_owned() }]),
            text: None,
        }
    }

    #[test]
    fn a_forbidden_name_comes_in_neither_on_a_new_line_nor_out_of_a_comment() {
        let forbidden = Forbidden::new(&[]);
        let refused = |before: &str, after: &str, language| {
            check_names(before, after, language, &forbidden).err().map(|refusal| refusal.message)
        };
        let (c, python) = (Some(Language::C), Some(Language::Python));
        let kept = "step();\n/*\nrun(\"popcorn-cli\");\n*/\n";
        assert_eq!(refused(kept, &kept.replace("step()", "stride()"), c), None);
        assert_eq!(refused(kept, &format!("/* beside */\n{kept}"), c), None, "it stays a comment");
        let freed = refused(kept, "step();\n\nrun(\"popcorn-cli\");\n\n", c).unwrap();
        assert!(freed.contains("frees from a comment"), "{freed}");
        let text = "\"\"\"\nimport git\ngit push\n\"\"\"\nx = 1\n";
        assert!(refused(text, &text.replace("\"\"\"\n", ""), python).is_some());
        assert!(refused("x\n", "x\n# popcorn-cli\n", None).unwrap().contains("what the edit adds"));
    }

    #[test]
    fn a_search_must_occur_exactly_once() {
        let kernel = "a = 1;\nb = 1;\n";
        assert_eq!(edit(kernel, &swap("a = 1", "a = 2")).unwrap(), "a = 2;\nb = 1;\n");
        assert_eq!(edit(kernel, &swap("= 1", "= 2")), Err(EditError::NotUnique { index: 0, times: 2 }));
        let error = edit(kernel, &swap("a  =  1;", "x")).unwrap_err().to_string();
        assert!(error.contains("line 1 differs in whitespace"), "{error}");
        assert_eq!(edit(kernel, &swap("", "x")), Err(EditError::EmptySearch { index: 0 }));
    }

    #[test]
    fn edits_apply_in_order_and_all_or_nothing() {
        let mut args = swap("one", "two");
        args.edits.as_mut().unwrap().push(Replacement { search: "two".to_owned(), replace: "three".to_owned() });
        assert_eq!(edit("one\n", &args).unwrap(), "three\n");
        args.edits.as_mut().unwrap().push(Replacement { search: "absent".to_owned(), replace: String::new() });
        assert!(matches!(edit("one\n", &args), Err(EditError::NotFound { index: 2, .. })));
    }

    #[test]
    fn windows_line_ends_are_kept() {
        assert_eq!(edit("a\r\nb\r\nc\r\n", &swap("a\nb", "x\ny")).unwrap(), "x\r\ny\r\nc\r\n");
    }

    #[test]
    fn what_is_no_change_is_an_error() {
        assert_eq!(edit("a", &swap("a", "a")), Err(EditError::NoChange));
        let neither = EditKernel { change: "c".to_owned(), edits: None, text: None };
        assert_eq!(edit("a", &neither), Err(EditError::OneForm));
        let whole = |text: String| EditKernel { change: "c".to_owned(), edits: None, text: Some(text) };
        assert_eq!(edit("a", &whole("a\0".to_owned())), Err(EditError::Nul));
        assert_eq!(edit("a", &whole("b".repeat(MOST_BYTES + 1))), Err(EditError::TooLong(MOST_BYTES + 1)));
        assert_eq!(
            edit("a", &EditKernel { change: " \n".to_owned(), ..whole("b".to_owned()) }),
            Err(EditError::NoName)
        );
    }

    #[test]
    fn a_change_becomes_one_bounded_line() {
        assert_eq!(change_line(" tile\n8 \u{1b}[31m "), "tile 8 [31m");
        assert_eq!(change_line(&"x".repeat(500)).chars().count(), MOST_CHANGE);
    }
}
