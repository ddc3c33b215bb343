//! The record of a measurement, as it lies in the run's folder.

use std::path::{Component, Path, PathBuf};
use std::str;

use serde_json::Value;

use super::divergence::Disagreement;
use crate::artifact;
use crate::journal::Pages;
use crate::protocol::{ArtifactRef, Hashing};
use crate::tools::Recorded;

/// What a measurement left, read and held against its hash.
pub(super) struct Evidence {
    pub(super) filed: Filed,
    /// What the result says, or why it says nothing.
    pub(super) recorded: Result<Recorded, String>,
}

/// An artifact as it lies on the disk.
#[derive(Default)]
pub(super) struct Filed {
    pub(super) path: String,
    /// As much of its text, in bytes, as the journal tells of.
    pub(super) told: usize,
    /// What stands behind that: analyses.
    pub(super) rest: String,
    /// The hash of those bytes.
    pub(super) hashing: Hashing,
}

/// Where a run's measurements lie.
pub(super) struct Files {
    folder: PathBuf,
    text: Pages,
    beside: Pages,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), text: Pages::default(), beside: Pages::default() }
    }

    /// Reads the artifact of a measurement, and the result in it. Analyses may stand behind it by now.
    pub(super) fn fetch(&mut self, artifact: &ArtifactRef) -> Result<Box<Evidence>, Disagreement> {
        self.read(artifact).map(Box::new).map_err(|today| {
            Disagreement::new(format!("the artifact {} hashes to {}", artifact.path, artifact.hash), today)
        })
    }

    fn read(&mut self, artifact: &ArtifactRef) -> Result<Evidence, String> {
        let path = self.folder.join(&artifact.path);
        let bytes = self.text.read(&path).map_err(|error| format!("it cannot be read: {error}"))?;
        let text = str::from_utf8(bytes).map_err(|_| "it cannot be read: stream did not contain valid UTF-8")?;
        let body = artifact::body(text);
        let mut hashing = Hashing::default();
        hashing.update(body.as_bytes());
        let found = hashing.hash();
        if found != artifact.hash {
            return Err(format!("without its analyses it hashes to {found}: somebody edited it"));
        }
        let parsed = artifact::parse_around(body).map_err(|error| format!("it is no artifact any more: {error}"))?;
        let result = parsed.json_result;
        let beside = self.beside.read(&path.with_extension("json"));
        same_beside(beside.map_err(|error| format!("its `.json` cannot be read: {error}"))?, result)?;
        let recorded = Recorded::read(result);
        let (told, rest) = (body.len(), text.get(body.len()..).unwrap_or_default().to_owned());
        Ok(Evidence { filed: Filed { path: artifact.path.clone(), told, rest, hashing }, recorded })
    }
}

/// Tells whether a path leads nowhere but down: any other is no artifact's, whatever the journal says, and is left alone.
pub(super) fn leads_down(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Looks whether the raw result beside an artifact is the `result` in it: the same bytes, as they are written, or else the
/// same value.
fn same_beside(beside: &[u8], result: &str) -> Result<(), String> {
    if beside.strip_suffix(b"\n") == Some(result.as_bytes()) {
        return Ok(());
    }
    let beside: Value = serde_json::from_slice(beside).map_err(|error| format!("its `.json` is no JSON: {error}"))?;
    let result: Value = serde_json::from_str(result).map_err(|error| format!("its result is no JSON: {error}"))?;
    if beside == result {
        Ok(())
    } else {
        Err("the `.json` beside it has another result: somebody edited it".to_owned())
    }
}
