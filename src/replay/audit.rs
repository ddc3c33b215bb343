//! The walk over the journal.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::ahead::{self, Entry};
use super::divergence::{Disagreement, Divergence, name};
use super::evidence::{Evidence, Filed, Files};
use super::replayed::Replayed;
use super::shelf::Shelf;
use super::step::{is_of_the_world, step_of};
use crate::journal::{JournalError, Record};
use crate::mission::RunnerChoice;
use crate::protocol::{ContentHash, Event, Forbidden, Pending, RunStarted, RunState, Step, Terms};
use crate::runner::Modal;
use crate::session::{SessionError, recorded_mission};
use crate::workspace::Workspace;

/// Makes every refusal, verdict and decision of the run in `folder` again, up to where its journal ends or today's code says
/// something else. Nothing is changed, and a run that is under way may be replayed as well.
///
/// # Errors
/// Where there is no journal, it is newer than this program, or it does not begin with a run. A damaged line is a
/// divergence.
pub fn replay(folder: &Path) -> Result<Replayed, SessionError> {
    let mut audit: Option<(Audit, RunState)> = None;
    let read = ahead::read(folder, |Entry { record, evidence }| match &mut audit {
        Some((audit, state)) => audit.take(state, record, evidence),
        None => {
            let state = RunState::start(record.time, &record.event)
                .map_err(|source| End::Error(SessionError::NoStart { folder: folder.to_owned(), source }))?;
            let (audit, state) = audit.insert((Audit::new(folder, &state), state));
            audit.start(state).map_err(|disagreement| audit.diverge(record, disagreement))
        }
    });
    let ended = match read {
        Ok(opened) => Ok(opened.torn_bytes),
        Err(End::Diverged(divergence)) => Err(divergence),
        Err(End::Error(SessionError::Journal(error @ JournalError::Damaged { line, .. }))) => Err(Divergence {
            seq: line,
            event: "a damaged line".to_owned(),
            journal: error.to_string(),
            today: "its events cannot be told".to_owned(),
        }),
        Err(End::Error(error)) => return Err(error),
    };
    let mut found = audit.map_or_else(Replayed::default, |(audit, state)| audit.found(&state));
    match ended {
        Ok(torn_bytes) => found.torn_bytes = torn_bytes,
        Err(divergence) => found.divergence = Some(divergence),
    }
    Ok(found)
}

/// What ends the walk before the journal does.
enum End {
    Diverged(Divergence),
    Error(SessionError),
}

impl From<JournalError> for End {
    fn from(error: JournalError) -> Self {
        Self::Error(error.into())
    }
}

/// What the walk needs beside the state.
pub(super) struct Audit {
    pub(super) forbidden: Forbidden,
    pub(super) repo_root: PathBuf,
    /// The run's folder at the time: it may have been moved since.
    pub(super) written_in: PathBuf,
    pub(super) shelf: Shelf,
    /// The artifact of the last measurement.
    pub(super) filed: Option<Filed>,
    pub(super) found: Replayed,
    /// For the evidence that nobody had time to read ahead.
    pub(super) files: Files,
    folder: PathBuf,
    workspace: Option<Workspace>,
}

impl Audit {
    fn new(folder: &Path, state: &RunState) -> Self {
        let run = &state.run;
        let repo_root = PathBuf::from(&run.repo_root);
        Self {
            forbidden: Forbidden::new(&run.terms.forbidden),
            written_in: repo_root.join("artifacts").join(run.run_id.as_str()),
            shelf: Shelf::new(folder),
            filed: None,
            found: Replayed { run_id: run.run_id.to_string(), program: run.program.clone(), ..Replayed::default() },
            files: Files::new(folder),
            folder: folder.to_owned(),
            workspace: Workspace::open(&repo_root, Path::new(&run.kernel)).ok(),
            repo_root,
        }
    }

    fn found(&self, state: &RunState) -> Replayed {
        Replayed {
            iterations: state.ledger.len() as u64,
            stop_reason: state.stop.as_ref().map(|stop| stop.code()),
            ..self.found.clone()
        }
    }

    fn diverge(&self, record: &Record<Event>, disagreement: Disagreement) -> End {
        let Disagreement { journal, today } = disagreement;
        End::Diverged(Divergence { seq: record.seq, event: name(&record.event), journal, today })
    }

    /// Holds the run's terms against its mission, and looks whether the kernel as found is there.
    fn start(&mut self, state: &RunState) -> Result<(), Disagreement> {
        self.shelf.snapshot(state.run.baseline)?;
        let mission = recorded_mission(&self.folder, &state.run)
            .map_err(|error| Disagreement::new("the mission's text gives the run's terms", error.to_string()))?;
        same_terms(&state.run, mission.terms)?;
        self.found.events += 1;
        Ok(())
    }

    /// Takes the next event.
    fn take(
        &mut self,
        state: &mut RunState,
        record: &Record<Event>,
        evidence: &mut Option<Result<Box<Evidence>, Disagreement>>,
    ) -> Result<(), End> {
        let Record { time, event, .. } = record;
        let checked = self.check(state, *time, event, evidence);
        checked.map_err(|disagreement| self.diverge(record, disagreement))?;
        state
            .apply(*time, event)
            .map_err(|error| self.diverge(record, Disagreement::with(event, error.to_string())))?;
        self.found.events += 1;
        Ok(())
    }

    fn check(
        &mut self,
        state: &RunState,
        time: Timestamp,
        event: &Event,
        evidence: &mut Option<Result<Box<Evidence>, Disagreement>>,
    ) -> Result<(), Disagreement> {
        if is_of_the_world(event) {
            return Ok(());
        }
        let step = step_of(state, time, event).map_err(|today| Disagreement::with(event, today))?;
        if let Step::Call(raw) = step {
            self.call(state, raw, event)?;
        }
        match event {
            Event::MeasureFinished { outcome, artifact, .. } => self.measurement(state, outcome, artifact, evidence),
            Event::AnalysisStarted { artifact, length, .. } => self.analysis_started(artifact, *length),
            Event::AnalysisFinished { artifact, .. } => self.analysis_finished(state, artifact),
            Event::CommitFinished { sha } => self.commit(state, sha),
            Event::IterationFinished { .. } | Event::RunStopped { .. } => self.all_told(),
            _ => Ok(()),
        }
    }

    /// Looks whether the commit holds the text that was measured.
    fn commit(&mut self, state: &RunState, sha: &str) -> Result<(), Disagreement> {
        let Some(Pending::Commit { kernel, .. }) = &state.pending else { return Ok(()) };
        let Some(Ok(committed)) = self.workspace.as_ref().map(|workspace| workspace.kernel_at(sha)) else {
            self.found.commits_out_of_reach += 1;
            return Ok(());
        };
        let found = committed.map(|text| ContentHash::of(&text));
        if found != Some(*kernel) {
            let journal = format!("the commit {sha} holds the kernel {kernel}");
            let today = found.map_or("it holds no kernel".to_owned(), |found| format!("it holds {found}"));
            return Err(Disagreement::new(journal, today));
        }
        self.found.commits += 1;
        Ok(())
    }
}

/// Compares the terms in the journal with the mission's. The command line may have set another number of iterations, and what
/// is deployed may be what the runner needs.
fn same_terms(run: &RunStarted, mut today: Terms) -> Result<(), Disagreement> {
    today.budget.iterations = run.terms.budget.iterations;
    if run.runner == RunnerChoice::Modal.as_str() && today.deploy.is_none() && run.terms.deploy.is_some() {
        today.deploy = Some(Modal::step());
    }
    if today == run.terms {
        return Ok(());
    }
    let value = |terms: &Terms| serde_json::to_value(terms).unwrap_or_default();
    Disagreement::between("terms", &value(&run.terms), &value(&today)).map_or(Ok(()), Err)
}
