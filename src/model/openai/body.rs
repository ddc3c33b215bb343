//! The body of an answer, read as it comes: one JSON text, or a stream of events. Nobody reads more than so much of it.

use serde_json::Value;

use super::chat;
use super::events::Events;
use super::key::Key;
use super::reply::Reply;
use super::responses;
use super::settings::Api;
use super::trouble::{Refused, Trouble, excerpt};
use crate::protocol::FaultKind;

/// The most that is read of an answer in one piece, and of one event, in bytes: a whole kernel of 1 MiB fits, escaped.
const MOST_WHOLE: usize = 4 * 1024 * 1024;
/// The most that is read of a stream, in bytes: every few characters of an answer have an event of some hundred bytes.
const MOST_STREAM: usize = 64 * 1024 * 1024;
/// The most that a stream may say, in bytes.
const MOST_SAID: usize = 2 * 1024 * 1024;
/// The most that a message is made from, in bytes.
const MOST_QUOTED: usize = 64 * 1024;

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// The answer may go on.
    Wanted,
    /// The rest does not matter.
    Enough,
}

#[derive(Debug)]
enum Assembly {
    Chat(chat::Assembly),
    Responses(responses::Assembly),
}

impl Assembly {
    fn take(&mut self, event: &Value) -> Result<(), Trouble> {
        match self {
            Self::Chat(assembly) => assembly.take(event),
            Self::Responses(assembly) => assembly.take(event),
        }
    }

    fn is_finished(&self) -> bool {
        match self {
            Self::Chat(assembly) => assembly.is_finished(),
            Self::Responses(assembly) => assembly.is_finished(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Chat(assembly) => assembly.len(),
            Self::Responses(assembly) => assembly.len(),
        }
    }

    fn end(self) -> Reply {
        match self {
            Self::Chat(assembly) => assembly.end(),
            Self::Responses(assembly) => assembly.end(),
        }
    }
}

#[derive(Debug)]
enum Form {
    /// Nothing but white space came.
    Unknown,
    Whole(Vec<u8>),
    Stream(Events),
}

/// A body on its way.
#[derive(Debug)]
pub(super) struct Body {
    /// Hidden before anything is cut to length: a part of it would not be found.
    key: Key,
    assembly: Assembly,
    form: Form,
    read: usize,
    done: bool,
    overlong: bool,
}

impl Body {
    /// Returns the body of an answer through `api`, of which nothing has come. `key` is hidden where the answer repeats it.
    pub(super) fn new(api: Api, key: Key) -> Self {
        let assembly = match api {
            Api::Chat => Assembly::Chat(chat::Assembly::default()),
            Api::Responses => Assembly::Responses(responses::Assembly::default()),
        };
        Self { key, assembly, form: Form::Unknown, read: 0, done: false, overlong: false }
    }

    /// Takes in a piece.
    ///
    /// # Errors
    /// What is no answer, and an error that the endpoint reports in it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<More, Trouble> {
        self.read += piece.len();
        if matches!(self.form, Form::Unknown) {
            match piece.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => return Ok(More::Wanted),
                Some(b'{') => self.form = Form::Whole(Vec::new()),
                // The fields of an event, a comment, or a byte order mark before them.
                Some(b'd' | b'e' | b'i' | b'r' | b':' | 0xef) => self.form = Form::Stream(Events::default()),
                Some(_) => return Err(garbled(piece, &self.key)),
            }
        }
        match &mut self.form {
            Form::Unknown => {}
            Form::Whole(text) => {
                self.overlong = self.read > MOST_WHOLE;
                text.extend_from_slice(piece);
            }
            Form::Stream(events) => {
                for data in events.push(piece) {
                    if self.event(&data)? == More::Enough {
                        return Ok(More::Enough);
                    }
                }
                self.overlong = self.read > MOST_STREAM || self.assembly.len() > MOST_SAID;
            }
        }
        Ok(if self.overlong { More::Enough } else { More::Wanted })
    }

    fn event(&mut self, data: &str) -> Result<More, Trouble> {
        let data = data.trim();
        if data == "[DONE]" {
            self.done = true;
            return Ok(More::Enough);
        }
        if data.is_empty() {
            return Ok(More::Wanted);
        }
        let mut event: Value = serde_json::from_str(data).map_err(|_| garbled(data.as_bytes(), &self.key))?;
        self.key.hide_in(&mut event);
        self.assembly.take(&event)?;
        let is_last = matches!(self.assembly, Assembly::Responses(_)) && self.assembly.is_finished();
        Ok(if is_last { More::Enough } else { More::Wanted })
    }

    /// Tells whether the answer is whole, though the connection is still open.
    pub(super) fn is_whole(&self) -> bool {
        self.done || self.overlong || self.assembly.is_finished()
    }

    /// Returns the answer, for the connection has ended.
    ///
    /// # Errors
    /// Where the answer is not whole, is none, or is an error that the endpoint reports.
    pub(super) fn end(mut self) -> Result<Reply, Trouble> {
        if !self.overlong {
            match std::mem::replace(&mut self.form, Form::Unknown) {
                // Servers whose stream fails at its first event answer so, and whole answers may still work.
                Form::Unknown => {
                    let (what, message) = (Refused::Stream, "the answer has no body".to_owned());
                    return Err(Trouble::Refused { what, message });
                }
                Form::Whole(text) => self.whole(&text)?,
                Form::Stream(mut events) => {
                    // What the connection broke off in the middle of an event is no event.
                    if let Some(data) = events
                        .end()
                        .filter(|data| data.trim() == "[DONE]" || serde_json::from_str::<Value>(data).is_ok())
                    {
                        self.event(&data)?;
                    }
                    if !self.is_whole() {
                        return Err(Trouble::fault(FaultKind::CutOff, "the stream ended before the answer did"));
                    }
                }
            }
        }
        let mut reply = self.assembly.end();
        reply.overlong = self.overlong;
        Ok(reply)
    }

    fn whole(&mut self, text: &[u8]) -> Result<(), Trouble> {
        let mut answer: Value = serde_json::from_slice(text).map_err(|error| match error.is_eof() {
            true => Trouble::fault(FaultKind::CutOff, "the answer ends in the middle"),
            false => garbled(text, &self.key),
        })?;
        self.key.hide_in(&mut answer);
        self.assembly.take(&answer)?;
        if !self.assembly.is_finished() {
            return Err(garbled(text, &self.key));
        }
        Ok(())
    }
}

fn garbled(text: &[u8], key: &Key) -> Trouble {
    let text = String::from_utf8_lossy(text.get(..MOST_QUOTED).unwrap_or(text));
    Trouble::fault(FaultKind::Garbled, format!("what came is no answer: {}", excerpt(&key.hide(&text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Reply, Trouble> {
        let mut body = Body::new(Api::Chat, Key::default());
        for piece in text.as_bytes().chunks(7) {
            if body.push(piece)? == More::Enough {
                break;
            }
        }
        body.end()
    }

    fn fault(text: &str) -> FaultKind {
        match read(text) {
            Err(Trouble::Fault { kind, .. }) => kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stream_is_whole_only_when_it_says_so() {
        let said = "data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n";
        assert_eq!(fault(said), FaultKind::CutOff);
        assert_eq!(fault(&format!("{said}data: {{\"choi")), FaultKind::CutOff);
        assert_eq!(read(&format!("{said}data: [DONE]")).unwrap().text, "hello");
        let finished = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        assert_eq!(read(&format!("{said}{finished}")).unwrap().text, "hello");
        assert_eq!(fault("data: {\"error\":{\"message\":\"overloaded\"}}\n\n"), FaultKind::Server);
    }

    #[test]
    fn what_is_no_answer_is_told_from_one_that_broke_off() {
        assert_eq!(fault("<html>"), FaultKind::Garbled);
        assert_eq!(fault(""), FaultKind::Garbled);
        assert_eq!(fault("{]"), FaultKind::Garbled);
        assert_eq!(fault("{}"), FaultKind::Garbled);
        assert_eq!(fault("{\"choices\":[]}"), FaultKind::Garbled);
        assert_eq!(fault("{\"choices\":[{"), FaultKind::CutOff);
        assert_eq!(fault("data: {]\n\n"), FaultKind::Garbled);
        assert_eq!(read("\n {\"choices\":[{\"message\":{\"content\":\"x\"}}]}").unwrap().text, "x");
    }

    #[test]
    fn more_than_anybody_reads_is_not_read() {
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(100_000));
        let mut body = Body::new(Api::Chat, Key::default());
        let mut pieces = 0;
        while body.push(event.as_bytes()).unwrap() == More::Wanted {
            pieces += 1;
        }
        assert_eq!(pieces, MOST_SAID / 100_000);
        assert!(body.end().unwrap().overlong);
        let mut body = Body::new(Api::Chat, Key::default());
        while body.push(b"{\"choices\":[{\"message\":{\"content\":\"x").unwrap() == More::Wanted {}
        assert!(body.end().unwrap().overlong);
    }
}
