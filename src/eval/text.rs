//! Reading a scenario's files.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::EvalError;

/// Returns the text of a scenario's file.
pub(super) fn read(path: &Path) -> Result<String, EvalError> {
    std::fs::read_to_string(path).map_err(EvalError::io("read", path))
}

/// Returns the value of a JSON text, or what is wrong at which key.
pub(super) fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| match error.path().to_string() {
        path if path == "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}
