//! A small context: system and mission first, then the exchanges of the iteration, each call with its result.

use afterhours::model::{Context, Message, ModelError, Turn, View};
use afterhours::protocol::RawCall;

/// Says what the model is asked next.
pub type Says = Box<dyn FnMut(&View<'_>) -> String>;

pub struct Talk {
    says: Says,
    tail: Vec<Message>,
    open: Vec<RawCall>,
    iteration: u32,
    is_ready: bool,
}

impl Talk {
    pub fn new(says: impl FnMut(&View<'_>) -> String + 'static) -> Self {
        Self { says: Box::new(says), tail: Vec::new(), open: Vec::new(), iteration: 0, is_ready: false }
    }

    fn user(text: &str) -> Message {
        Message::User { text: text.to_owned() }
    }
}

impl Context for Talk {
    fn request(&mut self, view: &View<'_>) -> Result<Vec<Message>, ModelError> {
        if !self.is_ready {
            for call in std::mem::take(&mut self.open) {
                let result = view.results.iter().find(|result| result.call == call.id);
                let text = result.map_or("not carried out", |result| &result.text).to_owned();
                self.tail.push(Message::Tool { call: call.id, text });
            }
            if self.iteration != view.state.iteration.0 {
                self.iteration = view.state.iteration.0;
                self.tail.clear();
            }
            self.tail.push(Self::user(&(self.says)(view)));
            self.is_ready = true;
        }
        let head = [Message::System { text: "The rules.".to_owned() }, Self::user(view.prompt)];
        Ok(head.into_iter().chain(self.tail.iter().cloned()).collect())
    }

    fn answered(&mut self, turn: &Turn) {
        self.tail.push(Message::Assistant { text: turn.text.clone(), calls: turn.calls.clone() });
        self.open.clone_from(&turn.calls);
        self.is_ready = false;
    }

    fn shrink(&mut self) -> bool {
        let last = self.tail.pop();
        let could = !self.tail.is_empty();
        self.tail.clear();
        self.tail.extend(last);
        could
    }

    fn renew(&mut self) {
        self.shrink();
    }
}
