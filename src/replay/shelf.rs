//! The texts of a run, as they lie in the run's folder.

use std::path::Path;
use std::rc::Rc;

use super::divergence::Disagreement;
use crate::journal::{Pages, Snapshots};
use crate::protocol::ContentHash;

/// Where the texts lie.
pub(super) struct Shelf {
    snapshots: Snapshots,
    /// The text that was asked for last: mostly the incumbent, for many changes.
    last: Option<(ContentHash, Rc<str>)>,
    pages: Pages,
}

impl Shelf {
    pub(super) fn new(folder: &Path) -> Self {
        Self { snapshots: Snapshots::new(folder), last: None, pages: Pages::default() }
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

    /// Looks whether the run keeps `text`, whose hash is `hash`.
    pub(super) fn keeps(&mut self, hash: ContentHash, text: &str) -> Result<(), Disagreement> {
        match self.pages.read(&self.snapshots.path(hash)) {
            Ok(kept) if kept == text.as_bytes() => Ok(()),
            _ => self.snapshot(hash).map(drop),
        }
    }

    /// Returns the bytes of a text that the run keeps; they are what their name says.
    pub(super) fn snapshot(&self, hash: ContentHash) -> Result<Vec<u8>, Disagreement> {
        self.snapshots
            .get(hash)
            .map_err(|error| Disagreement::new(format!("the run keeps the text {hash}"), error.to_string()))
    }
}
