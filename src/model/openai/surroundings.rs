//! Where keys come from: the environment, or a file.

use std::path::Path;

use super::error::OpenAiError;
use super::key::Key;

/// The longest file that is taken for a key, in bytes.
const LONGEST_KEY: usize = 8 * 1024;

/// The world that a mission's settings are read in.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Reads an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The repository's root, where relative paths begin.
    pub root: &'a Path,
}

impl Surroundings<'_> {
    /// Returns the key in an environment variable; an empty one where there is none.
    pub(super) fn key(self, variable: &str) -> Result<Key, OpenAiError> {
        let key = Key::new(&(self.variable)(variable).unwrap_or_default());
        if key.fits_header() { Ok(key) } else { Err(useless(variable, "holds what is no key")) }
    }

    /// Returns the key in an environment variable that must hold one.
    pub(super) fn needed_key(self, variable: &str) -> Result<Key, OpenAiError> {
        let key = self.key(variable)?;
        if key.is_empty() { Err(useless(variable, "is not set, or empty")) } else { Ok(key) }
    }

    /// Returns the key in a file.
    pub(super) fn key_in(self, file: &Path) -> Result<Key, OpenAiError> {
        let path = self.root.join(file);
        let problem = |problem: &str| {
            OpenAiError::Key(format!(
                "the key's file {} {problem}: write the endpoint's key into it, or name another in `api_key_file`",
                path.display()
            ))
        };
        let text = std::fs::read(&path).map_err(|error| problem(&format!("cannot be read ({error})")))?;
        if text.len() > LONGEST_KEY {
            return Err(problem("is too long for a key"));
        }
        let key = Key::new(&String::from_utf8_lossy(&text));
        match () {
            () if key.is_empty() => Err(problem("is empty")),
            () if !key.fits_header() => Err(problem("holds what is no key")),
            () => Ok(key),
        }
    }
}

fn useless(variable: &str, problem: &str) -> OpenAiError {
    OpenAiError::Key(format!(
        "the environment variable {variable} {problem}: set it to the endpoint's key, or name another in `api_key_env`, or \
         a file in `api_key_file`"
    ))
}
