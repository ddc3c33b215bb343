//! What comes next: the driver carries out one step after the other until the run is over.

use std::sync::Arc;

use jiff::Timestamp;

use super::event::{Caller, MeasureSpec, RawCall, RevertCause};
use super::evidence::{Outcome, Purpose};
use super::state::{Due, Pending, Phase, RunState};
use super::stop::{BudgetKind, StopReason};
use super::terms::Target;

/// After so many turns without a legal step, where the budget says nothing else, the code ends the iteration: a model that
/// only talks spends iterations, and so the run always ends.
pub const STUCK_TURNS: u32 = 12;

/// The next thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Carry an interrupted intent out again.
    Redo(Pending),
    /// Run the deploy command.
    Deploy,
    /// Measure without being asked by the model.
    Measure(MeasureSpec),
    /// Write the baseline's analysis.
    AnalyseBaseline,
    /// Carry out the model's next call.
    Call(Arc<RawCall>),
    /// Ask the model.
    Ask,
    /// Put the incumbent back.
    Revert(RevertCause),
    /// Commit the change.
    Commit,
    /// Close the iteration: kept where there is no cause.
    Finish(Option<RevertCause>),
    /// Enter the closing phase.
    Close(StopReason),
    /// End the run.
    Stop(StopReason),
    /// The run is over.
    Over,
}

impl RunState {
    /// Returns the next step at the time `now`.
    pub fn next(&self, now: Timestamp) -> Step {
        if self.stop.is_some() {
            return Step::Over;
        }
        if let Some(pending) = &self.pending {
            return Step::Redo(pending.clone());
        }
        if let Some(step) = self.due() {
            return step;
        }
        if let Some(message) = &self.blocked {
            return if self.in_flight.is_some() {
                Step::Revert(RevertCause::Blocked)
            } else {
                Step::Stop(StopReason::Blocked { message: message.clone() })
            };
        }
        if self.stop_requested.is_some() {
            return if self.in_flight.is_some() {
                Step::Revert(RevertCause::UserStop)
            } else {
                Step::Stop(StopReason::User)
            };
        }
        if let Some(again) = &self.current.again {
            return Step::Measure(again.clone());
        }
        match self.phase {
            Phase::Deploy if self.counters.failed_deploys >= 2 => Step::Stop(StopReason::Blocked {
                message: "the deploy command failed twice; its output is in the journal".to_owned(),
            }),
            Phase::Deploy => Step::Deploy,
            Phase::Baseline => self.baseline_next(now),
            Phase::Closing => self.closing_next(),
            Phase::Stopped => Step::Over,
            Phase::Idle => self.idle_next(now),
            // A confirmation under way may be finished beyond the budget, but not be waited for where nobody answers.
            Phase::Confirmable | Phase::Confirmed if !self.current.abandoned => self.model_next(None),
            Phase::Edited
            | Phase::Tested
            | Phase::Measurable
            | Phase::Measured
            | Phase::Confirmable
            | Phase::Confirmed => self.model_next(self.spent(now)),
        }
    }

    fn due(&self) -> Option<Step> {
        Some(match self.current.due? {
            Due::Revert(cause) if self.in_flight.is_some() => Step::Revert(cause),
            Due::Revert(cause) | Due::FinishReverted(cause) => Step::Finish(Some(cause)),
            // What cannot be checked is not kept.
            Due::Recheck if self.blocked.is_some() => Step::Revert(RevertCause::Blocked),
            Due::Recheck => {
                let again = self.current.again.clone();
                Step::Measure(again.unwrap_or_else(|| self.spec(Caller::Code, Purpose::Recheck)))
            }
            Due::Commit => Step::Commit,
            Due::FinishKept => Step::Finish(None),
        })
    }

    fn baseline_next(&self, now: Timestamp) -> Step {
        if let Some((_, evidence)) = self.awaiting_analysis() {
            return match &evidence.outcome {
                Outcome::KernelFailed { failure, message } => Step::Stop(StopReason::Blocked {
                    message: format!("the kernel as found does not pass its own harness ({failure}): {message}"),
                }),
                Outcome::Measured { .. } | Outcome::InfraFailed { .. } => Step::AnalyseBaseline,
            };
        }
        match (&self.current.test, &self.current.failure) {
            (None, None) => Step::Measure(self.spec(Caller::Code, Purpose::Test)),
            (Some(_), None) => Step::Measure(self.spec(Caller::Code, Purpose::Candidate)),
            // What the baseline waited for, such as its device, did not come in the run's own time.
            (_, Some(_)) if self.run.terms.budget.wall_ms.is_some_and(|wall| self.active_ms_at(now) >= wall) => {
                Step::Stop(StopReason::Budget { budget: BudgetKind::Wall })
            }
            (_, Some(message)) => {
                Step::Stop(StopReason::Blocked { message: format!("the baseline could not be measured: {message}") })
            }
        }
    }

    fn closing_next(&self) -> Step {
        let Some(reason) = &self.closing else { return Step::Stop(StopReason::User) };
        let measured = self.headline.as_ref().is_some_and(|headline| headline.kernel == self.incumbent);
        if measured { Step::Stop(reason.clone()) } else { Step::Measure(self.spec(Caller::Code, Purpose::Headline)) }
    }

    fn idle_next(&self, now: Timestamp) -> Step {
        let tried = self.headline.as_ref().is_some_and(|headline| headline.kernel == self.incumbent);
        if !tried && self.claims_target() {
            return Step::Close(StopReason::TargetReached);
        }
        if let Some(budget) = self.spent(now) {
            let reason = StopReason::Budget { budget };
            // Where nothing was kept, the original meets itself: what the machine calls 1.00x tonight.
            return if tried { Step::Stop(reason) } else { Step::Close(reason) };
        }
        if self.queue.is_empty() && self.is_stuck() {
            return Step::Finish(Some(RevertCause::Stuck));
        }
        self.call_or_ask()
    }

    fn model_next(&self, spent: Option<BudgetKind>) -> Step {
        if let Some(call) = self.queue.front() {
            return Step::Call(Arc::clone(call));
        }
        if spent.is_some() {
            return Step::Revert(RevertCause::Budget);
        }
        if self.is_stuck() {
            return Step::Revert(RevertCause::Stuck);
        }
        Step::Ask
    }

    fn is_stuck(&self) -> bool {
        self.current.idle_turns >= self.run.terms.budget.idle_turns.unwrap_or(STUCK_TURNS)
    }

    fn call_or_ask(&self) -> Step {
        self.queue.front().map_or(Step::Ask, |call| Step::Call(Arc::clone(call)))
    }

    /// Tells whether the incumbent's metric beats the target, by the duel that confirmed it. A machine that is slower than at the
    /// baseline may hide that a speed-up is reached: the duels' ratios, each measured side by side, do not.
    fn claims_target(&self) -> bool {
        let by_ratios = matches!(self.run.terms.target, Target::Speedup(times) if self.speedup >= times);
        match (self.best_us, self.target_us()) {
            (Some(best), Some(target)) => by_ratios || best.get() <= target,
            _ => false,
        }
    }

    /// Returns the first budget that is spent at the time `now`.
    pub fn spent(&self, now: Timestamp) -> Option<BudgetKind> {
        fn over<T: PartialOrd>(limit: Option<T>, spent: T) -> bool {
            limit.is_some_and(|limit| spent >= limit)
        }
        let (budget, counters) = (&self.run.terms.budget, &self.counters);
        let iterations = u32::try_from(self.ledger.len()).unwrap_or(u32::MAX);
        let tokens = counters.usage.prompt.saturating_add(counters.usage.completion);
        [
            (BudgetKind::Iterations, over(budget.iterations, iterations)),
            (BudgetKind::Wall, over(budget.wall_ms, self.active_ms_at(now))),
            (BudgetKind::Tokens, over(budget.tokens, tokens)),
            (BudgetKind::Usd, over(budget.usd, counters.usage.usd)),
            (BudgetKind::NoProgress, over(budget.no_progress, counters.no_progress)),
            (BudgetKind::InfraFailures, over(budget.infra_failures, counters.infra_unrecovered)),
        ]
        .into_iter()
        .find_map(|(kind, spent)| spent.then_some(kind))
    }
}
