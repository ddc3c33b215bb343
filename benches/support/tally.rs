//! The tokens of requests by the table `o200k`, and how much of each began the one before.

use afterhours::model::Message;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The iteration it is made in.
    pub iteration: u32,
    /// All of it.
    pub tokens: u64,
    /// So many of them began the request before as well.
    pub known: u64,
    /// Whether it goes on with the request before.
    pub extends: bool,
}

impl Row {
    /// Returns the share that began the request before.
    pub fn share(&self) -> f64 {
        self.known as f64 / self.tokens.max(1) as f64
    }
}

/// Counts requests.
#[derive(Default)]
pub struct Tally {
    /// Every request, in order.
    pub rows: Vec<Row>,
    before: Vec<(Message, u64)>,
}

impl Tally {
    /// Takes a request in.
    pub fn push(&mut self, iteration: u32, request: &[Message]) {
        let kept = self.before.iter().zip(request).take_while(|((before, _), now)| before == *now).count();
        let extends = kept == self.before.len();
        self.before.truncate(kept);
        let known = self.before.iter().map(|(_, tokens)| tokens).sum();
        self.before.extend(request.iter().skip(kept).map(|message| (message.clone(), tokens(message))));
        let tokens = self.before.iter().map(|(_, tokens)| tokens).sum();
        self.rows.push(Row { iteration, tokens, known, extends });
    }

    /// Returns the tokens of all requests of the first `iterations`.
    pub fn sum(&self, iterations: u32) -> u64 {
        self.rows.iter().filter(|row| row.iteration <= iterations).map(|row| row.tokens).sum()
    }

    /// Returns the mean and the largest request of these iterations, in tokens.
    pub fn size(&self, iterations: std::ops::RangeInclusive<u32>) -> (u64, u64) {
        let of = || self.rows.iter().filter(|row| iterations.contains(&row.iteration)).map(|row| row.tokens);
        (of().sum::<u64>() / (of().count().max(1) as u64), of().max().unwrap_or(0))
    }

    /// Returns the shares of the requests that go on with the one before, in ascending order.
    pub fn shares(&self) -> Vec<f64> {
        let mut shares: Vec<f64> = self.rows.iter().skip(1).filter(|row| row.extends).map(Row::share).collect();
        shares.sort_by(f64::total_cmp);
        shares
    }
}

/// Returns the tokens of a message: its words, and its calls as JSON.
pub fn tokens(message: &Message) -> u64 {
    let table = bpe_openai::o200k_base();
    let count = |text: &str| table.count(text) as u64;
    match message {
        Message::System { text } | Message::User { text } | Message::Tool { text, .. } => count(text),
        Message::Assistant { text, calls } => {
            count(text) + calls.iter().map(|call| count(&call.tool) + count(&call.arguments.to_string())).sum::<u64>()
        }
    }
}
