//! How much of everything a request may hold.

use super::tokens::count;

/// The window that is assumed where nobody says how long it is, in tokens.
const USUAL_WINDOW: u64 = 128_000;

/// Bounds of a request's parts, in tokens unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole request. The tools' schemas and the answer come beside it.
    pub request: u64,
    /// The conversation is folded into the ledger at the first end of an iteration after so many.
    pub live_iterations: usize,
    /// The same, after so many tokens.
    pub live: u64,
    /// All rows of the ledger.
    pub ledger: u64,
    /// Iterations at the ledger's end that are shown in full.
    pub recent: usize,
    /// Each of these: its difference, and its words.
    pub each_recent: u64,
    /// The kernel's text.
    pub kernel: u64,
    /// What the harness says of its problem.
    pub description: u64,
    /// The result of one call.
    pub result: u64,
    /// The results of one turn together.
    pub results: u64,
    /// The words of an answer; the arguments of its calls may be 20 times as long.
    pub words: u64,
}

impl Limits {
    /// The number of times that a request can be made smaller.
    pub(super) const STEPS: u32 = 4;

    /// Returns the limits for a model whose window is so many tokens long.
    pub fn for_context(tokens: Option<u64>) -> Self {
        let window = tokens.unwrap_or(USUAL_WINDOW).max(1);
        Self {
            // The schemas are some 1,500 tokens; an answer with a whole kernel is as long as the kernel.
            request: window / 4 * 3,
            live_iterations: 6,
            live: (window / 4).min(12_000),
            ledger: (window / 16).min(1_200),
            recent: 3,
            each_recent: (window / 64).min(400),
            kernel: (window / 5).min(24_000),
            description: (window / 32).min(1_500),
            result: (window / 16).min(2_000),
            results: (window / 8).min(6_000),
            words: (window / 64).min(400),
        }
    }

    /// Says that a mission's prompt leaves too little of the request to everything else, where it does. It is the one part that
    /// is never cut: half a mission is another mission.
    pub fn too_long(&self, prompt: &str) -> Option<String> {
        let (tokens, most) = (count(prompt), self.request / 2);
        (tokens > most).then(|| {
            format!(
                "the mission's prompt is about {tokens} tokens, and of its `context_tokens` a model can spare {most} for it: \
                 shorten the prompt and let the model read the rest from files (`read`), or ask a model with a longer window"
            )
        })
    }

    /// Returns the limits after `steps` steps towards a smaller request.
    #[must_use]
    pub(super) fn smaller(self, steps: u32) -> Self {
        let half = |tokens: u64| tokens >> steps;
        Self {
            live_iterations: (self.live_iterations >> steps).max(1),
            live: half(self.live),
            ledger: half(self.ledger),
            recent: self.recent.saturating_sub(steps as usize),
            each_recent: half(self.each_recent),
            kernel: half(self.kernel),
            description: half(self.description),
            result: half(self.result),
            results: half(self.results),
            words: half(self.words),
            request: self.request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_leaves_no_room_is_told_before_it_is_sent() {
        let limits = Limits::for_context(Some(4096));
        assert_eq!(limits.too_long(&"make it faster ".repeat(300)), None);
        assert!(limits.too_long(&"make it faster ".repeat(1000)).unwrap().contains("`context_tokens`"));
    }

    #[test]
    fn what_is_shown_at_once_fits_into_any_usual_window() {
        for window in [8_192, 32_768, 131_072, 1_000_000] {
            let limits = Limits::for_context(Some(window));
            let fixed =
                limits.ledger + limits.kernel + limits.description + limits.results + 3 * limits.each_recent + 1_500;
            assert!(fixed <= limits.request, "{limits:?}");
        }
        assert_eq!(Limits::for_context(None), Limits::for_context(Some(128_000)));
    }

    #[test]
    fn each_step_is_smaller() {
        let limits = Limits::for_context(None);
        let kernels: Vec<_> = (0..=Limits::STEPS).map(|steps| limits.smaller(steps).kernel).collect();
        assert!(kernels.windows(2).all(|pair| pair[1] < pair[0]));
        assert_eq!(limits.smaller(0), limits);
    }
}
