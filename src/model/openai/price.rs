//! What tokens cost.

use serde::Deserialize;

use crate::protocol::Usage;

/// US dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Prompt tokens that were not in the provider's cache.
    pub prompt: f64,
    /// Prompt tokens that were; as the others where left out.
    pub cached: Option<f64>,
    /// Completion tokens.
    pub completion: f64,
}

impl Price {
    /// Returns the US dollars that these tokens cost.
    #[expect(clippy::cast_precision_loss, reason = "no answer has 2^53 tokens")]
    pub fn of(&self, usage: &Usage) -> f64 {
        let fresh = usage.prompt.saturating_sub(usage.cached) as f64 * self.prompt;
        let cached = usage.cached.min(usage.prompt) as f64 * self.cached.unwrap_or(self.prompt);
        (fresh + cached + usage.completion as f64 * self.completion) / 1e6
    }

    /// Tells whether every amount is a possible one.
    pub(super) fn is_possible(&self) -> bool {
        [Some(self.prompt), self.cached, Some(self.completion)]
            .into_iter()
            .flatten()
            .all(|usd| usd.is_finite() && usd >= 0.0)
    }

    /// Tells whether nothing costs anything.
    pub(super) fn is_free(&self) -> bool {
        self.prompt == 0.0 && self.cached.unwrap_or_default() == 0.0 && self.completion == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_cost_their_own_price() {
        let usage = Usage { prompt: 1_000_000, cached: 500_000, completion: 250_000, usd: 0.0 };
        let price = Price { prompt: 2.0, cached: Some(0.5), completion: 8.0 };
        assert_eq!(price.of(&usage), 1.0 + 0.25 + 2.0);
        assert_eq!(Price { cached: None, ..price }.of(&usage), 2.0 + 2.0);
    }
}
