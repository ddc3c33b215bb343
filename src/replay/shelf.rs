//! The evidence of a run, as it lies in the run's folder.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::divergence::Disagreement;
use crate::artifact;
use crate::journal::Snapshots;
use crate::protocol::{ArtifactRef, ContentHash};

/// Where the evidence lies, and the time it took to fetch it.
pub(super) struct Shelf {
    folder: PathBuf,
    snapshots: Snapshots,
    /// The text that was asked for last: mostly the incumbent, for many changes.
    last: Option<(ContentHash, Rc<str>)>,
    pub(super) reading: Duration,
}

/// An artifact as it lies on the disk.
pub(super) struct Filed {
    pub(super) path: String,
    pub(super) text: String,
    /// As much of it, in bytes, as the journal tells of.
    pub(super) told: usize,
}

impl Shelf {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), snapshots: Snapshots::new(folder), last: None, reading: Duration::ZERO }
    }

    /// Returns a text that the run keeps.
    pub(super) fn text(&mut self, hash: ContentHash) -> Result<Rc<str>, Disagreement> {
        if let Some((known, text)) = &self.last
            && *known == hash
        {
            return Ok(Rc::clone(text));
        }
        let text: Rc<str> = String::from_utf8_lossy(&self.snapshot(hash)?).into();
        self.last = Some((hash, Rc::clone(&text)));
        Ok(text)
    }

    /// Returns the bytes of a text that the run keeps; they are what their name says.
    pub(super) fn snapshot(&mut self, hash: ContentHash) -> Result<Vec<u8>, Disagreement> {
        let begun = Instant::now();
        let found = self.snapshots.get(hash);
        self.reading += begun.elapsed();
        found.map_err(|error| Disagreement::new(format!("the run keeps the text {hash}"), error.to_string()))
    }

    /// Returns the artifact of a measurement that has just ended, and its result. Analyses may stand behind it by now.
    pub(super) fn artifact(&mut self, artifact: &ArtifactRef) -> Result<(Filed, Value), Disagreement> {
        let begun = Instant::now();
        let found = self.read(artifact);
        self.reading += begun.elapsed();
        found.map_err(|today| {
            Disagreement::new(format!("the artifact {} hashes to {}", artifact.path, artifact.hash), today)
        })
    }

    fn read(&self, artifact: &ArtifactRef) -> Result<(Filed, Value), String> {
        let path = self.folder.join(&artifact.path);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("it cannot be read: {error}"))?;
        let body = artifact::body(&text);
        let found = ContentHash::of(body.as_bytes());
        if found != artifact.hash {
            return Err(format!("without its analyses it hashes to {found}: somebody edited it"));
        }
        let result = artifact::parse(body).map_err(|error| format!("it is no artifact any more: {error}"))?.json_result;
        if self.copy(&artifact.path)? != result {
            return Err("the `.json` beside it has another result: somebody edited it".to_owned());
        }
        let told = body.len();
        Ok((Filed { path: artifact.path.clone(), text, told }, result))
    }

    /// Reads the raw result beside an artifact.
    fn copy(&self, path: &str) -> Result<Value, String> {
        let path = self.folder.join(path).with_extension("json");
        let text = std::fs::read(&path).map_err(|error| format!("its `.json` cannot be read: {error}"))?;
        serde_json::from_slice(&text).map_err(|error| format!("its `.json` is no JSON: {error}"))
    }
}
