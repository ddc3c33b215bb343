//! Asking the model: once, and again after each fault, for as long as the run may take.

use std::time::{Duration, Instant};

use super::driver::{Session, now};
use super::error::SessionError;
use crate::model::{Exchange, Fault, ModelError, Turn, View};
use crate::protocol::{BudgetKind, Event};

/// How an attempt to ask the model ended.
enum Attempt {
    /// With an answer.
    Answered(Turn),
    /// With a fault that may pass.
    Fault(Fault),
    /// With an error that will not.
    Over(String),
    /// The user's wish, or the end of the wall budget, came first.
    Overtaken,
}

impl Session {
    /// Asks the model for its next calls.
    pub(super) async fn ask(&mut self) -> Result<(), SessionError> {
        self.record(Event::TurnStarted {})?;
        self.answer().await
    }

    /// Makes one attempt of the turn under way. After a fault the turn is still under way, and the loop comes here again.
    pub(super) async fn answer(&mut self) -> Result<(), SessionError> {
        if self.state.stop_requested.is_some() || self.left() == Some(Duration::ZERO) {
            return self.record(Event::TurnAbandoned {});
        }
        let begun = Instant::now();
        let attempt = self.attempt().await?;
        let model_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match attempt {
            Attempt::Answered(turn) => {
                let exchange = Exchange::new(&self.state, self.model.name(), &self.results, &turn);
                self.transcript.exchange(&exchange)?;
                self.results.clear();
                let Turn { calls, usage, problem, by, .. } = turn;
                self.record(Event::TurnFinished { calls, usage, model_ms, problem, by })
            }
            Attempt::Fault(Fault { model, kind, message, retry_after_ms }) => {
                let faults = self.state.turn_faults;
                let wait_ms = self.patience.wait_ms(kind, faults, retry_after_ms, fastrand::f64());
                self.record(Event::ModelFault { model, kind, message, model_ms, wait_ms })?;
                self.pause(Duration::from_millis(wait_ms)).await;
                Ok(())
            }
            Attempt::Over(message) => self.record(Event::Blocked { message }),
            Attempt::Overtaken => Ok(()),
        }
    }

    async fn attempt(&mut self) -> Result<Attempt, SessionError> {
        let kernel = self.kernel_text()?;
        let left = self.left();
        let view = View {
            state: &self.state,
            prompt: &self.mission.prompt,
            description: self.bench.harness.description(),
            kernel: &kernel,
            results: &self.results,
            snapshots: &self.snapshots,
        };
        // Biased: a model that answers at once is never overtaken.
        Ok(tokio::select! {
            biased;
            turn = self.model.turn(view) => match turn {
                Ok(turn) => Attempt::Answered(turn),
                Err(ModelError::Fault(fault)) => Attempt::Fault(fault),
                Err(ModelError::Exhausted(message) | ModelError::Failed(message)) => Attempt::Over(message),
            },
            () = self.stop.wish() => Attempt::Overtaken,
            () = at_end_of(left) => Attempt::Overtaken,
        })
    }

    /// Waits for `time`, but not longer than the run may take or the user wants it to.
    async fn pause(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.wish() => {}
            () = at_end_of(self.left()) => {}
        }
    }

    /// Returns what is left of the wall budget; nothing where there is no such budget.
    pub(super) fn left(&self) -> Option<Duration> {
        let now = now();
        if self.state.spent(now) == Some(BudgetKind::Wall) {
            return Some(Duration::ZERO);
        }
        let wall_ms = self.state.run.terms.budget.wall_ms?;
        Some(Duration::from_millis(wall_ms.saturating_sub(self.state.active_ms_at(now))))
    }
}

/// Returns after `left`; never where there is no end.
async fn at_end_of(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}
