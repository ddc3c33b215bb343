//! The variables of a prompt: `<name>`, where the name is of lowercase letters, digits and `_`.
//!
//! A prompt may declare its variables in a list under a line `Variables:`, whose items begin with the name in backticks;
//! then these alone are variables, and any other `<word>` is text. Otherwise every `<name>` is one. A backslash before it
//! makes `\<name>` text. What a value contains is never expanded again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::document::Document;
use super::error::{At, MissionError};
use super::keys::closest;
use super::settings::{REPO_ROOT, known_names};

/// A `<name>` in a prompt.
struct Token<'a> {
    /// What stands before it, since the token before.
    text: &'a str,
    name: &'a str,
    escaped: bool,
}

/// A prompt whose variables have their values.
pub(super) struct Rendered {
    pub(super) prompt: String,
    /// The variables it has.
    pub(super) used: BTreeSet<String>,
}

/// Returns the body of `document` with its variables replaced by `values`.
pub(super) fn render(
    path: &Path,
    document: &Document,
    values: &BTreeMap<String, String>,
) -> Result<Rendered, MissionError> {
    let declared = declared(&document.body);
    let is_variable = |name: &str| declared.as_ref().is_none_or(|names| names.contains(name));
    let (tokens, tail) = tokens(&document.body);
    let mut rendered = Rendered { prompt: String::new(), used: BTreeSet::new() };
    let mut line = document.body_line;
    for Token { text, name, escaped } in tokens {
        line += text.matches('\n').count();
        let at = || At::line(path, line);
        match (escaped, is_variable(name)) {
            (true, true) => {
                rendered.prompt.push_str(text.strip_suffix('\\').unwrap_or(text));
                rendered.prompt.push_str(&format!("<{name}>"));
            }
            (false, true) => {
                let unbound = || MissionError::Unbound { at: at(), name: name.to_owned(), hint: unbound(name, values) };
                rendered.prompt.push_str(text);
                rendered.prompt.push_str(values.get(name).ok_or_else(unbound)?);
                rendered.used.insert(name.to_owned());
            }
            (_, false) => {
                if let Some(hint) = declared.as_ref().filter(|_| !escaped).and_then(|list| mistaken(name, list, values))
                {
                    return Err(MissionError::Undeclared { at: at(), name: name.to_owned(), hint });
                }
                rendered.prompt.push_str(text);
                rendered.prompt.push_str(&format!("<{name}>"));
            }
        }
    }
    rendered.prompt.push_str(tail);
    Ok(rendered)
}

/// Tells whether `text` can name a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns the tokens of `body`, and what stands after the last of them.
fn tokens(body: &str) -> (Vec<Token<'_>>, &str) {
    let mut tokens = Vec::new();
    let mut done = 0;
    for (start, _) in body.match_indices('<') {
        let after = body.get(start + 1..).unwrap_or_default();
        if let Some((name, _)) = after.split_once('>').filter(|(name, _)| is_name(name)) {
            let text = body.get(done..start).unwrap_or_default();
            tokens.push(Token { text, name, escaped: text.ends_with('\\') });
            done = start + name.len() + 2;
        }
    }
    (tokens, body.get(done..).unwrap_or_default())
}

/// Returns the variables that the body's list declares; `None` where it has no such list.
fn declared(body: &str) -> Option<BTreeSet<&str>> {
    let is_head = |line: &str| line.trim_matches(['#', '*', '_', ' ', '\t']) == "Variables:";
    let mut lines = body.lines().skip_while(|line| !is_head(line));
    lines.next()?;
    let is_of_list = |line: &&str| line.trim().is_empty() || line.starts_with([' ', '\t']) || item(line).is_some();
    let names: BTreeSet<&str> = lines.take_while(is_of_list).filter_map(item).collect();
    (!names.is_empty()).then_some(names)
}

/// Returns the variable with which an item of a list begins.
fn item(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let text = text.strip_prefix("- ").or_else(|| text.strip_prefix("* "))?;
    let (name, _) = text.trim_start().strip_prefix("`<")?.split_once(">`")?;
    is_name(name).then_some(name)
}

fn unbound(name: &str, values: &BTreeMap<String, String>) -> String {
    let text = format!("or `\\<{name}>` if it is meant as text");
    match closest(name, values.keys().map(String::as_str)) {
        Some(close) => format!("did you mean <{close}>? Otherwise give it with --var {name}=VALUE, {text}"),
        None => format!("give it with --var {name}=VALUE or under `vars`, {text}"),
    }
}

/// Returns the remedy where the undeclared `name` was likely meant as a variable.
fn mistaken(name: &str, declared: &BTreeSet<&str>, values: &BTreeMap<String, String>) -> Option<String> {
    if values.contains_key(name) || known_names().any(|known| known == name) {
        return Some(format!("add an item - `<{name}>` to it, or write `\\<{name}>` if it is meant as text"));
    }
    let aliases = ["kernel_path", "harness_path", REPO_ROOT, "target_metric_us", "metric_name"];
    let close = closest(name, declared.iter().copied().chain(aliases))?;
    Some(format!("did you mean <{close}>?"))
}
