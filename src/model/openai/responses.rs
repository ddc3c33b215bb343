//! Responses: requests, and answers whole or in pieces.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::chat::{sendable_arguments, sendable_name};
use super::reply::{Reply, WrittenCall, usage};
use super::settings::Settings;
use super::trouble::Trouble;
use crate::model::Message;

/// Returns the body of a request. The conversation is sent whole each time: the endpoint need not keep it.
pub(super) fn request(settings: &Settings, messages: &[Message], tools: &[Value], stream: bool) -> Value {
    let input: Vec<Value> = messages.iter().flat_map(items).collect();
    let tools: Vec<Value> = tools.iter().map(tool).collect();
    let mut body = json!({"model": settings.name, "input": input, "tools": tools, "stream": stream, "store": false});
    let optional = [
        settings.max_output_tokens.map(|limit| ("max_output_tokens", json!(limit))),
        settings.temperature.map(|temperature| ("temperature", json!(temperature))),
        settings.reasoning_effort.as_ref().map(|effort| ("reasoning", json!({"effort": effort}))),
    ];
    if let Value::Object(body) = &mut body {
        body.extend(optional.into_iter().flatten().map(|(key, value)| (key.to_owned(), value)));
    }
    body
}

fn tool(tool: &Value) -> Value {
    let mut tool = tool.clone();
    if let Value::Object(tool) = &mut tool {
        tool.insert("type".to_owned(), json!("function"));
        // The strict form would ask for every argument in every call.
        tool.insert("strict".to_owned(), json!(false));
    }
    tool
}

fn items(message: &Message) -> Vec<Value> {
    match message {
        Message::System { text } => vec![json!({"role": "system", "content": text})],
        Message::User { text } => vec![json!({"role": "user", "content": text})],
        Message::Assistant { text, calls } => {
            let said = (!text.is_empty() || calls.is_empty()).then(|| json!({"role": "assistant", "content": text}));
            let calls = calls.iter().map(|call| {
                json!({
                    "type": "function_call",
                    "call_id": call.id,
                    "name": sendable_name(&call.tool),
                    "arguments": sendable_arguments(&call.arguments),
                })
            });
            said.into_iter().chain(calls).collect()
        }
        Message::Tool { call, text } => vec![json!({"type": "function_call_output", "call_id": call, "output": text})],
    }
}

/// An answer that comes in pieces, or whole.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The output's items by their index, as far as they came.
    items: BTreeMap<u64, Value>,
    /// What the end of the answer said, or the whole answer.
    last: Option<Value>,
    len: usize,
}

impl Assembly {
    /// Takes in an event, or a whole answer.
    ///
    /// # Errors
    /// An error that the endpoint reports in it.
    pub(super) fn take(&mut self, event: &Value) -> Result<(), Trouble> {
        let index = event.get("output_index").and_then(Value::as_u64).unwrap_or(0);
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "error" => return Err(Trouble::of_error(event.get("error").unwrap_or(event))),
            "response.output_item.added" | "response.output_item.done" => {
                self.items.insert(index, event.get("item").cloned().unwrap_or_default());
            }
            "response.function_call_arguments.delta" => {
                let delta = event.get("delta").and_then(Value::as_str).unwrap_or_default();
                self.len += delta.len();
                if let Some(Value::String(text)) = self.items.get_mut(&index).and_then(|item| item.get_mut("arguments"))
                {
                    text.push_str(delta);
                }
            }
            "response.output_text.delta" => {
                self.len += event.get("delta").and_then(Value::as_str).map_or(0, str::len);
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                return self.take_whole(event.get("response").unwrap_or(event));
            }
            _ if event.get("output").is_some() || event.get("error").is_some() => return self.take_whole(event),
            _ => {}
        }
        Ok(())
    }

    fn take_whole(&mut self, answer: &Value) -> Result<(), Trouble> {
        match answer.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(Trouble::of_error(error)),
            None if answer.get("status").is_some_and(|status| status == "failed") => {
                Err(Trouble::of_error(&json!("the endpoint says no more than that the answer failed")))
            }
            None => {
                self.last = Some(answer.clone());
                Ok(())
            }
        }
    }

    /// Tells whether the endpoint said that nothing more of the answer comes.
    pub(super) fn is_finished(&self) -> bool {
        self.last.is_some()
    }

    /// Returns the length of what came, in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the answer.
    pub(super) fn end(self) -> Reply {
        let last = self.last.unwrap_or_default();
        let reason = last.pointer("/incomplete_details/reason").and_then(Value::as_str);
        let is_incomplete = last.get("status").is_some_and(|status| status == "incomplete");
        let mut reply = Reply {
            usage: usage(&last),
            declined: reason == Some("content_filter"),
            truncated: is_incomplete && reason != Some("content_filter"),
            ..Reply::default()
        };
        let output = last.get("output").and_then(Value::as_array).filter(|output| !output.is_empty());
        match output {
            Some(output) => output.iter().for_each(|item| take_item(&mut reply, item)),
            // Some servers leave the items out of the last event.
            None => self.items.values().for_each(|item| take_item(&mut reply, item)),
        }
        reply
    }
}

fn take_item(reply: &mut Reply, item: &Value) {
    let text = |value: &Value, key| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match item.get("type").and_then(Value::as_str) {
        Some("function_call") => {
            let id = [text(item, "call_id"), text(item, "id")].into_iter().find(|id| !id.is_empty());
            let arguments = item.get("arguments").cloned().unwrap_or_default();
            reply.calls.push(WrittenCall { id: id.unwrap_or_default(), name: text(item, "name"), arguments });
        }
        Some("message") | None => match item.get("content") {
            Some(Value::Array(parts)) => {
                for part in parts {
                    reply.text.push_str(&text(part, "text"));
                    reply.refusal.push_str(&text(part, "refusal"));
                }
            }
            Some(Value::String(said)) => reply.text.push_str(said),
            _ => {}
        },
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(events: &[Value]) -> Reply {
        let mut assembly = Assembly::default();
        events.iter().for_each(|event| assembly.take(event).unwrap());
        assert!(assembly.is_finished());
        assembly.end()
    }

    #[test]
    fn a_whole_answer_and_its_pieces_read_alike() {
        let item = json!({"type": "function_call", "id": "fc", "call_id": "c", "name": "revert", "arguments": "{}"});
        let said = json!({"type": "message", "content": [{"type": "output_text", "text": "so"}, {"type": "refusal", "refusal": "no"}]});
        let whole = json!({"status": "completed", "output": [{"type": "reasoning"}, said, item], "error": null,
            "usage": {"input_tokens": 3, "output_tokens": 2}});
        let reply = assembled(std::slice::from_ref(&whole));
        assert_eq!((reply.calls.len(), reply.text.as_str(), reply.refusal.as_str()), (1, "so", "no"));
        assert_eq!(reply.calls[0].id, "c");
        assert_eq!(
            assembled(&[json!({"type": "response.created"}), json!({"type": "response.completed", "response": whole})]),
            reply
        );
        let mut added = item.clone();
        added["arguments"] = json!("");
        let piecewise = assembled(&[
            json!({"type": "response.output_item.added", "output_index": 1, "item": added}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": said}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"}),
            json!({"type": "response.completed", "response": {"status": "completed", "usage": whole["usage"]}}),
        ]);
        assert_eq!(piecewise, reply);
    }

    #[test]
    fn an_answer_that_is_not_whole_says_why() {
        let cut = assembled(&[
            json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}),
        ]);
        assert!(cut.truncated && !cut.declined);
        let filtered = assembled(&[
            json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []}),
        ]);
        assert!(!filtered.truncated && filtered.declined);
        for failed in [
            json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}}),
            json!({"status": "failed", "output": []}),
            json!({"type": "error", "code": "server_error", "message": "down"}),
            json!({"error": {"message": "down"}}),
        ] {
            assert!(Assembly::default().take(&failed).is_err(), "{failed}");
        }
    }
}
