//! The loop.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::claim::Claim;
use super::error::SessionError;
use super::queue::WallEnd;
use super::transcript::Transcript;
use super::wish::StopFlag;
use super::{deploy, marks};
use crate::journal::{Journal, Snapshots, atomic_write};
use crate::mission::Mission;
use crate::model::{CallResult, Model};
use crate::protocol::{Caller, Decision, Event, Forbidden, Patience, Pending, RevertCause, RunState, Step, StopReason};
use crate::report::{Liveness, Observer, Report};
use crate::tools::{Bench, Readable};
use crate::workspace::Workspace;

/// One run in the hands of this process.
pub struct Session {
    pub(super) state: RunState,
    pub(super) journal: Journal<Event>,
    pub(super) snapshots: Snapshots,
    pub(super) workspace: Workspace,
    pub(super) bench: Bench,
    pub(super) wall_end: WallEnd,
    pub(super) model: Box<dyn Model>,
    pub(super) patience: Patience,
    pub(super) mission: Mission,
    pub(super) forbidden: Forbidden,
    pub(super) readable: Readable,
    pub(super) transcript: Transcript,
    pub(super) folder: PathBuf,
    pub(super) observer: Box<dyn Observer>,
    pub(super) stop: StopFlag,
    pub(super) results: Vec<CallResult>,
    /// What a compiler said of the last text, until the model has been told.
    pub(super) compiled: Option<String>,
    pub(super) _claim: Claim,
}

impl Session {
    /// Goes on until the run is over, and returns why it is.
    ///
    /// Dropping the future ends the session at once and leaves the run resumable.
    ///
    /// # Errors
    /// Where the run's own files, the kernel or the repository cannot be read or written: the run is then resumable too.
    pub async fn run(&mut self) -> Result<StopReason, SessionError> {
        loop {
            self.notice_stop()?;
            self.guard_kernel()?;
            match self.state.next(now()) {
                Step::Redo(pending) => self.redo(pending).await?,
                Step::Deploy => self.deploy().await?,
                Step::Measure(spec) => self.measure(spec).await?,
                Step::AnalyseBaseline => self.analyse_baseline()?,
                Step::Call(raw) => self.call(raw).await?,
                Step::Ask => self.ask().await?,
                Step::Revert(cause) => self.revert(Caller::Code, cause)?,
                Step::Commit => self.commit()?,
                Step::Finish(cause) => self.finish(cause)?,
                Step::Close(reason) => self.record(Event::Closing { reason })?,
                Step::Stop(reason) => self.record(Event::RunStopped { reason })?,
                Step::Over => return self.over(),
            }
        }
    }

    /// Returns the state of the run.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Returns the run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folds an event, writes it into the journal, and shows it.
    ///
    /// The fold comes first, so that an event which cannot follow never reaches the disk. Where the disk then refuses it,
    /// the session ends, and the run goes on from what the disk holds.
    pub(super) fn record(&mut self, event: Event) -> Result<(), SessionError> {
        let now = now();
        let before = self.state.moment();
        self.state.apply(now, &event).map_err(|source| SessionError::Fold { folder: self.folder.clone(), source })?;
        let appended = self.journal.append(now, &event)?;
        self.observer.event(&before, &event, &appended.line, &self.state);
        Ok(())
    }

    /// Takes up the user's wish to stop, whether it came by a signal or by `agent stop`.
    fn notice_stop(&mut self) -> Result<(), SessionError> {
        if self.state.stop_requested.is_some() || self.state.stop.is_some() {
            return Ok(());
        }
        let Some(by) = self.stop.wished() else { return Ok(()) };
        self.record(Event::StopRequested { by })?;
        self.stop.taken();
        Ok(())
    }

    /// Carries an interrupted intent out again: each step is made so that twice is as good as once.
    async fn redo(&mut self, pending: Pending) -> Result<(), SessionError> {
        match pending {
            Pending::Deploy { command, watched } => self.run_deploy(&command, watched).await,
            Pending::Turn => self.answer().await,
            Pending::Edit { to } => self.write_edit(to),
            Pending::Measure(spec) => self.run_measurement(*spec).await,
            Pending::Analysis { artifact, length, timestamp, analysis } => {
                self.write_analysis(&artifact, length, timestamp, &analysis)
            }
            Pending::Revert { to, .. } => self.write_revert(to),
            Pending::Commit { kernel, parent, message, timestamp } => {
                self.write_commit(kernel, parent.as_deref(), &message, timestamp)
            }
        }
    }

    async fn deploy(&mut self) -> Result<(), SessionError> {
        let (Some(deploy), Some(watched)) = (self.state.run.terms.deploy.clone(), self.state.run.deploy_due) else {
            return self.record(Event::Blocked { message: "a deploy is due, and the mission has none".to_owned() });
        };
        self.record(Event::DeployStarted { command: deploy.command.clone(), watched })?;
        self.run_deploy(&deploy.command, watched).await
    }

    async fn run_deploy(&mut self, command: &str, watched: crate::protocol::ContentHash) -> Result<(), SessionError> {
        let needed = self.bench.runner.deployable();
        let finished = deploy::run(self.workspace.repo_root(), command, needed.as_ref()).await;
        if finished.exit_code == 0 {
            deploy::remember(&self.workspace.repo_root().join("artifacts"), command, watched)?;
        }
        self.record(Event::DeployFinished { exit_code: finished.exit_code, output: finished.output })
    }

    /// Closes the iteration.
    fn finish(&mut self, cause: Option<RevertCause>) -> Result<(), SessionError> {
        let decision = if cause.is_none() { Decision::Keep } else { Decision::Revert };
        self.record(Event::IterationFinished { iteration: self.state.iteration, decision, cause })?;
        if decision == Decision::Keep {
            marks::write(&self.folder, &self.state)?;
            self.write_page();
        }
        Ok(())
    }

    /// Writes the last views: at the run's end, or for whoever resumes a run whose process died right behind its last event.
    fn over(&self) -> Result<StopReason, SessionError> {
        marks::write(&self.folder, &self.state)?;
        self.write_page();
        Ok(self.state.stop.clone().unwrap_or(StopReason::User))
    }

    /// Writes the report as a page. It is a view: where it cannot be written, the run is none the worse.
    fn write_page(&self) {
        let page = Report::new(&self.state, now(), Liveness::Live, &self.folder).html();
        if let Err(error) = atomic_write(&self.folder.join("report.html"), page.as_bytes()) {
            tracing::warn!("the report's page was not written: {error}");
        }
    }
}

/// Returns the time to the millisecond, as the journal keeps it.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
