//! An answer in the program's words, whichever interface it came through.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arguments;
use super::key::Key;
use crate::protocol::{Problem, RawCall, Usage};

/// The longest name of a tool and the longest id that are kept, in characters: endpoints allow 64 themselves.
const LONGEST_NAME: usize = 64;
/// The longest text beside the calls that is kept, in bytes.
const LONGEST_TEXT: usize = 16 * 1024;
/// The longest text that is taken for words to read, in bytes.
const OVERLONG_TEXT: usize = 256 * 1024;
/// The most calls that one answer may have.
const MOST_CALLS: usize = 64;

/// A call as it was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WrittenCall {
    /// Empty where the server gives none.
    pub(super) id: String,
    /// The tool's name.
    pub(super) name: String,
    /// A text, or the value itself.
    pub(super) arguments: Value,
}

impl WrittenCall {
    /// Takes in more of the arguments: a text goes on, anything else takes the place of what was there.
    pub(super) fn extend(&mut self, more: &Value) {
        match (&mut self.arguments, more) {
            (_, Value::Null) => {}
            (Value::String(text), Value::String(more)) => text.push_str(more),
            (place, more) => *place = more.clone(),
        }
    }

    /// Returns its length in bytes, as far as it is text.
    pub(super) fn len(&self) -> usize {
        self.name.len() + self.arguments.as_str().map_or(0, str::len)
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reply {
    /// In order.
    pub(super) calls: Vec<WrittenCall>,
    /// The words beside the calls.
    pub(super) text: String,
    /// The words with which the model declines.
    pub(super) refusal: String,
    /// The endpoint or the model declines.
    pub(super) declined: bool,
    /// The limit of tokens ended it.
    pub(super) truncated: bool,
    /// It was not read to its end.
    pub(super) overlong: bool,
    /// Where the server counts.
    pub(super) usage: Option<Usage>,
}

/// What the run is told of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) calls: Vec<RawCall>,
    pub(super) problem: Option<Problem>,
    pub(super) text: String,
}

impl Reply {
    /// Returns its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.refusal.len() + self.calls.iter().map(WrittenCall::len).sum::<usize>()
    }

    /// Takes the key out of all that the server wrote.
    pub(super) fn hide(&mut self, key: &Key) {
        for call in &mut self.calls {
            call.id = key.hide(&call.id);
            call.name = key.hide(&call.name);
            key.hide_in(&mut call.arguments);
        }
        self.text = key.hide(&self.text);
        self.refusal = key.hide(&self.refusal);
    }

    /// Judges the answer: its calls decide, whatever the server says of how it ended. `taken` are the ids of the calls that the
    /// conversation has; a call without an id of its own gets one, made from `turn`.
    pub(super) fn judge(mut self, taken: &HashSet<&str>, turn: u32) -> Told {
        let is_broken = |call: &WrittenCall| !arguments::is_whole(&call.arguments);
        if self.truncated && self.calls.last().is_some_and(is_broken) {
            self.calls.pop();
        }
        self.calls.retain(|call| !call.name.trim().is_empty() || !call.arguments.is_null());
        self.overlong |= self.calls.len() > MOST_CALLS;
        if self.overlong {
            self.calls.clear();
        }
        let calls = with_ids(self.calls, taken, turn);
        let is_blank = self.text.trim().is_empty();
        let problem = if self.overlong {
            Some(Problem::Overlong)
        } else if self.truncated {
            Some(Problem::Truncated)
        } else if !calls.is_empty() {
            None
        } else if self.declined || !self.refusal.trim().is_empty() {
            Some(Problem::Refusal)
        } else if is_blank {
            Some(Problem::Empty)
        } else if self.text.len() > OVERLONG_TEXT {
            Some(Problem::Overlong)
        } else {
            Some(Problem::NoCall)
        };
        Told { calls, problem, text: bounded(if is_blank { &self.refusal } else { &self.text }) }
    }
}

fn with_ids(calls: Vec<WrittenCall>, taken: &HashSet<&str>, turn: u32) -> Vec<RawCall> {
    let mut seen = HashSet::new();
    let named = calls.into_iter().enumerate().map(|(place, call)| {
        let is_usable = |id: &String| {
            !id.is_empty() && id.len() <= LONGEST_NAME && !taken.contains(id.as_str()) && !seen.contains(id)
        };
        let made = (0..).map(|again| match again {
            0 => format!("call-{turn}-{place}"),
            _ => format!("call-{turn}-{place}-{again}"),
        });
        let id = std::iter::once(call.id.trim().to_owned()).chain(made).find(is_usable).unwrap_or_default();
        seen.insert(id.clone());
        let tool = call.name.trim().chars().take(LONGEST_NAME).collect();
        RawCall { id, tool, arguments: arguments::read(call.arguments) }
    });
    named.collect()
}

fn bounded(text: &str) -> String {
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    let kept = text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default();
    format!("{kept}\n[… {} more bytes]", text.len() - kept.len())
}

/// Reads the count of tokens in an answer, in either interface's words; nothing where there is none.
pub(super) fn usage(answer: &Value) -> Option<Usage> {
    let usage = answer.get("usage")?;
    let count = |paths: &[&str]| paths.iter().find_map(|path| usage.pointer(path)?.as_u64());
    let prompt = count(&["/prompt_tokens", "/input_tokens"])?;
    let completion = count(&["/completion_tokens", "/output_tokens"]).unwrap_or(0);
    let cached = count(&[
        "/prompt_tokens_details/cached_tokens",
        "/input_tokens_details/cached_tokens",
        "/prompt_cache_hit_tokens",
    ]);
    // A server that counts nothing does not count.
    (prompt + completion > 0).then(|| Usage { prompt, cached: cached.unwrap_or(0).min(prompt), completion, usd: 0.0 })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: &str, name: &str, arguments: Value) -> WrittenCall {
        WrittenCall { id: id.to_owned(), name: name.to_owned(), arguments }
    }

    fn judge(reply: Reply) -> (Vec<String>, Option<Problem>) {
        let told = reply.judge(&HashSet::from(["old"]), 7);
        (told.calls.into_iter().map(|call| format!("{}={}", call.id, call.tool)).collect(), told.problem)
    }

    #[test]
    fn every_call_has_an_id_of_its_own() {
        let ids = ["a", "a", "", "old", "call-7-2", &"x".repeat(65)];
        let calls = ids.map(|id| call(id, "t", json!({}))).to_vec();
        let expected = ["a=t", "call-7-1=t", "call-7-2=t", "call-7-3=t", "call-7-4=t", "call-7-5=t"];
        assert_eq!(judge(Reply { calls, ..Reply::default() }), (expected.map(str::to_owned).to_vec(), None));
    }

    #[test]
    fn what_the_limit_of_tokens_broke_off_is_not_acted_on() {
        let calls = vec![call("a", "x", json!("{}")), call("b", "y", json!("{\"text\": \"half"))];
        let cut = Reply { calls: calls.clone(), truncated: true, ..Reply::default() };
        assert_eq!(judge(cut), (vec!["a=x".to_owned()], Some(Problem::Truncated)));
        let whole = Reply { calls: calls[..1].to_vec(), truncated: true, ..Reply::default() };
        assert_eq!(judge(whole), (vec!["a=x".to_owned()], Some(Problem::Truncated)));
        let broken = Reply { calls, ..Reply::default() };
        assert_eq!(judge(broken), (vec!["a=x".to_owned(), "b=y".to_owned()], None));
    }

    #[test]
    fn an_answer_without_a_call_says_what_was_wrong() {
        let text = |text: &str| Reply { text: text.to_owned(), ..Reply::default() };
        for (reply, problem) in [
            (Reply::default(), Problem::Empty),
            (text(" \n"), Problem::Empty),
            (text("I would rather talk"), Problem::NoCall),
            (text(&"x".repeat(OVERLONG_TEXT + 1)), Problem::Overlong),
            (Reply { declined: true, ..text("") }, Problem::Refusal),
            (Reply { refusal: "no".to_owned(), ..text("") }, Problem::Refusal),
            (Reply { overlong: true, calls: vec![call("a", "x", json!({}))], ..text("") }, Problem::Overlong),
            (Reply { calls: vec![call("a", "x", json!({})); MOST_CALLS + 1], ..text("") }, Problem::Overlong),
        ] {
            assert_eq!(judge(reply), (Vec::new(), Some(problem)));
        }
    }

    #[test]
    fn the_words_are_kept_up_to_a_bound() {
        let told = Reply { text: "é".repeat(LONGEST_TEXT), ..Reply::default() }.judge(&HashSet::new(), 1);
        assert!(told.text.len() < LONGEST_TEXT + 40 && told.text.ends_with("more bytes]"), "{}", told.text.len());
    }

    #[test]
    fn tokens_are_counted_in_either_interface_s_words() {
        let chat = json!({"usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}}});
        assert_eq!(usage(&chat), Some(Usage { prompt: 5, cached: 5, completion: 2, usd: 0.0 }));
        let responses =
            json!({"usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 1}});
        assert_eq!(usage(&responses), Some(Usage { prompt: 5, cached: 4, completion: 1, usd: 0.0 }));
        for none in [json!({}), json!({"usage": null}), json!({"usage": {}}), json!({"usage": {"prompt_tokens": 0}})] {
            assert_eq!(usage(&none), None, "{none}");
        }
    }
}
