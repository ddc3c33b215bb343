//! Chat Completions: requests, and answers whole or in pieces.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::arguments;
use super::reply::{Reply, WrittenCall, usage};
use super::settings::Settings;
use super::trouble::Trouble;
use crate::model::Message;
use crate::protocol::RawCall;

/// Returns the body of a request.
pub(super) fn request(settings: &Settings, messages: &[Message], tools: &[Value], stream: bool) -> Value {
    let messages: Vec<Value> = messages.iter().map(message).collect();
    let tools: Vec<Value> = tools.iter().map(|tool| json!({"type": "function", "function": tool})).collect();
    // `auto` is what no choice means; yet some servers look at the tools only where it is said.
    let mut body = json!({
        "model": settings.name, "messages": messages, "tools": tools, "tool_choice": "auto", "stream": stream
    });
    let limit = settings.max_output_tokens.map(|limit| match settings.is_openai() {
        // OpenAI's newer models refuse the old name; most other servers know only that.
        true => ("max_completion_tokens", json!(limit)),
        false => ("max_tokens", json!(limit)),
    });
    let optional = [
        limit,
        stream.then(|| ("stream_options", json!({"include_usage": true}))),
        settings.temperature.map(|temperature| ("temperature", json!(temperature))),
        settings.reasoning_effort.as_ref().map(|effort| ("reasoning_effort", json!(effort))),
    ];
    if let Value::Object(body) = &mut body {
        body.extend(optional.into_iter().flatten().map(|(key, value)| (key.to_owned(), value)));
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({"role": "system", "content": text}),
        Message::User { text } => json!({"role": "user", "content": text}),
        Message::Assistant { text, calls } if calls.is_empty() => json!({"role": "assistant", "content": text}),
        // Empty words are sent as such: some servers refuse a conversation with `null` in their place.
        Message::Assistant { text, calls } => {
            let calls: Vec<Value> = calls.iter().map(call).collect();
            json!({"role": "assistant", "content": text, "tool_calls": calls})
        }
        Message::Tool { call, text } => json!({"role": "tool", "tool_call_id": call, "content": text}),
    }
}

fn call(call: &RawCall) -> Value {
    let function = json!({"name": sendable_name(&call.tool), "arguments": sendable_arguments(&call.arguments)});
    json!({"id": call.id, "type": "function", "function": function})
}

/// Returns a tool's name as endpoints take it back: many refuse a conversation for a name that they let the model invent.
pub(super) fn sendable_name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let name: String = name.chars().map(fit).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// Returns arguments as endpoints take them back: many read them as an object, and fail on any other text.
pub(super) fn sendable_arguments(arguments: &Value) -> String {
    if arguments.is_object() { arguments.to_string() } else { json!({ "unreadable": arguments }).to_string() }
}

/// An answer that comes in pieces, or whole.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    reply: Reply,
    /// The call that a piece with this index, or at this position, goes to.
    places: HashMap<u64, usize>,
    /// The old way to write a call.
    old: Option<WrittenCall>,
    finished: bool,
}

impl Assembly {
    /// Takes in a piece.
    ///
    /// # Errors
    /// An error that the endpoint reports in it.
    pub(super) fn take(&mut self, event: &Value) -> Result<(), Trouble> {
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            return Err(Trouble::of_error(error));
        }
        self.reply.usage = usage(event).or(self.reply.usage);
        let choices = event.get("choices").and_then(Value::as_array);
        let first = |choice: &&Value| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0;
        let Some(choice) = choices.and_then(|choices| choices.iter().find(first)) else { return Ok(()) };
        let piece = choice.get("delta").or_else(|| choice.get("message")).filter(|piece| piece.is_object());
        self.take_piece(piece.unwrap_or(choice));
        if choice.get("message").is_some() {
            self.finished = true;
        }
        match choice.get("finish_reason").and_then(Value::as_str) {
            None | Some("") => {}
            Some(reason) => {
                self.finished = true;
                self.reply.truncated |= matches!(reason, "length" | "max_tokens");
                self.reply.declined |= reason == "content_filter";
            }
        }
        Ok(())
    }

    fn take_piece(&mut self, piece: &Value) {
        push_text(&mut self.reply.text, piece.get("content"));
        push_text(&mut self.reply.refusal, piece.get("refusal"));
        let calls = piece.get("tool_calls").and_then(Value::as_array);
        for (position, call) in (0_u64..).zip(calls.into_iter().flatten()) {
            if call.is_object() {
                self.take_call(position, call);
            }
        }
        if let Some(function) = piece.get("function_call").filter(|function| function.is_object()) {
            let old = self.old.get_or_insert_default();
            push_name(&mut old.name, text(function, "name"));
            old.extend(function.get("arguments").unwrap_or(&Value::Null));
        }
    }

    fn take_call(&mut self, position: u64, written: &Value) {
        let function = written.get("function").filter(|function| function.is_object()).unwrap_or(written);
        let (id, name) = (text(written, "id"), text(function, "name"));
        let index = written.get("index").and_then(Value::as_u64).unwrap_or(position);
        let begins = |call: &WrittenCall| {
            let other_id = !id.is_empty() && !call.id.is_empty() && call.id != id;
            other_id || !name.is_empty() && arguments::is_whole(&call.arguments)
        };
        let place = self
            .places
            .get(&index)
            .copied()
            .filter(|place| self.reply.calls.get(*place).is_some_and(|call| !begins(call)));
        let place = place.unwrap_or_else(|| {
            self.reply.calls.push(WrittenCall::default());
            self.reply.calls.len() - 1
        });
        self.places.insert(index, place);
        if let Some(call) = self.reply.calls.get_mut(place) {
            if call.id.is_empty() {
                id.clone_into(&mut call.id);
            }
            push_name(&mut call.name, name);
            call.extend(function.get("arguments").unwrap_or(&Value::Null));
        }
    }

    /// Tells whether the endpoint said that nothing more of the answer comes.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns the length of what came, in bytes.
    pub(super) fn len(&self) -> usize {
        self.reply.len() + self.old.as_ref().map_or(0, WrittenCall::len)
    }

    /// Returns the answer.
    pub(super) fn end(mut self) -> Reply {
        if self.reply.calls.is_empty() {
            self.reply.calls.extend(self.old);
        }
        self.reply
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Names come in pieces from some servers, and whole in every piece from others.
fn push_name(name: &mut String, piece: &str) {
    if name != piece {
        name.push_str(piece);
    }
}

/// Takes in a text, or the texts of a list of parts.
fn push_text(text: &mut String, more: Option<&Value>) {
    match more {
        Some(Value::String(more)) => text.push_str(more),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).for_each(|part| text.push_str(part));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calls of an answer in these pieces, as `id name arguments`.
    fn calls(pieces: &[Value]) -> Vec<String> {
        let mut assembly = Assembly::default();
        for piece in pieces {
            assembly.take(&json!({"choices": [{"delta": piece}]})).unwrap();
        }
        assembly.end().calls.iter().map(|call| format!("{} {} {}", call.id, call.name, call.arguments)).collect()
    }

    fn piece(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Value {
        json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]})
    }

    #[test]
    fn a_call_is_put_together_from_its_pieces() {
        let name_in_pieces =
            [piece(Some(0), "a", "edit-", ""), piece(Some(0), "", "kernel", "{\"x\""), piece(Some(0), "", "", ":1}")];
        assert_eq!(calls(&name_in_pieces), [r#"a edit-kernel "{\"x\":1}""#]);
        let all_again = [piece(Some(0), "a", "revert", "{"), piece(Some(0), "a", "revert", "}")];
        assert_eq!(calls(&all_again), [r#"a revert "{}""#]);
        let mixed = [piece(Some(1), "b", "y", "{"), piece(Some(0), "a", "x", "{}"), piece(Some(1), "", "", "}")];
        assert_eq!(calls(&mixed), [r#"b y "{}""#, r#"a x "{}""#]);
    }

    #[test]
    fn calls_without_an_index_or_all_with_the_same_one_are_told_apart() {
        for index in [None, Some(0)] {
            let by_id = [piece(index, "a", "x", "{}"), piece(index, "b", "x", "{}")];
            assert_eq!(calls(&by_id), [r#"a x "{}""#, r#"b x "{}""#]);
            let by_name = [piece(index, "", "x", "{}"), piece(index, "", "x", "{"), piece(index, "", "", "}")];
            assert_eq!(calls(&by_name), [r#" x "{}""#, r#" x "{}""#]);
        }
    }

    #[test]
    fn calls_are_found_in_every_dialect() {
        let function = |name| json!({"name": name, "arguments": {"a": 1}});
        let several = json!({"tool_calls": [
            {"id": "a", "function": function("x")}, {"id": "a", "function": function("y")}, null, 3, function("z")
        ]});
        assert_eq!(calls(&[several]), ["a x {\"a\":1}", "a y {\"a\":1}", " z {\"a\":1}"]);
        assert_eq!(calls(&[json!({"tool_calls": [], "function_call": function("x")})]), [" x {\"a\":1}"]);
        let both = json!({"tool_calls": [{"function": function("x")}], "function_call": function("y")});
        assert_eq!(calls(&[both]), [" x {\"a\":1}"]);
        let old = [
            json!({"function_call": {"name": "x"}}),
            json!({"function_call": {"arguments": "{"}}),
            json!({"function_call": {"arguments": "}"}}),
        ];
        assert_eq!(calls(&old), [r#" x "{}""#]);
        for none in [json!({}), Value::Null, json!({"content": "prose"}), json!({"tool_calls": "x"})] {
            assert!(calls(&[none]).is_empty());
        }
    }

    #[test]
    fn what_the_model_invented_is_sent_back_in_a_form_that_endpoints_take() {
        let calls = vec![RawCall { id: "a".to_owned(), tool: "run it!".to_owned(), arguments: json!("{oops") }];
        let sent = message(&Message::Assistant { text: String::new(), calls });
        let function = &sent["tool_calls"][0]["function"];
        assert_eq!(*function, json!({"name": "run_it_", "arguments": r#"{"unreadable":"{oops"}"#}));
        assert_eq!(sent["content"], Value::Null);
        assert_eq!(sendable_name(""), "unnamed");
    }
}
