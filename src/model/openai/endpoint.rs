//! One model at its endpoint.

use std::collections::HashSet;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use serde_json::Value;

use super::chat;
use super::error::OpenAiError;
use super::reply::Reply;
use super::responses;
use super::settings::{Api, Settings};
use super::transport::{Transport, chain};
use super::trouble::{Refused, Trouble};
use crate::model::{Message, Turn};
use crate::protocol::{FaultKind, RawCall, Usage};

/// The longest time in which a connection is made.
const CONNECT: Duration = Duration::from_secs(30);
/// How often a model may refuse the form of a request before it is not asked again: a provider behind a router may do so in
/// passing.
const MOST_REFUSALS: u32 = 5;

/// A model that can be asked.
pub(super) struct Endpoint {
    pub(super) settings: Settings,
    client: Client<OpenAIConfig>,
    streams: bool,
    /// It has streamed an answer: one without a body is then a fault, and no way to say that it does not.
    has_streamed: bool,
    /// It was said that the server seems to cut its prompts.
    warned: bool,
    /// Requests in a row whose form was refused.
    pub(super) refusals: u32,
    /// Why it is not asked again.
    pub(super) ruled_out: Option<String>,
}

impl Endpoint {
    pub(super) fn open(settings: Settings) -> Result<Self, OpenAiError> {
        let http = client(&settings.base_url)?;
        let config = OpenAIConfig::new().with_api_base(&settings.base_url).with_api_key(settings.key.expose());
        let transport =
            Transport { http: http.clone(), api: settings.api, key: settings.key.clone(), stall: settings.stall };
        let client = Client::build(http, config).with_http_service(transport);
        Ok(Self { settings, client, streams: true, has_streamed: false, warned: false, refusals: 0, ruled_out: None })
    }

    /// Returns the model's name, as on the command line.
    pub(super) fn name(&self) -> String {
        format!("openai:{}", self.settings.name)
    }

    /// Makes one attempt, which `turn` numbers.
    pub(super) async fn attempt(&mut self, messages: &[Message], tools: &[Value], turn: u32) -> Result<Turn, Trouble> {
        match tokio::time::timeout(self.settings.turn, self.ask(messages, tools)).await {
            Err(_) => {
                let message = format!("no whole answer within {} s", self.settings.turn.as_secs());
                Err(Trouble::fault(FaultKind::TimedOut, message))
            }
            Ok(answer) => answer.map(|(reply, sent)| self.turn(reply, sent, messages, turn)),
        }
    }

    /// Asks; once more where it turns out that the endpoint does not stream. Returns the request's length as well, in bytes.
    async fn ask(&mut self, messages: &[Message], tools: &[Value]) -> Result<(Reply, usize), Trouble> {
        loop {
            let settings = &self.settings;
            let body = match settings.api {
                Api::Chat => chat::request(settings, messages, tools, self.streams),
                Api::Responses => responses::request(settings, messages, tools, self.streams),
            };
            match self.send(&body).await {
                Err(Trouble::Refused { what: Refused::Stream, message }) if self.streams && !self.has_streamed => {
                    tracing::info!("{} does not stream, and is asked for whole answers: {message}", self.name());
                    self.streams = false;
                }
                Err(Trouble::Refused { what: Refused::Stream, message }) => {
                    return Err(Trouble::fault(FaultKind::Garbled, message));
                }
                answer => {
                    self.has_streamed |= self.streams && answer.is_ok();
                    return answer.map(|reply| (reply, body.to_string().len()));
                }
            }
        }
    }

    async fn send(&self, body: &Value) -> Result<Reply, Trouble> {
        let answer: Result<Reply, OpenAIError> = match self.settings.api {
            Api::Chat => self.client.chat().create_byot(body).await,
            Api::Responses => self.client.responses().create_byot(body).await,
        };
        let key = &self.settings.key;
        match answer {
            Ok(mut reply) => {
                reply.hide(key);
                Ok(reply)
            }
            Err(OpenAIError::Boxed(error)) => Err(match error.downcast::<Trouble>() {
                Ok(trouble) => trouble.map_message(|message| key.hide(&message)),
                Err(error) => Trouble::fault(FaultKind::Garbled, key.hide(&chain(error.as_ref()))),
            }),
            Err(error) => Err(Trouble::fault(FaultKind::Garbled, key.hide(&chain(&error)))),
        }
    }

    fn turn(&mut self, reply: Reply, sent: usize, messages: &[Message], turn: u32) -> Turn {
        let estimated = estimated_tokens(sent);
        if reply.usage.is_some_and(|usage| usage.prompt < estimated / 3) && !self.warned {
            tracing::warn!(
                "{} counts far fewer tokens than it was sent: it may cut prompts to a short context",
                self.name()
            );
            self.warned = true;
        }
        // An endpoint that does not count: a budget of tokens must end the run all the same.
        let mut usage = reply.usage.unwrap_or_else(|| Usage {
            prompt: estimated,
            completion: estimated_tokens(reply.len()),
            ..Usage::default()
        });
        usage.usd = self.settings.price.map_or(0.0, |price| price.of(&usage));
        let told = reply.judge(&ids(messages), turn);
        Turn { calls: told.calls, usage, problem: told.problem, text: told.text, ..Turn::default() }
    }

    /// Takes note of a refusal. Returns whether the model may be asked again.
    pub(super) fn refused(&mut self, what: Refused, message: &str) -> bool {
        self.refusals += 1;
        if matches!(what, Refused::Request | Refused::Stream) && self.refusals < MOST_REFUSALS {
            return true;
        }
        self.ruled_out = Some(format!("{}: {message}", self.name()));
        false
    }
}

/// Returns a client that trusts the CAs that this machine does; where it has none, plain HTTP needs none.
fn client(base_url: &str) -> Result<reqwest::Client, OpenAiError> {
    let builder = || {
        let http = reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
        if is_here(base_url) { http.no_proxy() } else { http }
    };
    let without_roots = |error| match base_url.starts_with("https:") {
        true => Err(error),
        false => builder().tls_certs_only([]).build(),
    };
    builder().build().or_else(without_roots).map_err(|error| {
        let said = chain(&error);
        OpenAiError::Unreachable(format!(
            "no HTTP client for {base_url} can be made on this machine: {said}; install the system's CA certificates \
             (`ca-certificates`), or name a file with such in PEM in the environment variable SSL_CERT_FILE"
        ))
    })
}

/// Estimates the tokens of so many bytes, where nobody counts them: four bytes each, which errs towards more for code.
fn estimated_tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}

fn ids(messages: &[Message]) -> HashSet<&str> {
    let calls = messages.iter().flat_map(|message| match message {
        Message::Assistant { calls, .. } => calls.as_slice(),
        _ => &[],
    });
    calls.map(|RawCall { id, .. }| id.as_str()).collect()
}

/// Tells whether the endpoint is on this machine, where no proxy leads to.
fn is_here(base_url: &str) -> bool {
    let url = reqwest::Url::parse(base_url).ok();
    let host = url.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
