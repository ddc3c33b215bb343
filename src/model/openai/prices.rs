//! What OpenAI's own models cost, where the mission does not say.
//!
//! The list prices of the standard tier at <https://developers.openai.com/api/docs/pricing>, in US dollars for a million tokens.
//! Prices move, so the list has a date, a run that counts by it says so, and a mission's `price` stands above it. A model whose
//! price has a part that is not counted here, such as the writing of a cache, is not on it.

use super::price::Price;

/// When the prices were looked up.
const AS_OF: &str = "September 2026";

/// Name; prompt, cached and completion.
const LIST: [(&str, f64, f64, f64); 16] = [
    ("gpt-4.1", 2.0, 0.5, 8.0),
    ("gpt-4.1-mini", 0.4, 0.1, 1.6),
    ("gpt-4.1-nano", 0.1, 0.025, 0.4),
    ("gpt-4o", 2.5, 1.25, 10.0),
    ("gpt-4o-mini", 0.15, 0.075, 0.6),
    ("gpt-5", 1.25, 0.125, 10.0),
    ("gpt-5-mini", 0.25, 0.025, 2.0),
    ("gpt-5-nano", 0.05, 0.005, 0.4),
    ("gpt-5.1", 1.25, 0.125, 10.0),
    ("gpt-5.2", 1.75, 0.175, 14.0),
    ("gpt-5.4", 2.5, 0.25, 15.0),
    ("gpt-5.4-mini", 0.75, 0.075, 4.5),
    ("gpt-5.4-nano", 0.2, 0.02, 1.25),
    ("gpt-5.5", 5.0, 0.5, 30.0),
    ("gpt-5.6-luna", 0.2, 0.02, 1.2),
    ("gpt-5.6-terra", 2.0, 0.2, 12.0),
];

/// Returns the list price of `name`; that of `gpt-5` for a dated `gpt-5-2025-08-07` as well.
pub(super) fn listed(name: &str) -> Option<Price> {
    let name = undated(name);
    let (_, prompt, cached, completion) = LIST.into_iter().find(|(listed, ..)| *listed == name)?;
    Some(Price { prompt, cached: Some(cached), completion })
}

/// Says that the model `name` is counted at its list price.
pub(super) fn told(name: &str, price: &Price) -> String {
    let Price { prompt, cached, completion } = price;
    let cached = cached.unwrap_or(*prompt);
    format!(
        "{name} is counted at the list prices of {AS_OF}: {prompt} USD for a million prompt tokens, {cached} for cached ones, \
         {completion} for completion; `price` in its settings stands above them"
    )
}

/// Cuts a date such as `-2025-08-07` off.
fn undated(name: &str) -> &str {
    let date = |tail: &str| {
        tail.bytes().enumerate().all(
            |(place, byte)| {
                if matches!(place, 0 | 5 | 8) { byte == b'-' } else { byte.is_ascii_digit() }
            },
        )
    };
    match name.len().checked_sub("-2025-08-07".len()).and_then(|at| name.split_at_checked(at)) {
        Some((stem, tail)) if date(tail) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_name_has_its_model_s_price_and_an_unknown_one_none() {
        let price = listed("gpt-5").unwrap();
        assert_eq!((price.prompt, price.cached, price.completion), (1.25, Some(0.125), 10.0));
        assert_eq!(listed("gpt-5-2025-08-07"), Some(price));
        for unknown in ["gpt-5-codex", "gpt-5-2025-08-0x", "gpt-5-20250807", "", "-2025-08-07", "ägpt-2025-08-07"] {
            assert_eq!(listed(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_cached_token_never_costs_more_and_an_answer_s_never_less() {
        for (name, prompt, cached, completion) in LIST {
            assert!(0.0 < cached && cached < prompt && prompt < completion, "{name}");
        }
    }
}
