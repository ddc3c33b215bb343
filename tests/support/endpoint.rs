//! An endpoint on this machine that speaks both of OpenAI's interfaces, answers as it is told to, fails in every way that
//! endpoints fail, and holds every request that it gets against what a conversation must be.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// So many came before.
    pub number: usize,
    /// Below the endpoint's address: `/chat/completions` or `/responses`.
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

impl Asked {
    pub fn streams(&self) -> bool {
        self.body["stream"] == true
    }

    pub fn is_chat(&self) -> bool {
        self.path.ends_with("/chat/completions")
    }

    /// The conversation.
    pub fn messages(&self) -> &[Value] {
        let messages = if self.is_chat() { &self.body["messages"] } else { &self.body["input"] };
        messages.as_array().map_or(&[], Vec::as_slice)
    }
}

/// A step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Until the client goes.
    Hang,
}

/// How a server spells an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    #[default]
    Plain,
    NoIds,
    SameIds,
    /// The old `function_call`, for the first call.
    Function,
    Objects,
    Fenced,
    NoIndex,
    NamePieces,
    NoUsage,
    OddFinish,
}

/// An answer of a model.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub calls: Vec<(String, Value)>,
    pub text: String,
    pub refusal: String,
    /// Ended by the limit of tokens.
    pub cut: bool,
    pub dialect: Dialect,
}

impl Answer {
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self { calls: vec![(tool.to_owned(), arguments)], ..Self::default() }
    }

    pub fn text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    pub fn in_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The steps in which this answer goes out.
    pub fn steps(&self, asked: &Asked) -> Vec<Step> {
        match (asked.is_chat(), asked.streams()) {
            (true, false) => json_body(&self.chat(asked.number)),
            (true, true) => events(&self.chat_pieces(asked.number), true),
            (false, false) => json_body(&self.response(asked.number)),
            (false, true) => events(&self.response_events(asked.number), false),
        }
    }

    fn arguments(&self, arguments: &Value) -> Value {
        match (self.dialect, arguments) {
            (Dialect::Objects, _) => arguments.clone(),
            (Dialect::Fenced, _) => json!(format!("Here you are:\n```json\n{arguments}\n```\n")),
            // A text stands for itself: what a model broke.
            (_, Value::String(broken)) => json!(broken),
            _ => json!(arguments.to_string()),
        }
    }

    fn id(&self, number: usize, place: usize) -> Value {
        match self.dialect {
            Dialect::NoIds => Value::Null,
            Dialect::SameIds => json!("call"),
            _ => json!(format!("call_{number}_{place}")),
        }
    }

    fn finish(&self) -> &'static str {
        match self.dialect {
            _ if self.cut => "length",
            Dialect::OddFinish => "eos",
            _ if self.calls.is_empty() => "stop",
            _ => "tool_calls",
        }
    }

    fn message(&self, number: usize) -> Value {
        let mut message = json!({"role": "assistant", "content": self.text, "reasoning_content": "hm"});
        if !self.refusal.is_empty() {
            message["refusal"] = json!(self.refusal);
        }
        let function =
            |(name, arguments): &(String, Value)| json!({"name": name, "arguments": self.arguments(arguments)});
        if self.dialect == Dialect::Function {
            message["function_call"] = self.calls.first().map_or(Value::Null, function);
            return message;
        }
        let calls =
            self.calls.iter().enumerate().map(
                |(place, call)| json!({"id": self.id(number, place), "type": "function", "function": function(call)}),
            );
        message["tool_calls"] = calls.collect();
        message
    }

    fn usage(&self) -> Value {
        match self.dialect {
            Dialect::NoUsage => Value::Null,
            _ => json!({"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 60}}),
        }
    }

    fn chat(&self, number: usize) -> Value {
        let choice = json!({"index": 0, "message": self.message(number), "finish_reason": self.finish()});
        json!({"id": "x", "object": "chat.completion", "choices": [choice], "usage": self.usage()})
    }

    fn chat_pieces(&self, number: usize) -> Vec<Value> {
        let mut message = self.message(number);
        let calls = message.as_object_mut().and_then(|message| message.remove("tool_calls"));
        let mut deltas = vec![message];
        for (place, call) in calls.as_ref().and_then(Value::as_array).into_iter().flatten().enumerate() {
            deltas.extend(self.call_pieces(place, call));
        }
        let mut pieces: Vec<Value> =
            deltas.into_iter().map(|delta| json!({"choices": [{"index": 0, "delta": delta}]})).collect();
        pieces.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish()}]}));
        pieces.push(json!({"choices": [], "usage": self.usage()}));
        pieces
    }

    fn call_pieces(&self, place: usize, call: &Value) -> Vec<Value> {
        let index = if self.dialect == Dialect::NoIndex { Value::Null } else { json!(place) };
        let name = call["function"]["name"].as_str().unwrap();
        let piece = |id: &Value, name: &str, arguments: Value| json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]});
        let Some(arguments) = call["function"]["arguments"].as_str() else {
            return vec![piece(&call["id"], name, call["function"]["arguments"].clone())];
        };
        let (first, second) = arguments.split_at(arguments.floor_char_boundary(arguments.len() / 2));
        let (head, tail) = if self.dialect == Dialect::NamePieces { name.split_at(2) } else { (name, "") };
        vec![
            piece(&call["id"], head, json!("")),
            piece(&Value::Null, tail, json!(first)),
            piece(&Value::Null, "", json!(second)),
        ]
    }

    fn response(&self, number: usize) -> Value {
        let said = json!({"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": self.text}, {"type": "refusal", "refusal": self.refusal}]});
        let calls = self.calls.iter().enumerate().map(|(place, (name, arguments))| {
            json!({"type": "function_call", "call_id": self.id(number, place), "name": name,
                "arguments": self.arguments(arguments)})
        });
        let output: Vec<Value> = std::iter::once(json!({"type": "reasoning"})).chain([said]).chain(calls).collect();
        let usage = match self.dialect {
            Dialect::NoUsage => Value::Null,
            _ => json!({"input_tokens": 100, "output_tokens": 10, "input_tokens_details": {"cached_tokens": 60}}),
        };
        let status = if self.cut { "incomplete" } else { "completed" };
        let details = if self.cut { json!({"reason": "max_output_tokens"}) } else { Value::Null };
        json!({"id": "x", "status": status, "incomplete_details": details, "error": null, "output": output,
            "usage": usage})
    }

    fn response_events(&self, number: usize) -> Vec<Value> {
        let whole = self.response(number);
        let mut events = vec![json!({"type": "response.created", "response": {"status": "in_progress"}})];
        for (index, item) in whole["output"].as_array().unwrap().iter().enumerate() {
            events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
        }
        let kind = if self.cut { "response.incomplete" } else { "response.completed" };
        events.push(json!({"type": kind, "response": whole}));
        events
    }
}

/// A body of JSON under a status of success.
pub fn json_body(body: &Value) -> Vec<Step> {
    status(200, &[], &body.to_string())
}

/// A whole answer under any status.
pub fn status(code: u16, headers: &[(&str, &str)], body: &str) -> Vec<Step> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let text =
        format!("HTTP/1.1 {code} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
    vec![Step::Send(text.into_bytes())]
}

/// The beginning of a stream.
pub fn stream_head() -> Step {
    Step::Send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n".to_vec())
}

/// One event of a stream.
pub fn event(data: &str) -> Step {
    Step::Send(format!("data: {data}\n\n").into_bytes())
}

fn events(pieces: &[Value], has_end: bool) -> Vec<Step> {
    let mut steps = vec![stream_head()];
    steps.extend(pieces.iter().map(|piece| event(&piece.to_string())));
    steps.extend(has_end.then(|| event("[DONE]")));
    steps
}

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    /// What no conversation may be.
    broken: Vec<String>,
}

/// The endpoint; it lives as long as the test's process.
pub struct Endpoint {
    /// As a mission names it.
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Endpoint {
    /// Returns an endpoint that answers each request with the steps that `script` makes of it.
    pub fn new(script: impl FnMut(&Asked) -> Vec<Step> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, script) = (Arc::clone(&seen), Arc::new(Mutex::new(script)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The steps of an answer go out as they are made.
                let _ = stream.set_nodelay(true);
                let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
                thread::spawn(move || {
                    let Some(asked) = read(&stream, &shared) else { return };
                    let steps = (script.lock().unwrap())(&asked);
                    // A client that has gone wants nothing more.
                    let _ = play(&stream, &steps);
                });
            }
        });
        Self { url, seen }
    }

    /// Returns an endpoint that answers each request alike.
    pub fn always(steps: impl Fn(&Asked) -> Vec<Step> + Send + 'static) -> Self {
        Self::new(steps)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().asked.clone()
    }

    /// Fails where any request was no conversation.
    pub fn check(&self) {
        assert_eq!(self.seen.lock().unwrap().broken, Vec::<String>::new());
    }
}

/// Returns the address of an endpoint that is not there.
pub fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

fn read(stream: &TcpStream, seen: &Mutex<Seen>) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => value.clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).ok()?;
    let mut seen = seen.lock().unwrap();
    let asked = Asked { number: seen.asked.len(), path, authorization, body };
    let broken = violations(&asked, seen.asked.iter().rev().find(|before| before.body["model"] == asked.body["model"]));
    seen.broken.extend(broken.into_iter().map(|what| format!("request {}: {what}", asked.number)));
    seen.asked.push(asked.clone());
    Some(asked)
}

fn play(mut stream: &TcpStream, steps: &[Step]) -> std::io::Result<()> {
    for step in steps {
        match step {
            Step::Send(bytes) => stream.write_all(bytes)?,
            Step::Wait(time) => thread::sleep(*time),
            Step::Hang => drop(stream.read_to_end(&mut Vec::new())),
        }
    }
    Ok(())
}

/// Returns what is wrong with a conversation, by itself and as the next one after `before`.
fn violations(asked: &Asked, before: Option<&Asked>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut open = BTreeSet::new();
    let mut known = BTreeSet::new();
    for message in asked.messages() {
        let calls: Vec<(&Value, &Value, &Value)> = match &message["tool_calls"] {
            Value::Array(calls) => calls
                .iter()
                .map(|call| (&call["id"], &call["function"]["name"], &call["function"]["arguments"]))
                .collect(),
            _ if message["type"] == "function_call" => {
                vec![(&message["call_id"], &message["name"], &message["arguments"])]
            }
            _ => Vec::new(),
        };
        let is_result = message["role"] == "tool" || message["type"] == "function_call_output";
        if is_result {
            let id = message.get("tool_call_id").or_else(|| message.get("call_id")).cloned().unwrap_or_default();
            if !open.remove(&id.to_string()) {
                broken.push(format!("the result of {id} has no call"));
            }
        } else if !open.is_empty() && message["type"] != "function_call" {
            broken.push(format!("the calls {open:?} have no result"));
            open.clear();
        }
        for (id, name, arguments) in calls {
            let is_object = |text: &str| serde_json::from_str::<serde_json::Map<String, Value>>(text).is_ok();
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if !arguments.as_str().is_some_and(is_object) {
                broken.push(format!("{id} has arguments that are no object: {arguments}"));
            }
            if !name.as_str().is_some_and(|name| !name.is_empty() && name.chars().all(fits)) {
                broken.push(format!("{id} has the name {name}"));
            }
            if !known.insert(id.to_string()) || id.as_str().is_none_or(|id| id.is_empty() || id.len() > 64) {
                broken.push(format!("the id {id} is no id, or used twice"));
            }
            open.insert(id.to_string());
        }
    }
    if !open.is_empty() {
        broken.push(format!("the calls {open:?} have no result at the end"));
    }
    if let Some(before) = before {
        let (before, now) = (before.messages(), asked.messages());
        let head = if now.len() > before.len() { before.len() } else { 2 };
        let is_probe = before.len() == 1;
        if !is_probe && before.get(..head) != now.get(..head) {
            broken.push("what was said has changed".to_owned());
        }
    }
    broken
}
