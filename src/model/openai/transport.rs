//! The client library's way to the network: one request, no retries, and an answer that is read within its bounds.
//!
//! The library's own retries would hide faults, and its own reading neither bounds an answer nor tells a whole stream from one
//! that broke off.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use jiff::Timestamp;
use reqwest::header::HeaderMap;

use super::body::{Body, More};
use super::key::Key;
use super::reply::Reply;
use super::settings::Api;
use super::tls;
use super::trouble::Trouble;
use crate::protocol::FaultKind;

/// The most that is read of a refusal, in bytes.
const MOST_REFUSAL: usize = 16 * 1024;
/// How long to wait for a whole answer's count of tokens and its end.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// What to do where no connection can be made.
const OUT_OF_REACH: &str = "check `base_url` (https or http, host, port), the network, and whether the server runs";

/// Sends a request once, and reads its answer. The response that the library gets is the answer in the program's words.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) api: Api,
    pub(super) key: Key,
    /// The longest silence.
    pub(super) stall: Duration,
}

impl tower_service::Service<HttpRequestFactory> for Transport {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            let request = request.build().await?;
            let reply = transport.exchange(request).await.map_err(|trouble| OpenAIError::Boxed(Box::new(trouble)))?;
            let reply = serde_json::to_vec(&reply).map_err(|error| OpenAIError::Boxed(Box::new(error)))?;
            Ok(http::Response::new(reply).into())
        })
    }
}

impl Transport {
    async fn exchange(&self, request: reqwest::Request) -> Result<Reply, Trouble> {
        let response = self.within(self.http.execute(request)).await?.map_err(|error| broken(&error))?;
        if response.status().is_success() { self.read(response).await } else { self.refused(response).await }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Reply, Trouble> {
        let mut body = Body::new(self.api, self.key.clone());
        loop {
            let patience = if body.is_whole() { AFTERWARDS.min(self.stall) } else { self.stall };
            match tokio::time::timeout(patience, response.chunk()).await {
                // The answer is there: how its connection ends does not matter.
                Err(_) | Ok(Err(_)) if body.is_whole() => break,
                Err(_) => return Err(self.stalled()),
                // Small servers close without a farewell of TLS: an answer in one piece may be whole nonetheless.
                Ok(Err(error)) => return body.end().map_err(|_| broken(&error)),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(piece))) => {
                    if body.push(&piece)? == More::Enough {
                        break;
                    }
                }
            }
        }
        body.end()
    }

    async fn refused(&self, mut response: reqwest::Response) -> Result<Reply, Trouble> {
        let status = response.status().as_u16();
        let retry_after_ms = retry_after_ms(response.headers(), Timestamp::now());
        let mut body = Vec::new();
        // A body that breaks off says nothing that the status does not.
        while body.len() < MOST_REFUSAL
            && let Ok(Ok(Some(piece))) = tokio::time::timeout(AFTERWARDS.min(self.stall), response.chunk()).await
        {
            body.extend_from_slice(&piece);
        }
        body.truncate(MOST_REFUSAL);
        let body = self.key.hide(&String::from_utf8_lossy(&body));
        // So OpenAI says that a model thought for as long as it may speak.
        if status == 400 && body.contains("model output limit was reached") {
            return Ok(Reply { truncated: true, ..Reply::default() });
        }
        Err(Trouble::of(status, &body, retry_after_ms))
    }

    async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, Trouble> {
        tokio::time::timeout(self.stall, future).await.map_err(|_| self.stalled())
    }

    fn stalled(&self) -> Trouble {
        Trouble::fault(FaultKind::Stalled, format!("not a byte for {} s", self.stall.as_secs()))
    }
}

fn broken(error: &reqwest::Error) -> Trouble {
    let kind = if error.is_connect() { FaultKind::Unreachable } else { FaultKind::CutOff };
    let remedy = tls::remedy(error).or(error.is_connect().then_some(OUT_OF_REACH));
    let said = chain(error);
    Trouble::fault(kind, remedy.map_or(said.clone(), |remedy| format!("{said}; {remedy}")))
}

/// Reads how long the endpoint asks to wait, in milliseconds: `retry-after-ms`, or `Retry-After` in seconds or as a date.
fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str, to_ms: f64| {
        let number: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and `as` saturates")]
        (number.is_finite() && number >= 0.0).then_some((number * to_ms) as u64)
    };
    let date = |text: &str| {
        let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(u64::try_from(until.as_millisecond() - now.as_millisecond()).unwrap_or(0))
    };
    text("retry-after-ms")
        .and_then(|text| number(text, 1.0))
        .or_else(|| text("retry-after").and_then(|text| number(text, 1000.0).or_else(|| date(text))))
}

/// Returns an error with its causes, each said once: the outermost alone says only that a request failed.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_each_of_its_forms() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let wait = |name: &'static str, value: &str| {
            let headers = [(reqwest::header::HeaderName::from_static(name), value.parse().unwrap())];
            retry_after_ms(&headers.into_iter().collect(), now)
        };
        assert_eq!(wait("retry-after", "3"), Some(3000));
        assert_eq!(wait("retry-after", "0.5"), Some(500));
        assert_eq!(wait("retry-after-ms", "250"), Some(250));
        assert_eq!(wait("retry-after", "Tue, 24 Nov 2026 12:00:20 GMT"), Some(20_000));
        assert_eq!(wait("retry-after", "Tue, 24 Nov 2026 11:00:00 GMT"), Some(0));
        for nonsense in ["soon", "-1", "NaN", ""] {
            assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
        }
    }
}
