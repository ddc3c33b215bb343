//! The fold: an event in, the next state out, or an error where the event cannot follow.
//!
//! Every event is checked against the state, so that a journal which reaches KEEP without the evidence does not fold.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use super::event::{Answerer, Caller, Event, RunStarted};
use super::ids::Iteration;
use super::record::Counters;
use super::state::{Current, Due, Pending, Phase, RunState};

/// An event that cannot follow the ones before it.
#[derive(Debug, Error)]
#[error("the event `{event}` cannot follow in phase {}: {why}", phase.name())]
pub struct FoldError {
    event: &'static str,
    phase: Phase,
    why: &'static str,
}

/// The first event of a journal is not a start.
#[derive(Debug, Error)]
#[error("the journal does not begin with `run_started`")]
pub struct NoStart;

impl RunState {
    /// Returns the state after a journal's first event.
    pub fn start(time: Timestamp, event: &Event) -> Result<Self, NoStart> {
        let Event::RunStarted(run) = event else { return Err(NoStart) };
        Ok(Self::new(time, run.as_ref().clone()))
    }

    fn new(time: Timestamp, run: RunStarted) -> Self {
        Self {
            phase: if run.deploy_due.is_some() { Phase::Deploy } else { Phase::Baseline },
            iteration: Iteration::BASELINE,
            incumbent: run.baseline,
            in_flight: None,
            pending: None,
            turn_faults: 0,
            answered_by: None,
            queue: VecDeque::new(),
            current: Current::default(),
            ledger: Vec::new(),
            baseline: None,
            best_us: None,
            speedup: 1.0,
            tip: None,
            headline: None,
            device: None,
            noise: Vec::new(),
            finals: Vec::new(),
            counters: Counters::default(),
            active_ms: 0,
            last_event: time,
            first_event: time,
            closing: None,
            blocked: None,
            stop_requested: None,
            stop: None,
            run,
        }
    }

    /// Takes the next event in.
    ///
    /// # Errors
    /// Where the event cannot follow: the journal is not a run's, and the state must not be used any more.
    pub fn apply(&mut self, time: Timestamp, event: &Event) -> Result<(), FoldError> {
        if !matches!(event, Event::RunResumed { .. }) {
            self.active_ms = self.active_ms_at(time);
        }
        self.last_event = time;
        match event {
            Event::RunStarted(_) => self.refuse("run_started", "a run starts once"),
            Event::RunResumed { budget, .. } => self.resumed(*budget),
            Event::DeployStarted { command, watched } => {
                self.in_phase("deploy_started", Phase::Deploy)?;
                self.intend("deploy_started", Pending::Deploy { command: command.clone(), watched: *watched })
            }
            Event::DeployFinished { exit_code, .. } => self.deployed(*exit_code),
            Event::TurnStarted {} => self.turn_started(),
            Event::TurnFinished { calls, usage, model_ms, problem, by } => {
                self.settle("turn_finished", |pending| matches!(pending, Pending::Turn))?;
                self.answered_by.clone_from(by);
                self.counters.format_errors += u32::from(problem.is_some());
                self.turn_faults = 0;
                self.queue = calls.iter().cloned().map(Arc::new).collect();
                match by {
                    Some(Answerer::Tuner) => self.counters.tuner_turns += 1,
                    Some(Answerer::Model(_)) | None => self.counters.round_trips += 1,
                }
                self.counters.usage.prompt += usage.prompt;
                self.counters.usage.cached += usage.cached;
                self.counters.usage.completion += usage.completion;
                self.counters.usage.usd += usage.usd;
                self.counters.model_ms += model_ms;
                self.current.idle_turns += 1;
                Ok(())
            }
            Event::ModelFault { model_ms, .. } => {
                if self.pending != Some(Pending::Turn) {
                    return self.refuse("model_fault", "the model was not asked");
                }
                self.counters.model_faults += 1;
                self.counters.model_ms += model_ms;
                self.turn_faults = self.turn_faults.saturating_add(1);
                Ok(())
            }
            Event::TurnAbandoned {} => {
                self.settle("turn_abandoned", |pending| matches!(pending, Pending::Turn))?;
                self.turn_faults = 0;
                self.current.abandoned = true;
                Ok(())
            }
            Event::Blocked { message } => {
                self.turn_faults = 0;
                if matches!(self.pending, Some(Pending::Turn | Pending::Measure(_))) {
                    self.pending = None;
                }
                self.current.again = None;
                self.queue.clear();
                self.blocked = Some(message.clone());
                Ok(())
            }
            Event::CallRefused { .. } => {
                self.counters.refusals += 1;
                self.queue.clear();
                Ok(())
            }
            Event::CallFailed { .. } => {
                self.counters.failed_calls += 1;
                self.queue.clear();
                Ok(())
            }
            Event::FileRead { call, .. } => {
                self.take_call(call);
                Ok(())
            }
            Event::EditStarted { call, change, from, to } => {
                self.in_phase("edit_started", Phase::Idle)?;
                if *from != self.incumbent || from == to {
                    return self.refuse("edit_started", "it does not change the incumbent");
                }
                self.intend("edit_started", Pending::Edit { to: *to })?;
                self.take_call(call);
                self.current.change.clone_from(change);
                // From here on the file may hold the change: a reader of the journal must expect it.
                self.in_flight = Some(*to);
                self.current.edited = Some(*to);
                self.current.by.clone_from(&self.answered_by);
                Ok(())
            }
            Event::EditFinished { overhead_us } => {
                self.settle("edit_finished", |pending| matches!(pending, Pending::Edit { .. }))?;
                self.phase = Phase::Edited;
                self.stepped(*overhead_us);
                Ok(())
            }
            Event::MeasureStarted(spec) => self.measure_started(spec),
            Event::MeasureFinished { outcome, artifact, harness_ms, overhead_us } => {
                self.measured(outcome, artifact, *harness_ms, *overhead_us)
            }
            Event::AnalysisStarted { by, artifact, length, timestamp, analysis } => {
                let Some((_, evidence)) = self.awaiting_analysis() else {
                    return self.refuse("analysis_started", "no measurement awaits one");
                };
                if evidence.artifact.path != *artifact {
                    return self.refuse("analysis_started", "it is not of the last measurement");
                }
                self.intend(
                    "analysis_started",
                    Pending::Analysis {
                        artifact: artifact.clone(),
                        length: *length,
                        timestamp: *timestamp,
                        analysis: analysis.clone(),
                    },
                )?;
                if let Caller::Model(call) = by {
                    self.take_call(call);
                }
                Ok(())
            }
            Event::AnalysisFinished { artifact, overhead_us } => self.analysed(artifact, *overhead_us),
            Event::RevertStarted { by, cause, from, to } => {
                if self.in_flight != Some(*from) || *to != self.incumbent {
                    return self.refuse("revert_started", "it does not put the incumbent back");
                }
                self.intend("revert_started", Pending::Revert { cause: *cause, to: *to })?;
                if let Caller::Model(call) = by {
                    self.take_call(call);
                }
                Ok(())
            }
            Event::RevertFinished { overhead_us } => {
                let pending = self.settle("revert_finished", |pending| matches!(pending, Pending::Revert { .. }))?;
                if let Pending::Revert { cause, .. } = pending {
                    self.in_flight = None;
                    self.current.again = None;
                    self.current.due = Some(Due::FinishReverted(cause));
                }
                self.stepped(*overhead_us);
                Ok(())
            }
            Event::CommitStarted { kernel, parent, message, timestamp } => {
                if self.current.due != Some(Due::Commit) || self.in_flight != Some(*kernel) {
                    return self.refuse("commit_started", "the change has not earned it");
                }
                self.intend(
                    "commit_started",
                    Pending::Commit {
                        kernel: *kernel,
                        parent: parent.clone(),
                        message: message.clone(),
                        timestamp: *timestamp,
                    },
                )
            }
            Event::CommitFinished { sha } => self.committed(sha),
            Event::IterationFinished { iteration, decision, cause } => self.finished(*iteration, *decision, *cause),
            Event::OutsideEdit { .. } => {
                self.counters.outside_edits += 1;
                Ok(())
            }
            Event::Closing { reason } => {
                self.in_phase("closing", Phase::Idle)?;
                self.closing = Some(reason.clone());
                self.phase = Phase::Closing;
                self.queue.clear();
                self.reset_current();
                Ok(())
            }
            Event::StopRequested { by } => {
                self.stop_requested = Some(*by);
                Ok(())
            }
            Event::RunStopped { reason } => {
                if self.in_flight.is_some() {
                    return self.refuse("run_stopped", "a change is in flight");
                }
                self.stop = Some(reason.clone());
                self.phase = Phase::Stopped;
                self.pending = None;
                self.queue.clear();
                Ok(())
            }
        }
    }

    pub(super) fn refuse(&self, event: &'static str, why: &'static str) -> Result<(), FoldError> {
        Err(FoldError { event, phase: self.phase, why })
    }

    fn in_phase(&self, event: &'static str, phase: Phase) -> Result<(), FoldError> {
        if self.phase == phase { Ok(()) } else { self.refuse(event, "the phase is another") }
    }

    /// Takes an intent in. Only the repetition of an interrupted intent may find one pending.
    pub(super) fn intend(&mut self, event: &'static str, pending: Pending) -> Result<(), FoldError> {
        if self.pending.is_some() {
            return self.refuse(event, "another step has no result yet");
        }
        self.pending = Some(pending);
        Ok(())
    }

    pub(super) fn settle(
        &mut self,
        event: &'static str,
        fits: impl Fn(&Pending) -> bool,
    ) -> Result<Pending, FoldError> {
        match self.pending.take() {
            Some(pending) if fits(&pending) => Ok(pending),
            other => {
                self.pending = other;
                Err(FoldError { event, phase: self.phase, why: "no such step was begun" })
            }
        }
    }

    /// Drops a call from the queue, once the event that carries it out is in the journal.
    pub(super) fn take_call(&mut self, id: &str) {
        if self.queue.front().is_some_and(|call| call.id == id) {
            self.queue.pop_front();
        }
    }

    pub(super) fn stepped(&mut self, overhead_us: u64) {
        self.current.idle_turns = 0;
        self.counters.overheads_us.push(overhead_us);
    }

    /// Begins the iteration anew. What it measured before stays on disk: the names of its artifacts count on.
    pub(super) fn reset_current(&mut self) {
        self.current = Current { rounds: self.current.rounds, ..Current::default() };
    }

    fn resumed(&mut self, budget: Option<super::terms::Budget>) -> Result<(), FoldError> {
        self.counters.resumes += 1;
        if let Some(budget) = budget {
            self.run.terms.budget = budget;
        }
        // Whoever resumes wants the run to go on, also where its process died on the way to the end.
        self.stop_requested = None;
        self.blocked = None;
        self.turn_faults = 0;
        self.current.abandoned = false;
        if self.stop.take().is_some() {
            self.closing = None;
            self.counters.failed_deploys = 0;
            self.phase = match (&self.baseline, self.run.deploy_due) {
                (Some(_), _) => Phase::Idle,
                (None, Some(_)) => Phase::Deploy,
                (None, None) => Phase::Baseline,
            };
            self.reset_current();
        }
        // A turn that was never answered is asked again; every other intent is carried out again by the driver.
        if self.pending == Some(Pending::Turn) {
            self.pending = None;
        }
        Ok(())
    }

    fn deployed(&mut self, exit_code: i32) -> Result<(), FoldError> {
        self.settle("deploy_finished", |pending| matches!(pending, Pending::Deploy { .. }))?;
        if exit_code == 0 {
            self.counters.failed_deploys = 0;
            self.run.deploy_due = None;
            self.phase = Phase::Baseline;
        } else {
            self.counters.failed_deploys += 1;
        }
        Ok(())
    }

    fn turn_started(&mut self) -> Result<(), FoldError> {
        let asks = matches!(
            self.phase,
            Phase::Idle
                | Phase::Edited
                | Phase::Tested
                | Phase::Measurable
                | Phase::Measured
                | Phase::Confirmable
                | Phase::Confirmed
        );
        if !asks || self.current.due.is_some() {
            return self.refuse("turn_started", "the model has nothing to decide");
        }
        self.intend("turn_started", Pending::Turn)
    }
}
