//! The context of a long run: the run's own records in front, the newest conversation behind, and the rest forgotten.

use super::briefing::{FRUITLESS, Flight, briefing};
use super::limits::Limits;
use super::mission::opening;
use super::tokens;
use super::turns::Exchanged;
use crate::model::{Context, Message, ModelError, Turn, View};

/// What the next request does with the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Goes on with it: the request before begins the next one.
    Extend,
    /// Keeps its last exchange alone, behind a new briefing.
    Compact,
    /// Drops it.
    Restart,
}

/// A [`Context`] that stays bounded however long the run is.
///
/// A request is the rules, the mission, a briefing made from the run's state, and the conversation since. Between compactions
/// each request begins with the one before it, so that a provider's prefix cache holds. A compaction happens where an iteration
/// has ended and the conversation is long enough; only answers that bring nothing, a request beyond the model's window, and a
/// new process make the request anew elsewhere.
#[derive(Debug)]
pub struct Ledgered {
    limits: Limits,
    /// How often the request has been made smaller.
    steps: u32,
    /// What the next request may have, in tokens, where the last one was too long.
    ceiling: Option<u64>,
    plan: Plan,
    /// The last request.
    messages: Vec<Message>,
    /// Tokens of `messages`, and of those before the conversation.
    tokens: u64,
    head: u64,
    /// Iterations that were over at the last compaction, and at the last request.
    compacted: usize,
    over: usize,
    /// The answer whose results are not in `messages` yet.
    answer: Option<Turn>,
    last: Option<Exchanged>,
    fruitless: u32,
}

impl Ledgered {
    /// Returns a context for requests of at most `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            steps: 0,
            ceiling: None,
            plan: Plan::Restart,
            messages: Vec::new(),
            tokens: 0,
            head: 0,
            compacted: 0,
            over: 0,
            answer: None,
            last: None,
            fruitless: 0,
        }
    }

    /// Takes in the results of the last answer, and decides what becomes of the conversation.
    fn take_in(&mut self, answer: Turn, view: &View<'_>) -> Result<(), ModelError> {
        let exchanged = Exchanged::new(answer, view, self.over)?;
        self.fruitless = if exchanged.brought_something() { 0 } else { self.fruitless + 1 };
        self.push(exchanged.messages(&self.limits()));
        self.last = Some(exchanged);
        let limits = self.limits();
        let over = view.state.ledger.len();
        let ended = over > self.over;
        let is_long = over >= self.compacted + limits.live_iterations || self.tokens >= self.head + limits.live;
        if self.fruitless >= FRUITLESS || self.tokens > limits.request {
            self.plan = Plan::Restart;
        } else if ended && is_long && self.plan == Plan::Extend {
            self.plan = Plan::Compact;
        }
        self.over = over;
        Ok(())
    }

    /// Makes the request anew, and smaller where it would still be too long.
    fn rebuild(&mut self, view: &View<'_>) -> Result<(), ModelError> {
        loop {
            let limits = self.limits();
            let last = if self.plan == Plan::Compact { self.last.take() } else { None };
            let flight = if last.is_some() { Flight::InConversation } else { Flight::Told };
            self.messages.clear();
            self.tokens = 0;
            self.push(opening(view, &limits)?);
            self.push([Message::User { text: briefing(view, &limits, flight)? }]);
            self.head = self.tokens;
            if let Some(last) = &last {
                self.push(last.messages(&limits));
            }
            let most = self.ceiling.map_or(limits.request, |ceiling| ceiling.min(limits.request));
            if self.tokens <= most || !self.step_down() {
                break;
            }
        }
        self.ceiling = None;
        self.plan = Plan::Extend;
        self.last = None;
        self.fruitless = 0;
        self.over = view.state.ledger.len();
        self.compacted = self.over;
        Ok(())
    }

    /// Makes the limits smaller. Returns whether they can be.
    fn step_down(&mut self) -> bool {
        if self.steps >= Limits::STEPS {
            return false;
        }
        self.steps += 1;
        self.renew();
        true
    }

    fn limits(&self) -> Limits {
        self.limits.smaller(self.steps)
    }

    fn push(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            self.tokens += of(&message);
            self.messages.push(message);
        }
    }
}

impl Context for Ledgered {
    fn request(&mut self, view: &View<'_>) -> Result<Vec<Message>, ModelError> {
        if let Some(answer) = self.answer.take() {
            self.take_in(answer, view)?;
        }
        if self.plan != Plan::Extend {
            self.rebuild(view)?;
        }
        Ok(self.messages.clone())
    }

    fn answered(&mut self, turn: &Turn) {
        self.answer = Some(turn.clone());
    }

    fn shrink(&mut self) -> bool {
        if !self.step_down() {
            return false;
        }
        // Made anew, a request tells more than the one that it replaces: smaller limits alone may not make it smaller.
        self.ceiling = Some(self.tokens / 10 * 9);
        true
    }

    fn renew(&mut self) {
        self.plan = Plan::Restart;
    }
}

/// Returns about how many tokens a message is, its frame included.
fn of(message: &Message) -> u64 {
    const FRAME: u64 = 4;
    FRAME
        + match message {
            Message::System { text } | Message::User { text } | Message::Tool { text, .. } => tokens::count(text),
            Message::Assistant { text, calls } => {
                let calls = calls
                    .iter()
                    .map(|call| FRAME + tokens::count(&call.tool) + tokens::count(&call.arguments.to_string()));
                tokens::count(text) + calls.sum::<u64>()
            }
        }
}
