//! What an endpoint's refusals and failures mean.

use serde_json::Value;
use thiserror::Error;

use crate::protocol::FaultKind;

/// The longest message of an endpoint that is kept, in characters.
const LONGEST_MESSAGE: usize = 300;

/// Why one attempt brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Trouble {
    /// Asking again may help.
    #[error("{message}")]
    Fault {
        /// In a word.
        kind: FaultKind,
        /// In the endpoint's words.
        message: String,
        /// The endpoint's own wish.
        retry_after_ms: Option<u64>,
    },
    /// The endpoint does not serve this model, this key or this request.
    #[error("{message}")]
    Refused {
        /// What it refuses.
        what: Refused,
        /// In the endpoint's words, with a remedy.
        message: String,
    },
}

/// What an endpoint refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The key, or what it may do.
    Key,
    /// The account: its balance or its quota.
    Account,
    /// The model's name or the address.
    Address,
    /// To stream.
    Stream,
    /// The request's form.
    Request,
}

impl Refused {
    fn remedy(self) -> &'static str {
        match self {
            Self::Key => "check the key (`api_key_env`, `api_key_file`) and its rights",
            Self::Account => "check the account's balance and quota",
            Self::Address => "check the model's `name` and `base_url`",
            Self::Stream | Self::Request => {
                "the endpoint does not take such a request; check the model's settings, and whether it takes tools"
            }
        }
    }
}

impl Trouble {
    pub(super) fn fault(kind: FaultKind, message: impl Into<String>) -> Self {
        Self::Fault { kind, message: message.into(), retry_after_ms: None }
    }

    fn refused(what: Refused, said: &str) -> Self {
        Self::Refused { what, message: format!("{said}; {}", what.remedy()) }
    }

    /// Returns the same with its message turned into another.
    pub(super) fn map_message(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Fault { kind, message, retry_after_ms } => {
                Self::Fault { kind, message: change(message), retry_after_ms }
            }
            Self::Refused { what, message } => Self::Refused { what, message: change(message) },
        }
    }

    /// Reads a status that is no success, with the body that came with it and the wait that it asks for.
    pub(super) fn of(status: u16, body: &str, retry_after_ms: Option<u64>) -> Self {
        let said = format!("the endpoint answered {status}: {}", excerpt(body));
        let low = body.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
        let fault = |kind| Self::Fault { kind, message: said.clone(), retry_after_ms };
        match status {
            401 | 403 => Self::refused(Refused::Key, &said),
            402 => Self::refused(Refused::Account, &said),
            429 if has(&["insufficient_quota", "billing_hard_limit"]) => Self::refused(Refused::Account, &said),
            429 => fault(FaultKind::RateLimited),
            413 => fault(FaultKind::TooLong),
            400 | 422 | 500 if has(&TOO_LONG) => fault(FaultKind::TooLong),
            400 | 405 | 406 | 415 | 422 | 501 if speaks_of_streams(&low) => Self::refused(Refused::Stream, &said),
            300..400 | 404 => Self::refused(Refused::Address, &said),
            400 if has(&WANTS_TLS) => Self::refused(Refused::Address, &said),
            400 | 422 if has(&UNKNOWN_MODEL) => Self::refused(Refused::Address, &said),
            408 | 409 | 425 | 500.. => fault(FaultKind::Server),
            _ => Self::refused(Refused::Request, &said),
        }
    }

    /// Reads an error object that came under a status of success: it names its own status, or is the server's.
    pub(super) fn of_error(error: &Value) -> Self {
        let text = error.to_string();
        let code = error.get("code").or_else(|| error.get("status"));
        let status = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let status = status.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
        let has = |words: &[&str]| words.iter().any(|word| text.to_ascii_lowercase().contains(word));
        let status = status.unwrap_or_else(|| match () {
            () if has(&["insufficient_quota", "rate_limit", "rate limit"]) => 429,
            () if has(&TOO_LONG) => 400,
            () => 500,
        });
        Self::of(status, &text, None)
    }
}

const TOO_LONG: [&str; 6] =
    ["context length", "context_length", "context size", "context_size", "context window", "maximum context"];
/// What web servers say to plain HTTP at a port for TLS.
const WANTS_TLS: [&str; 2] = ["to an https server", "to https port"];
const UNKNOWN_MODEL: [&str; 4] = ["model_not_found", "model not found", "unknown model", "not a valid model"];

/// Tells whether a refusal is about streaming; an "upstream" is not.
fn speaks_of_streams(low: &str) -> bool {
    low.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .any(|word| matches!(word, "stream" | "streaming" | "streamed" | "stream_options"))
}

/// Returns an endpoint's words, short: the message of an error object, or the body as it is.
pub(super) fn excerpt(body: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    let error = parsed.as_ref().map(|body| body.get("error").unwrap_or(body));
    let message = error.and_then(|error| error.get("message").unwrap_or(error).as_str());
    let code = error.and_then(|error| error.get("code")).and_then(Value::as_str);
    let said = match (message, code) {
        (Some(message), Some(code)) => format!("{message} ({code})"),
        (Some(message), None) => message.to_owned(),
        (None, _) => body.to_owned(),
    };
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if said.is_empty() { "nothing".to_owned() } else { said.chars().take(LONGEST_MESSAGE).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(trouble: &Trouble) -> String {
        match trouble {
            Trouble::Fault { kind, .. } => format!("{kind:?}"),
            Trouble::Refused { what, .. } => format!("{what:?}"),
        }
    }

    #[test]
    fn a_refusal_is_taken_for_what_it_is() {
        for (status, body, expected) in [
            (401, "", "Key"),
            (403, "<html>", "Key"),
            (404, "no such model", "Address"),
            (301, "", "Address"),
            (402, "", "Account"),
            (429, r#"{"error":{"code":"insufficient_quota"}}"#, "Account"),
            (429, "slow down", "RateLimited"),
            (500, "oops", "Server"),
            (503, "loading model", "Server"),
            (529, "overloaded", "Server"),
            (408, "", "Server"),
            (413, "", "TooLong"),
            (400, "This model's maximum context length is 8192 tokens", "TooLong"),
            (400, r#"{"error":{"code":"context_length_exceeded"}}"#, "TooLong"),
            (400, "the request exceeds the available context size", "TooLong"),
            (400, r#"{"error":{"message":"unknown model x"}}"#, "Address"),
            (400, "Client sent an HTTP request to an HTTPS server.", "Address"),
            (400, "<h1>400</h1>The plain HTTP request was sent to HTTPS port", "Address"),
            (400, "stream is not supported with tools", "Stream"),
            (422, "extra inputs: stream_options", "Stream"),
            (400, "upstream says no", "Request"),
            (400, "bad field", "Request"),
        ] {
            assert_eq!(kind(&Trouble::of(status, body, None)), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_error_under_a_status_of_success_names_its_own() {
        for (error, expected) in [
            (json!({"code": 401, "message": "no"}), "Key"),
            (json!({"code": "429"}), "RateLimited"),
            (json!({"type": "rate_limit_error"}), "RateLimited"),
            (json!({"code": "insufficient_quota"}), "Account"),
            (json!({"code": "context_length_exceeded"}), "TooLong"),
            (json!({"code": 7}), "Server"),
            (json!("down"), "Server"),
        ] {
            assert_eq!(kind(&Trouble::of_error(&error)), expected, "{error}");
        }
    }

    #[test]
    fn the_endpoint_is_quoted_briefly() {
        assert_eq!(excerpt(r#"{"error":{"message":"no\n way","code":"x"}}"#), "no way (x)");
        assert_eq!(excerpt(r#"{"error":"no"}"#), "no");
        assert_eq!(excerpt(" \n"), "nothing");
        assert_eq!(excerpt(&"é".repeat(1000)).chars().count(), 300);
    }
}
