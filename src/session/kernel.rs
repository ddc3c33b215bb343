//! The kernel file: at every instant the incumbent or the one change in flight, and nobody else's text is lost.

use std::path::Path;
use std::time::Instant;

use super::driver::Session;
use super::error::SessionError;
use crate::journal::{FileError, create_folder};
use crate::protocol::{Caller, ContentHash, Event, Pending, RevertCause};
use crate::tools::change_line;

impl Session {
    /// Looks whether the kernel file holds what the journal says. A text of somebody else's is saved, and the journal's put
    /// back: what is measured comes from the snapshots, and never from the file. Once the run is over, the file is its owner's.
    pub(super) fn guard_kernel(&mut self) -> Result<(), SessionError> {
        if self.state.stop.is_some() {
            return Ok(());
        }
        let path = self.workspace.kernel_path().to_path_buf();
        let found = match std::fs::read(&path) {
            Ok(bytes) => ContentHash::of(&bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => ContentHash::of(b""),
            Err(error) => return Err(SessionError::io("read", &path)(error)),
        };
        let expected = self.state.expected_kernel();
        // While a write is pending, the file may still hold the text from before it.
        let before = match self.state.pending {
            Some(Pending::Edit { .. }) => self.state.incumbent,
            Some(Pending::Revert { to, .. }) => to,
            _ => expected,
        };
        if found == expected || found == before {
            return Ok(());
        }
        if found != self.state.incumbent {
            let rescued = rescue(&path, &self.folder, found)?;
            tracing::warn!(%found, rescued, "the kernel file was edited by somebody else");
            self.record(Event::OutsideEdit { found, rescued })?;
        }
        self.write_kernel(expected)
    }

    /// Returns the text that the kernel file holds by the journal's account.
    pub(super) fn kernel_text(&self) -> Result<String, SessionError> {
        self.text(self.state.expected_kernel())
    }

    /// Returns a text that the run keeps.
    pub(super) fn text(&self, hash: ContentHash) -> Result<String, SessionError> {
        Ok(String::from_utf8_lossy(&self.snapshots.get(hash)?).into_owned())
    }

    /// Puts a kept text into the kernel file.
    fn write_kernel(&self, hash: ContentHash) -> Result<(), SessionError> {
        Ok(self.workspace.write_kernel(&self.snapshots.get(hash)?)?)
    }

    /// Makes the iteration's one change.
    pub(super) fn edit(&mut self, call: &str, change: &str, text: &str) -> Result<(), SessionError> {
        let to = self.snapshots.put(text.as_bytes())?;
        let from = self.state.incumbent;
        self.record(Event::EditStarted { call: call.to_owned(), change: change_line(change), from, to })?;
        self.write_edit(to)
    }

    pub(super) fn write_edit(&mut self, to: ContentHash) -> Result<(), SessionError> {
        let begun = Instant::now();
        self.write_kernel(to)?;
        self.record(Event::EditFinished { overhead_us: micros_since(begun) })
    }

    /// Puts the incumbent back.
    pub(super) fn revert(&mut self, by: Caller, cause: RevertCause) -> Result<(), SessionError> {
        let Some(from) = self.state.in_flight else { return Ok(()) };
        let to = self.state.incumbent;
        self.record(Event::RevertStarted { by, cause, from, to })?;
        self.write_revert(to)
    }

    pub(super) fn write_revert(&mut self, to: ContentHash) -> Result<(), SessionError> {
        let begun = Instant::now();
        self.write_kernel(to)?;
        self.record(Event::RevertFinished { overhead_us: micros_since(begun) })
    }
}

/// Copies somebody else's text into the run's folder, and returns its place there.
fn rescue(kernel: &Path, folder: &Path, found: ContentHash) -> Result<String, FileError> {
    let rescued = folder.join("rescued");
    create_folder(&rescued)?;
    let extension = kernel.extension().map_or(String::new(), |ext| format!(".{}", ext.to_string_lossy()));
    let name = format!("{}{extension}", found.short());
    let to = rescued.join(&name);
    match std::fs::copy(kernel, &to) {
        Ok(_) => {}
        // The file was removed: there is no text to save, and an empty one says so.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::write(&to, b"").map_err(FileError::because("write", &to))?;
        }
        Err(error) => return Err(FileError::because("copy the kernel to", &to)(error)),
    }
    std::fs::File::open(&to).and_then(|file| file.sync_data()).map_err(FileError::because("sync", &to))?;
    Ok(format!("rescued/{name}"))
}

/// Returns the microseconds since `begun`.
pub(super) fn micros_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
