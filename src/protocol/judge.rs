//! What a measurement and its analysis lead to.

use super::event::{Caller, DuelSize, MeasureSpec, RevertCause};
use super::evidence::{ArtifactRef, Decision, Outcome, Purpose, Verdict};
use super::fold::FoldError;
use super::ledger::figure;
use super::record::{Baseline, Figure, Headline};
use super::state::{Current, Due, Evidence, Pending, Phase, RunState};
use super::stop::StopReason;
use super::terms::Target;

/// The longest feedback that stays in the ledger, in characters: the artifact has all of it.
const MOST_FEEDBACK: usize = 400;

impl RunState {
    pub(super) fn measure_started(&mut self, spec: &MeasureSpec) -> Result<(), FoldError> {
        const EVENT: &str = "measure_started";
        let fits = match (spec.purpose, self.phase) {
            (Purpose::Test, Phase::Edited) => true,
            (Purpose::Candidate, Phase::Measurable) => true,
            (Purpose::Final, Phase::Confirmable) => true,
            (Purpose::Recheck, Phase::Confirmed) => self.current.due == Some(Due::Recheck),
            (Purpose::Headline, Phase::Closing) => true,
            (Purpose::Test, Phase::Baseline) => self.current.test.is_none(),
            (Purpose::Candidate, Phase::Baseline) => self.current.test.is_some() && self.current.candidate.is_none(),
            _ => false,
        };
        if !fits {
            return self.refuse(EVENT, "the phase allows no such measurement");
        }
        let expected = self.spec(spec.by.clone(), spec.purpose);
        if spec.candidate != expected.candidate || spec.incumbent != expected.incumbent {
            return self.refuse(EVENT, "it measures other texts than the journal's");
        }
        self.intend(EVENT, Pending::Measure(Box::new(spec.clone())))?;
        self.current.again = None;
        if spec.purpose == Purpose::Final {
            // It has spent its share of the night's error from here on, whatever becomes of it.
            self.finals.push(false);
        }
        *self.current.rounds.get_mut(spec.purpose as usize).unwrap_or(&mut self.counters.headlines) = spec.round;
        if let Caller::Model(call) = &spec.by {
            let call = call.clone();
            self.take_call(&call);
        }
        Ok(())
    }

    pub(super) fn measured(
        &mut self,
        outcome: &Outcome,
        artifact: &ArtifactRef,
        harness_ms: u64,
        overhead_us: u64,
    ) -> Result<(), FoldError> {
        let pending = self.settle("measure_finished", |pending| matches!(pending, Pending::Measure(_)))?;
        let Pending::Measure(spec) = pending else { return Ok(()) };
        if let Outcome::Measured { candidate, incumbent, comparison, device, noise } = outcome {
            let texts = candidate.kernel == spec.candidate
                && incumbent.as_ref().map(|side| side.kernel) == spec.incumbent
                && comparison.is_some() == incumbent.is_some();
            if !texts {
                return self.refuse("measure_finished", "the evidence is of other texts");
            }
            self.device = Some(device.name.clone());
            self.noise.extend(noise);
        }
        self.stepped(overhead_us);
        self.counters.harness_ms += harness_ms;
        if let Outcome::InfraFailed { message, .. } = outcome {
            self.infra_failed(&spec, message);
            return Ok(());
        }
        // A measurement that succeeded after an infra failure has mended it.
        self.current.failure = match outcome {
            Outcome::KernelFailed { failure, message } => Some(format!("{failure}: {message}")),
            Outcome::Measured { .. } | Outcome::InfraFailed { .. } => None,
        };
        let evidence = Evidence { outcome: outcome.clone(), artifact: artifact.clone(), analysed: None };
        match spec.purpose {
            Purpose::Headline => self.headlined(&spec, evidence),
            Purpose::Recheck => {
                self.current.due = Some(match outcome {
                    Outcome::Measured { .. } => Due::Commit,
                    Outcome::KernelFailed { .. } | Outcome::InfraFailed { .. } => {
                        // What the model planned stands on a change that is not kept.
                        self.queue.clear();
                        Due::Revert(RevertCause::NotConfirmed)
                    }
                });
                self.current.recheck = Some(evidence);
            }
            Purpose::Test => {
                self.current.test = Some(evidence);
                self.advance_to(Phase::Tested);
            }
            Purpose::Candidate => {
                self.current.candidate = Some(evidence);
                self.advance_to(Phase::Measured);
            }
            Purpose::Final => {
                let verdict = outcome.comparison().map(|comparison| comparison.verdict);
                let ambiguous = verdict == Some(Verdict::Ambiguous);
                if let Some(last) = self.finals.last_mut() {
                    *last = verdict == Some(Verdict::Improved);
                }
                self.current.confirmation = Some(evidence);
                if ambiguous && spec.size == DuelSize::Normal {
                    self.current.again = Some(MeasureSpec {
                        by: Caller::Code,
                        round: spec.round.saturating_add(1),
                        attempt: 1,
                        size: DuelSize::Larger,
                        ..*spec
                    });
                } else {
                    self.advance_to(Phase::Confirmed);
                }
            }
        }
        Ok(())
    }

    fn advance_to(&mut self, phase: Phase) {
        if self.phase != Phase::Baseline {
            self.phase = phase;
        }
    }

    fn infra_failed(&mut self, spec: &MeasureSpec, message: &str) {
        self.counters.infra_failures += 1;
        self.current.failure = Some(message.to_owned());
        if spec.attempt == 1 {
            self.current.again =
                Some(MeasureSpec { by: Caller::Code, round: spec.round.saturating_add(1), attempt: 2, ..spec.clone() });
            return;
        }
        self.counters.infra_unrecovered += 1;
        self.queue.clear();
        match self.phase {
            Phase::Baseline => {}
            Phase::Closing => self.close(None),
            _ => self.current.due = Some(Due::Revert(RevertCause::Infra)),
        }
    }

    fn headlined(&mut self, spec: &MeasureSpec, evidence: Evidence) {
        let result = figure(&evidence.outcome);
        self.headline = Some(Headline { kernel: spec.candidate, result, artifact: evidence.artifact });
        self.close(self.headline.as_ref().and_then(|headline| headline.result.clone()));
    }

    /// Ends the closing phase: a target that the last duel did not confirm is not reached, and the loop goes on. One that it did
    /// is, whatever had ended the loop.
    fn close(&mut self, result: Option<Figure>) {
        let confirmed = result.is_some_and(|figure| match self.run.terms.target {
            Target::Us(us) => figure.us <= us,
            Target::Speedup(times) => figure.comparison.is_some_and(|comparison| comparison.ratio >= times),
        });
        if confirmed && self.incumbent != self.run.baseline {
            self.closing = Some(StopReason::TargetReached);
        } else if !confirmed && self.closing == Some(StopReason::TargetReached) {
            self.closing = None;
            self.phase = Phase::Idle;
            self.reset_current();
        }
        if self.headline.as_ref().is_none_or(|headline| headline.kernel != self.incumbent) {
            // The duel failed for reasons of the infrastructure: remember that it was tried, so that the run can end.
            self.headline = Some(Headline {
                kernel: self.incumbent,
                result: None,
                artifact: ArtifactRef { path: String::new(), hash: self.incumbent },
            });
        }
    }

    pub(super) fn analysed(&mut self, artifact: &ArtifactRef, overhead_us: u64) -> Result<(), FoldError> {
        let pending = self.settle("analysis_finished", |pending| matches!(pending, Pending::Analysis { .. }))?;
        let Pending::Analysis { analysis, .. } = pending else { return Ok(()) };
        let Some((purpose, evidence)) = self.awaiting_analysis() else {
            return self.refuse("analysis_finished", "no measurement awaits one");
        };
        let supported = self.supports_keep(purpose, &evidence.outcome);
        if analysis.decision == Decision::Keep && !supported {
            return self.refuse("analysis_finished", "KEEP without the evidence for it");
        }
        let slot = match purpose {
            Purpose::Test => self.current.test.as_mut(),
            Purpose::Candidate => self.current.candidate.as_mut(),
            Purpose::Final | Purpose::Recheck | Purpose::Headline => self.current.confirmation.as_mut(),
        };
        if let Some(evidence) = slot {
            evidence.analysed = Some(analysis.decision);
            evidence.artifact = artifact.clone();
        }
        self.current.feedback = analysis.feedback.chars().take(MOST_FEEDBACK).collect();
        self.current.next_step.clone_from(&analysis.next_step);
        self.stepped(overhead_us);
        if self.phase == Phase::Baseline {
            self.baseline_step(purpose);
        } else if analysis.decision == Decision::Revert {
            self.current.due = Some(Due::Revert(match (supported, purpose) {
                (true, _) => RevertCause::ModelChoice,
                (false, Purpose::Test) => RevertCause::TestFailed,
                (false, Purpose::Candidate) => RevertCause::NotImproved,
                (false, Purpose::Final | Purpose::Recheck | Purpose::Headline) => RevertCause::NotConfirmed,
            }));
        } else {
            match purpose {
                Purpose::Test => self.phase = Phase::Measurable,
                Purpose::Candidate => self.phase = Phase::Confirmable,
                Purpose::Final | Purpose::Recheck | Purpose::Headline => self.current.due = Some(Due::Recheck),
            }
        }
        Ok(())
    }

    fn baseline_step(&mut self, purpose: Purpose) {
        let (Purpose::Candidate, Some(test), Some(candidate)) = (purpose, &self.current.test, &self.current.candidate)
        else {
            return;
        };
        let Some(us) = candidate.outcome.candidate_us() else { return };
        self.baseline = Some(Baseline { us, artifacts: vec![test.artifact.clone(), candidate.artifact.clone()] });
        self.best_us = Some(us);
        self.iteration = self.iteration.next();
        self.current = Current::default();
        self.phase = Phase::Idle;
    }
}
