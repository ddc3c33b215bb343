//! An artifact as text.

use std::fmt::Write as _;

use serde_json::Value;

use super::error::ArtifactError;
use super::text::{NO_DIFF, TITLE, escape, json, value};
use super::types::{AnalysisEntry, Artifact, Header};

/// The original's keys, in its order.
pub(super) const KEYS: [&str; 11] = [
    "timestamp_utc",
    "mode",
    "repo_root",
    "git_hash",
    "kernel_file",
    "kernel_file_relative",
    "harness_file",
    "profile",
    "gpu",
    "json_out",
    "command",
];

/// Returns the file's text; [`parse`](super::parse()) gives the same artifact back.
///
/// # Errors
/// [`ArtifactError::Unwritable`] for an extra key that is none, or one of the original's, and for a result that nests too
/// deeply.
pub fn render(artifact: &Artifact) -> Result<String, ArtifactError> {
    let mut text = format!("{TITLE}\n");
    header(&mut text, &artifact.header)?;
    let diff = if artifact.diff.is_empty() { NO_DIFF.to_owned() } else { escape(&artifact.diff) };
    text.extend(["\n## Kernel Diff (against git_hash)\n```diff\n", &diff, "\n```\n"]);
    text.extend(["\n## runner output\n", &escape(&artifact.stdout), "\n"]);
    if !artifact.stderr.is_empty() {
        text.extend(["## stderr\n", &escape(&artifact.stderr), "\n"]);
    }
    text.extend(["## exit_code\n", &artifact.exit_code.to_string(), "\n"]);
    text.extend(["\n## json_result\n```json\n", &readable_json(&artifact.json_result)?, "\n```\n"]);
    text.extend(artifact.analyses.iter().map(render_analysis));
    Ok(text)
}

/// Returns the section that is appended for an analysis.
pub fn render_analysis(entry: &AnalysisEntry) -> String {
    let mut text = "\n## Codex Analysis\n".to_owned();
    let analysis = &entry.analysis;
    line(&mut text, "timestamp_utc", &entry.timestamp_utc.to_string());
    line(&mut text, "decision", &analysis.decision.to_string());
    line(&mut text, "summary", &analysis.summary);
    line(&mut text, "feedback", &analysis.feedback);
    line(&mut text, "next_step", &analysis.next_step);
    text
}

fn header(text: &mut String, header: &Header) -> Result<(), ArtifactError> {
    let values = [
        &header.timestamp_utc.to_string(),
        header.mode.as_str(),
        &header.repo_root,
        &header.git_hash,
        &header.kernel_file,
        &header.kernel_file_relative,
        &header.harness_file,
        header.profile.as_str(),
        &header.gpu.0,
        &header.json_out,
        &header.command,
    ];
    for (key, value) in KEYS.into_iter().zip(values) {
        line(text, key, value);
    }
    for (key, value) in &header.extra {
        if !is_extra_key(key) {
            let rule = "use lowercase letters, digits and '_', and none of the original's keys";
            return Err(ArtifactError::Unwritable(format!("{key:?} cannot be an extra key; {rule}")));
        }
        line(text, key, value);
    }
    Ok(())
}

/// Tells whether a key can stand after the original's.
pub(super) fn is_extra_key(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !KEYS.contains(&key)
}

fn line(text: &mut String, key: &str, text_of_key: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key}: {}", value(text_of_key));
}

/// What serde_json writes it does not always read: it stops at a depth that a hostile result can have.
fn readable_json(result: &Value) -> Result<String, ArtifactError> {
    let text = json(result);
    match serde_json::from_str::<Value>(&text) {
        Ok(read) if read == *result => Ok(text),
        Ok(_) => Err(ArtifactError::Unwritable("json_result changes".to_owned())),
        Err(error) => Err(ArtifactError::Unwritable(format!("json_result: {error}"))),
    }
}
