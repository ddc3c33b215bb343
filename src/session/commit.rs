//! KEEP: the measured text becomes a commit on the run's branch, with its evidence.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::driver::{Session, now};
use super::error::SessionError;
use crate::protocol::{ContentHash, Event, RunState};
use crate::workspace::CommitSpec;

impl Session {
    /// Commits the change in flight.
    pub(super) fn commit(&mut self) -> Result<(), SessionError> {
        let Some(kernel) = self.state.in_flight else { return Ok(()) };
        let parent = match &self.state.tip {
            Some(tip) => Some(tip.clone()),
            None => self.state.run.base_commit.clone(),
        };
        let message = message(&self.state);
        let timestamp = now();
        self.record(Event::CommitStarted { kernel, parent: parent.clone(), message: message.clone(), timestamp })?;
        self.write_commit(kernel, parent.as_deref(), &message, timestamp)
    }

    pub(super) fn write_commit(
        &mut self,
        kernel: ContentHash,
        parent: Option<&str>,
        message: &str,
        time: Timestamp,
    ) -> Result<(), SessionError> {
        let text = self.snapshots.get(kernel)?;
        let base = self.state.run.base_commit.as_deref();
        let run_id = &self.state.run.run_id;
        let parent = match (&self.state.tip, self.foreign_baseline(base)?) {
            (None, Some(baseline)) => {
                // What the user had not committed must not pass for the run's own gain.
                let message = "the kernel as found, before any change";
                let spec = CommitSpec { run_id, base, parent, text: &baseline, message, time };
                Some(self.workspace.commit_kernel(&spec)?)
            }
            _ => parent.map(str::to_owned),
        };
        let spec = CommitSpec { run_id, base, parent: parent.as_deref(), text: &text, message, time };
        let sha = self.workspace.commit_kernel(&spec)?;
        self.record(Event::CommitFinished { sha })
    }

    /// Returns the baseline's text where the base commit has another.
    fn foreign_baseline(&self, base: Option<&str>) -> Result<Option<Vec<u8>>, SessionError> {
        let committed = match base {
            Some(sha) => self.workspace.kernel_at(sha)?,
            None => None,
        };
        let baseline = self.snapshots.get(self.state.run.baseline)?;
        Ok((committed.as_ref() != Some(&baseline)).then_some(baseline))
    }
}

/// Returns the message of the commit: the change, the figures, and the records with their hashes.
fn message(state: &RunState) -> String {
    let current = &state.current;
    let mut text = format!("{}\n\n", if current.change.is_empty() { "a faster kernel" } else { &current.change });
    if let Some(evidence) = &current.confirmation {
        let outcome = crate::report::outcome_text(&evidence.outcome, state.run.terms.metric);
        let _ = writeln!(text, "final benchmark: {outcome}\n");
    }
    let _ = writeln!(text, "Afterhours-Run: {}", state.run.run_id);
    let _ = writeln!(text, "Afterhours-Iteration: {}", state.iteration);
    if let Some(kernel) = state.in_flight {
        let _ = writeln!(text, "Afterhours-Kernel: {kernel}");
    }
    for evidence in current.all_evidence() {
        let _ = writeln!(text, "Afterhours-Artifact: {} {}", evidence.artifact.path, evidence.artifact.hash);
    }
    text
}
