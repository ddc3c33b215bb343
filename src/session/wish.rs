//! The user's wish to stop.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::protocol::StopSource;

/// The time between two looks for the file, while the session waits for something else.
const LOOK: Duration = Duration::from_millis(100);

/// The user's wish to stop, as it reaches a session: by a signal to this process, or by a file that `agent stop` leaves.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    signal: Rc<Cell<bool>>,
    file: PathBuf,
}

impl StopFlag {
    /// The name of the file in a run's folder by which `agent stop` asks.
    pub const FILE: &'static str = "stop-requested";

    /// Notes that a signal came.
    pub fn signal(&self) {
        self.signal.set(true);
    }

    /// Returns the wish, where there is one.
    pub(super) fn wished(&self) -> Option<StopSource> {
        if self.signal.get() {
            Some(StopSource::Signal)
        } else if self.file.exists() {
            Some(StopSource::Command)
        } else {
            None
        }
    }

    /// Returns once there is a wish.
    pub(super) async fn wish(&self) {
        while self.wished().is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The wish is in the journal: the file has done its work.
    pub(super) fn taken(&self) {
        self.signal.set(false);
        let _ = std::fs::remove_file(&self.file);
    }

    pub(super) fn watching(&self, folder: &Path) -> Self {
        Self { signal: Rc::clone(&self.signal), file: folder.join(Self::FILE) }
    }
}
