//! The end of an iteration: its commit, and its line in the ledger.

use super::event::RevertCause;
use super::evidence::{Decision, Outcome};
use super::fold::FoldError;
use super::ids::Iteration;
use super::record::{Figure, Finding, IterationRecord, Kept};
use super::state::{Due, Evidence, Pending, Phase, RunState};

impl RunState {
    pub(super) fn committed(&mut self, sha: &str) -> Result<(), FoldError> {
        let pending = self.settle("commit_finished", |pending| matches!(pending, Pending::Commit { .. }))?;
        let Pending::Commit { kernel, .. } = pending else { return Ok(()) };
        self.incumbent = kernel;
        self.in_flight = None;
        self.tip = Some(sha.to_owned());
        self.current.commit = Some(sha.to_owned());
        if let Some(Evidence { outcome, .. }) = &self.current.confirmation {
            self.best_us = outcome.candidate_us();
            self.speedup *= outcome.comparison().map_or(1.0, |comparison| comparison.ratio);
        }
        self.current.due = Some(Due::FinishKept);
        Ok(())
    }

    pub(super) fn finished(
        &mut self,
        iteration: Iteration,
        decision: Decision,
        cause: Option<RevertCause>,
    ) -> Result<(), FoldError> {
        const EVENT: &str = "iteration_finished";
        if iteration != self.iteration {
            return self.refuse(EVENT, "it is not the iteration under way");
        }
        let earned = match self.current.due {
            Some(Due::FinishKept) => decision == Decision::Keep && cause.is_none(),
            Some(Due::FinishReverted(due)) => decision == Decision::Revert && cause == Some(due),
            Some(Due::Revert(_) | Due::Recheck | Due::Commit) => false,
            // An iteration in which the model changed nothing.
            None => self.phase == Phase::Idle && decision == Decision::Revert && cause == Some(RevertCause::Stuck),
        };
        if !earned || self.in_flight.is_some() || self.pending.is_some() {
            return self.refuse(EVENT, "its decision was not carried out");
        }
        let current = std::mem::take(&mut self.current);
        let infra = (cause == Some(RevertCause::Infra)).then(|| current.failure.clone()).flatten();
        let kept = current.commit.as_ref().map(|sha| Kept {
            sha: sha.clone(),
            artifacts: current.all_evidence().map(|evidence| evidence.artifact.clone()).collect(),
        });
        self.ledger.push(IterationRecord {
            iteration,
            change: current.change,
            kernel: current.edited,
            by: current.by,
            test: current.test.as_ref().and_then(finding),
            candidate: current.candidate.as_ref().and_then(finding),
            confirmation: current.confirmation.as_ref().and_then(finding),
            recheck: current.recheck.as_ref().and_then(finding),
            decision,
            cause,
            infra,
            feedback: current.feedback,
            next_step: current.next_step,
            kept,
        });
        match decision {
            Decision::Keep => {
                self.counters.keeps += 1;
                self.counters.no_progress = 0;
            }
            Decision::Revert => {
                self.counters.reverts += 1;
                self.counters.no_progress += 1;
            }
        }
        self.iteration = self.iteration.next();
        self.phase = Phase::Idle;
        Ok(())
    }
}

pub(super) fn figure(outcome: &Outcome) -> Option<Figure> {
    match outcome {
        Outcome::Measured { candidate, incumbent, comparison, .. } => Some(Figure {
            us: candidate.us,
            incumbent_us: incumbent.as_ref().map(|side| side.us),
            comparison: comparison.clone(),
        }),
        Outcome::KernelFailed { .. } | Outcome::InfraFailed { .. } => None,
    }
}

fn finding(evidence: &Evidence) -> Option<Finding> {
    match &evidence.outcome {
        Outcome::KernelFailed { failure, message } => {
            Some(Finding::Failed { failure: *failure, message: message.clone() })
        }
        measured => figure(measured).map(Finding::Passed),
    }
}
