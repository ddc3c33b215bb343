//! Cases, and the file in which `eval.py` finds them: one a line, `size: 1024; seed: 5531`.

use super::yaml::{Node, Yaml};
use crate::harness::HarnessError;

/// A case as a line of the cases file. It is also the case's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case(pub(super) String);

/// Reads a list of cases.
pub(super) fn read(list: &Node<'_>) -> Result<Vec<Case>, HarnessError> {
    let entries = list.list()?;
    if entries.is_empty() {
        return Err(list.bad("has no cases, which proves nothing; add one, such as `- {size: 1024, seed: 5531}`"));
    }
    let mut cases = Vec::new();
    for entry in entries {
        let case = line(&entry)?;
        if cases.contains(&case) {
            return Err(entry.bad(format_args!("`{}` stands here twice; remove one of the two", case.0)));
        }
        cases.push(case);
    }
    Ok(cases)
}

/// Returns the text of the cases file.
pub(super) fn file(cases: &[Case]) -> Vec<u8> {
    cases.iter().map(|case| format!("{}\n", case.0)).collect::<String>().into_bytes()
}

fn line(entry: &Node<'_>) -> Result<Case, HarnessError> {
    let map = entry.map()?;
    if map.is_empty() {
        return Err(entry.bad("has no parameters; write some, such as `{size: 1024, seed: 5531}`"));
    }
    let mut parts = Vec::new();
    for (name, value) in map {
        let at = entry.get(name)?.unwrap_or_else(|| entry.clone());
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(at.bad("is no name of a parameter; use letters, digits and `_`"));
        }
        let Some(value) = as_python(value, Place::Parameter) else {
            return Err(at.bad(
                "cannot stand in a line of the cases file; use numbers, truth values, short texts without `;`, or lists of them",
            ));
        };
        parts.push(format!("{name}: {value}"));
    }
    Ok(Case(parts.join("; ")))
}

/// Where a value stands: Python shows a text in quotes inside a list, and without them elsewhere.
#[derive(Clone, Copy)]
enum Place {
    Parameter,
    List,
}

/// Returns a value as Python prints it, since the cases file has always been written by Python; `None` where the line would
/// not read back.
fn as_python(value: &Yaml, place: Place) -> Option<String> {
    match value {
        Yaml::Null => Some("None".to_owned()),
        Yaml::Bool(true) => Some("True".to_owned()),
        Yaml::Bool(false) => Some("False".to_owned()),
        Yaml::Int(number) => Some(number.to_string()),
        Yaml::Float(number) => number.is_finite().then(|| format!("{number:?}")),
        Yaml::Text(text) => {
            let fits = !text.trim().is_empty()
                && text.chars().count() <= 200
                && !text.contains([';', '\'', '\\'])
                && !text.contains(char::is_control);
            fits.then(|| match place {
                Place::Parameter => text.clone(),
                Place::List => format!("'{text}'"),
            })
        }
        Yaml::List(list) => {
            let items: Option<Vec<String>> = list.iter().map(|item| as_python(item, Place::List)).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Yaml::Map(_) => None,
    }
}
