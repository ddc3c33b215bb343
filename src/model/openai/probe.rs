//! The question before the first one: whether address, key, name and tools are right, while somebody is there to mend them.

use std::time::Duration;

use serde_json::Value;

use super::endpoint::Endpoint;
use super::error::OpenAiError;
use super::model::OpenAi;
use super::settings::Settings;
use super::trouble::{Refused, Trouble};
use crate::model::Message;
use crate::protocol::{FaultKind, Patience};

/// How often an endpoint is asked that does not answer.
const TRIES: u32 = 5;
/// Enough for one word, and for a model's thoughts about it.
const MOST_TOKENS: u32 = 1024;
/// The longest attempt.
const LONGEST: Duration = Duration::from_secs(60);

impl OpenAi {
    /// Asks every model of `settings` for one word, with the tools and the settings of the run, and blocks until all have
    /// answered. `patience` decides the waits between tries. What may pass while a run waits for it, such as an endpoint that is
    /// there and busy, is no error; a fallback that is out of reach is a warning.
    ///
    /// # Errors
    /// What will not pass: a refused key, an unknown model, a wrong address, a form of request that the endpoint does not take, an
    /// endpoint of the first model that is out of reach.
    pub fn probe(settings: &Settings, tools: &[Value], patience: Patience) -> Result<(), OpenAiError> {
        let on_this_machine =
            |error: std::io::Error| OpenAiError::Unreachable(format!("no network on this machine: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(on_this_machine)?;
        runtime.block_on(async {
            probe_one(settings, tools, patience).await?;
            for fallback in settings.all().skip(1) {
                match probe_one(fallback, tools, patience).await {
                    // It is for when the first does not answer, and may be back by then.
                    Err(OpenAiError::Unreachable(message)) => tracing::warn!("fallback: {message}"),
                    asked => asked?,
                }
            }
            Ok(())
        })
    }
}

async fn probe_one(settings: &Settings, tools: &[Value], patience: Patience) -> Result<(), OpenAiError> {
    let settings = Settings {
        max_output_tokens: Some(settings.max_output_tokens.map_or(MOST_TOKENS, |most| most.min(MOST_TOKENS))),
        turn: settings.turn.min(LONGEST),
        ..settings.clone()
    };
    let at = format!("{} at {}", settings.name, settings.base_url);
    let mut endpoint = Endpoint::open(settings)?;
    let question = [Message::User { text: "Answer with the one word: ready.".to_owned() }];
    let mut last = None;
    for attempt in 0..TRIES {
        if attempt > 0 {
            let wait_ms = patience.wait_ms(FaultKind::Server, attempt - 1, None, 1.0);
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        match endpoint.attempt(&question, tools, 0).await {
            Ok(_) => return Ok(()),
            Err(Trouble::Refused { what: Refused::Key | Refused::Account, message }) => {
                return Err(OpenAiError::Denied(format!("{at}: {message}")));
            }
            Err(Trouble::Refused { what: Refused::Address, message }) => {
                return Err(OpenAiError::Settings(format!("{at}: {message}")));
            }
            // It has not answered within a minute, though it is there: it may be loading.
            Err(Trouble::Fault { kind: FaultKind::Stalled | FaultKind::TimedOut, .. }) => return Ok(()),
            Err(trouble) => last = Some(trouble),
        }
    }
    match last {
        Some(Trouble::Fault { kind: FaultKind::Unreachable, message, .. }) => {
            Err(OpenAiError::Unreachable(format!("{at} is out of reach: {message}")))
        }
        // So a port for TLS takes leave of plain HTTP, and a tunnel that leads nowhere of everything.
        Some(Trouble::Fault { kind: FaultKind::CutOff, message, .. }) => Err(OpenAiError::Unreachable(format!(
            "{at} broke off each answer: {message}; check whether `base_url` must begin with https:// or http://, and \
             what stands between here and the server"
        ))),
        Some(Trouble::Fault { kind: FaultKind::Garbled, message, .. }) => Err(OpenAiError::Settings(format!(
            "{at}: {message}; check `base_url`, which usually ends in /v1, and `api`"
        ))),
        Some(Trouble::Fault { kind: FaultKind::TooLong, message, .. }) => Err(OpenAiError::Settings(format!(
            "{at}: {message}; its context does not even hold the tools: use a model or a server with a longer one"
        ))),
        Some(Trouble::Refused { message, .. }) => Err(OpenAiError::Settings(format!("{at}: {message}"))),
        // It is there, and busy: a run waits for it.
        Some(Trouble::Fault { .. }) | None => Ok(()),
    }
}
