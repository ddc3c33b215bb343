//! The model itself: whom to ask, and what to make of it where nobody answers.

use std::fmt;

use serde_json::Value;

use super::endpoint::Endpoint;
use super::error::OpenAiError;
use super::settings::Settings;
use super::trouble::Trouble;
use crate::model::{Context, Fault, Message, Model, ModelError, Sent, Turn, TurnFuture, View};
use crate::protocol::{Answerer, FaultKind};

/// After so many faults of one model within a turn, the next one is asked.
const FAULTS_EACH: u32 = 3;

/// Tells whether the conversation itself may be what the endpoint fails at: it did answer, or began to.
fn may_blame_words(kind: FaultKind) -> bool {
    match kind {
        FaultKind::Server | FaultKind::CutOff | FaultKind::Stalled | FaultKind::TimedOut | FaultKind::Garbled => true,
        FaultKind::RateLimited | FaultKind::Unreachable | FaultKind::TooLong | FaultKind::Denied => false,
    }
}

/// A language model behind an OpenAI-compatible endpoint, with those that are asked in its place.
pub struct OpenAi {
    endpoints: Vec<Endpoint>,
    tools: Vec<Value>,
    context: Box<dyn Context>,
    /// The request of the exchange before.
    before: Vec<Message>,
    /// Faults of this turn for which the conversation may be to blame.
    failed: u32,
    /// Whether this turn's request was made anew for their sake.
    renewed: bool,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<String> = self.endpoints.iter().map(Endpoint::name).collect();
        f.debug_struct("OpenAi").field("models", &models).finish_non_exhaustive()
    }
}

impl OpenAi {
    /// Returns the model of `settings`, which knows `tools` (`name`, `description`, `parameters`) and is told what `context`
    /// says. Nothing is asked yet.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn open(settings: &Settings, tools: Vec<Value>, context: Box<dyn Context>) -> Result<Self, OpenAiError> {
        let endpoints = settings.all().cloned().map(Endpoint::open).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, tools, context, before: Vec::new(), failed: 0, renewed: false })
    }

    async fn ask(&mut self, view: View<'_>) -> Result<Turn, ModelError> {
        let messages = self.context.request(&view)?;
        let is_one_of_several = self.endpoints.len() > 1;
        let mut left: Vec<&mut Endpoint> =
            self.endpoints.iter_mut().filter(|endpoint| endpoint.ruled_out.is_none()).collect();
        let others = left.len().saturating_sub(1);
        let place = (view.state.turn_faults / FAULTS_EACH) as usize % left.len().max(1);
        let Some(endpoint) = left.get_mut(place) else { return Err(self.nobody()) };
        let attempt = endpoint.attempt(&messages, &self.tools, view.state.counters.round_trips).await;
        let model = endpoint.name();
        let fault = |kind, message, retry_after_ms| {
            ModelError::Fault(Fault { model: model.clone(), kind, message, retry_after_ms })
        };
        match attempt {
            Ok(mut turn) => {
                endpoint.refusals = 0;
                turn.by = is_one_of_several.then_some(Answerer::Model(model));
                let renewed = std::mem::take(&mut self.renewed);
                turn.sent = Some(Sent { renewed, ..Sent::between(&self.before, &messages) });
                self.failed = 0;
                self.before = messages;
                self.context.answered(&turn);
                Ok(turn)
            }
            Err(Trouble::Fault { kind: FaultKind::TooLong, message, .. }) => {
                if self.context.shrink() {
                    return Err(fault(FaultKind::TooLong, message, None));
                }
                Err(ModelError::Failed(format!(
                    "{model}: {message}; the request cannot be made smaller: use a model or a server with a longer context"
                )))
            }
            Err(Trouble::Fault { kind, message, retry_after_ms }) => {
                if may_blame_words(kind) {
                    self.failed += 1;
                    // Each model has had its chances with these words: once more, they would only fail all night.
                    if self.failed.is_multiple_of(FAULTS_EACH * u32::try_from(others + 1).unwrap_or(u32::MAX)) {
                        self.context.renew();
                        self.renewed = true;
                    }
                }
                Err(fault(kind, message, retry_after_ms))
            }
            Err(Trouble::Refused { what, message }) => {
                if endpoint.refused(what, &message) {
                    Err(fault(FaultKind::Garbled, message, None))
                } else if others > 0 {
                    Err(fault(FaultKind::Denied, message, None))
                } else {
                    Err(self.nobody())
                }
            }
        }
    }

    fn nobody(&self) -> ModelError {
        let reasons: Vec<&str> = self.endpoints.iter().filter_map(|endpoint| endpoint.ruled_out.as_deref()).collect();
        ModelError::Failed(reasons.join("; "))
    }
}

impl Model for OpenAi {
    fn name(&self) -> String {
        self.endpoints.first().map_or_else(String::new, Endpoint::name)
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        Box::pin(self.ask(view))
    }
}
