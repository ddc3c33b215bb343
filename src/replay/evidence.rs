//! The record of a measurement, as it lies in the run's folder.

use std::fs;
use std::path::{Component, Path};

use serde_json::Value;

use super::divergence::Disagreement;
use crate::artifact;
use crate::protocol::{ArtifactRef, Hashing};
use crate::tools::Recorded;

/// What a measurement left, read and held against its hash.
pub(super) struct Evidence {
    pub(super) filed: Filed,
    /// What the result says, or why it says nothing.
    pub(super) recorded: Result<Recorded, String>,
}

/// An artifact as it lies on the disk.
pub(super) struct Filed {
    pub(super) path: String,
    pub(super) text: String,
    /// As much of it, in bytes, as the journal tells of.
    pub(super) told: usize,
    /// The hash of those bytes.
    pub(super) hashing: Hashing,
}

impl Evidence {
    /// Reads the artifact of a measurement, and the result in it. Analyses may stand behind it by now.
    pub(super) fn fetch(folder: &Path, artifact: &ArtifactRef) -> Result<Box<Self>, Disagreement> {
        read(folder, artifact).map(Box::new).map_err(|today| {
            Disagreement::new(format!("the artifact {} hashes to {}", artifact.path, artifact.hash), today)
        })
    }
}

/// Tells whether a path leads nowhere but down: any other is no artifact's, whatever the journal says, and is left alone.
pub(super) fn leads_down(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn read(folder: &Path, artifact: &ArtifactRef) -> Result<Evidence, String> {
    let path = folder.join(&artifact.path);
    let text = fs::read_to_string(&path).map_err(|error| format!("it cannot be read: {error}"))?;
    let body = artifact::body(&text);
    let mut hashing = Hashing::default();
    hashing.update(body.as_bytes());
    let found = hashing.hash();
    if found != artifact.hash {
        return Err(format!("without its analyses it hashes to {found}: somebody edited it"));
    }
    let parsed = artifact::parse_around(body).map_err(|error| format!("it is no artifact any more: {error}"))?;
    let result = parsed.json_result;
    same_beside(&path, result)?;
    let recorded = Recorded::read(result);
    let told = body.len();
    Ok(Evidence { filed: Filed { path: artifact.path.clone(), text, told, hashing }, recorded })
}

/// Looks whether the raw result beside an artifact is the `result` in it: the same bytes, as they are written, or else the
/// same value.
fn same_beside(path: &Path, result: &str) -> Result<(), String> {
    let beside =
        fs::read(path.with_extension("json")).map_err(|error| format!("its `.json` cannot be read: {error}"))?;
    if beside.strip_suffix(b"\n") == Some(result.as_bytes()) {
        return Ok(());
    }
    let beside: Value = serde_json::from_slice(&beside).map_err(|error| format!("its `.json` is no JSON: {error}"))?;
    let result: Value = serde_json::from_str(result).map_err(|error| format!("its result is no JSON: {error}"))?;
    if beside == result {
        Ok(())
    } else {
        Err("the `.json` beside it has another result: somebody edited it".to_owned())
    }
}
