//! What can be wrong with a model's answer, or with its coming at all, and how long to wait before asking again.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an attempt to ask a model came to nothing, where asking again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The endpoint asks for patience.
    RateLimited,
    /// The endpoint failed by its own account.
    Server,
    /// No connection: name resolution, refusal, TLS.
    Unreachable,
    /// The connection broke before the answer was whole.
    CutOff,
    /// No byte came for too long.
    Stalled,
    /// The attempt took longer than one may.
    TimedOut,
    /// What came is no answer.
    Garbled,
    /// The request is longer than the model can read: the next one is built smaller.
    TooLong,
    /// The endpoint refuses this model or this key, and there is another model to ask.
    Denied,
}

impl FaultKind {
    /// Returns the fault in a few words, for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Self::RateLimited => "the endpoint asks for patience",
            Self::Server => "the endpoint failed",
            Self::Unreachable => "the endpoint is out of reach",
            Self::CutOff => "the connection broke in the middle of the answer",
            Self::Stalled => "the endpoint fell silent",
            Self::TimedOut => "the answer took too long",
            Self::Garbled => "what came is no answer",
            Self::TooLong => "the request is too long for the model",
            Self::Denied => "the endpoint refuses this model",
        }
    }

    /// Tells whether waiting is what helps. Where the next attempt is another one, it is made at once.
    fn passes(self) -> bool {
        !matches!(self, Self::TooLong | Self::Denied)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// Why an answer that came has no call to carry out, or fewer than it meant to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Words, and no call.
    NoCall,
    /// Nothing at all.
    Empty,
    /// The limit of tokens ended it.
    Truncated,
    /// The model declines.
    Refusal,
    /// More than anybody reads.
    Overlong,
}

impl Problem {
    /// Returns the problem in a few words, for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoCall => "words without a call",
            Self::Empty => "an empty answer",
            Self::Truncated => "cut off by the limit of tokens",
            Self::Refusal => "the model declines",
            Self::Overlong => "longer than anybody reads",
        }
    }
}

/// How long to wait between the attempts of one turn: exponential, capped, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After the first fault, in milliseconds.
    pub base_ms: u64,
    /// At most, in milliseconds. A server that asks for more gets up to ten times as much.
    pub cap_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { base_ms: 1000, cap_ms: 60_000 }
    }
}

impl Patience {
    /// No waiting, for scripts.
    pub const NONE: Self = Self { base_ms: 0, cap_ms: 0 };

    /// Returns the milliseconds to wait after a fault that `faults` others came before in the same turn. The server may
    /// have asked for `retry_after_ms`. `jitter`, from 0 to 1, keeps many runs from asking at the same moment.
    pub fn wait_ms(self, kind: FaultKind, faults: u32, retry_after_ms: Option<u64>, jitter: f64) -> u64 {
        if !kind.passes() {
            return 0;
        }
        let doubled = self.base_ms.saturating_mul(1_u64 << faults.min(20)).min(self.cap_ms);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a wait"
        )]
        let drawn = (doubled as f64 * (0.5 + 0.5 * jitter.clamp(0.0, 1.0))) as u64;
        drawn.max(retry_after_ms.unwrap_or(0).min(self.cap_ms.saturating_mul(10)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_up_to_its_cap_and_never_falls_below_half_of_it() {
        let patience = Patience { base_ms: 1000, cap_ms: 60_000 };
        let wait = |faults, jitter| patience.wait_ms(FaultKind::Server, faults, None, jitter);
        assert_eq!([wait(0, 0.0), wait(0, 1.0), wait(3, 1.0), wait(6, 1.0)], [500, 1000, 8000, 60_000]);
        assert_eq!(wait(u32::MAX, 0.0), 30_000);
    }

    #[test]
    fn a_server_gets_the_time_it_asks_for_within_reason() {
        let patience = Patience { base_ms: 1000, cap_ms: 60_000 };
        let wait = |asked| patience.wait_ms(FaultKind::RateLimited, 0, Some(asked), 1.0);
        assert_eq!([wait(20_000), wait(0), wait(86_400_000)], [20_000, 1000, 600_000]);
    }

    #[test]
    fn what_waiting_does_not_mend_is_not_waited_for() {
        for kind in [FaultKind::TooLong, FaultKind::Denied] {
            assert_eq!(Patience::default().wait_ms(kind, 9, Some(5000), 1.0), 0);
        }
        assert_eq!(Patience::NONE.wait_ms(FaultKind::Server, 3, Some(5000), 1.0), 0);
    }
}
