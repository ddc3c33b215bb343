//! The conversation: answers with the results of their calls, and what the program has to say beside them.

use serde_json::Value;

use super::briefing::legal;
use super::figures::came_to;
use super::limits::Limits;
use super::prompts::{Note, Words};
use super::quote::{cut, harmless, lines_left_out, one_line};
use super::tokens;
use crate::model::{Answer, CallResult, Message, ModelError, Turn, View};
use crate::protocol::{Problem, RawCall};

/// The arguments of an answer's calls may be so many times as long as its words: an edit holds code.
const ARGUMENTS: u64 = 20;

/// An answer, with the results of its calls and what has happened since.
#[derive(Clone, Debug)]
pub(super) struct Exchanged {
    text: String,
    /// Each call with what came of it, where that is known.
    calls: Vec<(RawCall, Option<CallResult>)>,
    note: Option<String>,
}

impl Exchanged {
    /// Puts an answer and what came of it together. `over` is how many iterations were over when the answer was asked for.
    pub(super) fn new(turn: Turn, view: &View<'_>, over: usize) -> Result<Self, ModelError> {
        let note = note(&turn, view, over)?;
        let mut results: Vec<Option<&CallResult>> = view.results.iter().map(Some).collect();
        let calls = turn.calls.into_iter().map(|call| {
            let fits = |result: &&mut Option<&CallResult>| result.is_some_and(|result| result.call == call.id);
            let result = results.iter_mut().find(fits).and_then(Option::take).cloned();
            (call, result)
        });
        let calls = calls.collect();
        Ok(Self { text: turn.text, calls, note })
    }

    /// Tells whether a call was carried out.
    pub(super) fn brought_something(&self) -> bool {
        self.calls.iter().any(|(_, result)| result.as_ref().is_some_and(|result| result.answer == Answer::Done))
    }

    /// Returns the messages for a request: the answer, a result for each of its calls, and the program's note.
    pub(super) fn messages(&self, limits: &Limits) -> Vec<Message> {
        let mut messages = Vec::new();
        let text = cut(harmless(&self.text).trim(), limits.words, lines_left_out);
        let ids = self.ids();
        // Nothing in a call is endless, nor are all calls of an answer together.
        let mut left = limits.words * ARGUMENTS;
        let shown = ids.iter().zip(&self.calls).map(|(id, (call, _))| RawCall {
            id: id.clone(),
            tool: short(&call.tool),
            arguments: bounded(&call.arguments, &mut left),
        });
        let calls: Vec<_> = shown.collect();
        if !text.is_empty() || !calls.is_empty() {
            messages.push(Message::Assistant { text, calls });
        }
        let mut left = limits.results;
        for (call, (_, result)) in ids.into_iter().zip(&self.calls) {
            let text = told(result.as_ref(), limits.result.min(left).max(LEAST));
            left = left.saturating_sub(tokens::count(&text));
            messages.push(Message::Tool { call, text });
        }
        messages.extend(self.note.clone().map(|text| Message::User { text }));
        messages
    }

    /// Returns an id for each call that is its own within the answer, whatever the model gave.
    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::with_capacity(self.calls.len());
        for (place, (call, _)) in self.calls.iter().enumerate() {
            let mut id = short(&call.id);
            if id.is_empty() || ids.contains(&id) {
                id.push_str(&format!("#{place}"));
            }
            while ids.contains(&id) {
                id.push('#');
            }
            ids.push(id);
        }
        ids
    }
}

/// Returns a name of a model's in bounds.
fn short(name: &str) -> String {
    one_line(name, 60)
}

/// Returns `value` with its strings cut to the `left` tokens, which they use up. What is no object becomes an empty one, as
/// endpoints want it.
fn bounded(value: &Value, left: &mut u64) -> Value {
    fn inside(value: &Value, left: &mut u64) -> Value {
        match value {
            Value::String(text) => {
                let text = cut(&harmless(text), (*left).max(LEAST), lines_left_out);
                *left = left.saturating_sub(tokens::count(&text));
                Value::String(text)
            }
            Value::Array(items) => items.iter().take(MOST_ITEMS).map(|item| inside(item, left)).collect(),
            Value::Object(map) => {
                map.iter().take(MOST_ITEMS).map(|(key, item)| (short(key), inside(item, left))).collect()
            }
            other => other.clone(),
        }
    }
    match value {
        Value::Object(_) => inside(value, left),
        _ => Value::Object(serde_json::Map::new()),
    }
}

/// What one result or string gets in any case, in tokens.
const LEAST: u64 = 60;

/// The most members of one list or object in a call's arguments.
const MOST_ITEMS: usize = 64;

fn told(result: Option<&CallResult>, limit: u64) -> String {
    let Some(result) = result else { return "not carried out".to_owned() };
    let text = harmless(&result.text);
    let text = if result.answer == Answer::Failed { format!("failed: {text}") } else { text };
    cut(&text, limit, |first, last| {
        format!("[{} lines are left out here: read-file shows them, a part at a time]", last + 1 - first)
    })
}

/// Says what was wrong with an answer's form, and which iterations ended since it was asked for.
fn note(turn: &Turn, view: &View<'_>, over: usize) -> Result<Option<String>, ModelError> {
    let problem = turn.problem.or(turn.calls.is_empty().then_some(Problem::NoCall));
    let mut lines: Vec<String> = problem.map(|problem| wrong(problem).to_owned()).into_iter().collect();
    let ended = view.state.ledger.iter().skip(over);
    lines.extend(ended.map(|record| format!("Iteration {} is over: {}.", record.iteration, came_to(record))));
    if lines.is_empty() {
        return Ok(None);
    }
    let state = view.state;
    Note { lines, iteration: state.iteration.0, phase: state.phase.name(), legal: legal(state) }.render().map(Some)
}

fn wrong(problem: Problem) -> &'static str {
    match problem {
        Problem::NoCall => {
            "Your answer had no tool call, so nothing happened. Answer with a call of a tool, in the tools' own format."
        }
        Problem::Empty => "Your answer was empty, so nothing happened. Answer with a call of a tool.",
        Problem::Truncated => {
            "Your answer reached the limit of tokens and was cut off; what was not whole was not carried out. That is no mistake of \
             form: answer with less before the call, and change the kernel by `edits`, not by its whole `text`."
        }
        Problem::Refusal => {
            "Your answer declined, so nothing happened. The task is to make a compute kernel faster, with its owner's consent; \
             go on with a call of a tool."
        }
        Problem::Overlong => {
            "Your answer was longer than anybody reads, and was not carried out. Answer with a call of a tool and few words."
        }
    }
}
