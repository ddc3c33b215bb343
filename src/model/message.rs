//! The conversation with a language model, in words that every endpoint's format is made from.

use serde::{Deserialize, Serialize};

use crate::protocol::RawCall;

/// One message of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// The rules, before everything else.
    System {
        /// The words.
        text: String,
    },
    /// The mission, the ledger, and every other word of the program's.
    User {
        /// The words.
        text: String,
    },
    /// An answer of the model's.
    Assistant {
        /// The words beside the calls.
        text: String,
        /// The calls; each one's result follows.
        calls: Vec<RawCall>,
    },
    /// The result of a call.
    Tool {
        /// The call's id.
        call: String,
        /// The words.
        text: String,
    },
}

/// What was sent, as the difference from the request before it in the same transcript.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// So many messages of the request before it began this one as well.
    pub kept: usize,
    /// The messages behind those.
    pub messages: Vec<Message>,
    /// Whether it was made anew because the endpoint had failed at the conversation again and again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renewed: bool,
}

impl Sent {
    /// Returns the difference of `request` from `before`.
    pub fn between(before: &[Message], request: &[Message]) -> Self {
        let kept = before.iter().zip(request).take_while(|(before, now)| before == now).count();
        Self { kept, messages: request.iter().skip(kept).cloned().collect(), renewed: false }
    }

    /// Turns the request `before` into this one. Where `before` is not what it was, so much of it as there is is kept.
    pub fn apply(&self, before: &mut Vec<Message>) {
        before.truncate(self.kept);
        before.extend(self.messages.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_again_from_its_difference() {
        let user = |text: &str| Message::User { text: text.to_owned() };
        let requests = [vec![user("a")], vec![user("a"), user("b")], vec![user("c")], Vec::new(), vec![user("c")]];
        let mut found = Vec::new();
        for pair in requests.windows(2) {
            let sent = Sent::between(&pair[0], &pair[1]);
            found.clone_from(&pair[0]);
            sent.apply(&mut found);
            assert_eq!(found, pair[1]);
        }
        assert_eq!(
            Sent::between(&requests[0], &requests[1]),
            Sent { kept: 1, messages: vec![user("b")], renewed: false }
        );
    }
}
