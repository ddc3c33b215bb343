//! One line of the journal: its text, its sum, and its way back to an event.

use std::fmt::{self, Write as _};
use std::str;

use jiff::{Timestamp, Unit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::LineFault;

/// The version this program writes, and the newest it reads.
pub(super) const VERSION: u32 = 1;

/// The bytes of the longest line, its line feed not counted.
pub(super) const MAX_LINE: usize = 16 << 20;

const HEX: usize = 16;
const SUM_OPEN: &str = r#","sum":""#;
const SUM_CLOSE: &str = r#""}"#;

/// One event of a run, as the journal has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<E> {
    /// Its number, from 1.
    pub seq: u64,
    /// When it happened, to the millisecond.
    pub time: Timestamp,
    /// What happened.
    pub event: E,
}

/// The hex digits of a line's sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum([u8; HEX]);

impl Sum {
    /// Returns the sum of a line whose text is `body` and a closing brace.
    fn after(self, body: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(body).update(b"}");
        let mut digits = [b'0'; HEX];
        for (digit, hex) in digits.iter_mut().zip(hasher.finalize().to_hex().bytes()) {
            *digit = hex;
        }
        Self(digits)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| f.write_char(char::from(*digit)))
    }
}

/// Where a journal stands: what the next line must follow.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    sum: Sum,
    seq: u64,
}

impl Chain {
    /// Returns the chain of a journal without lines.
    pub(super) fn start() -> Self {
        Self { sum: Sum([b'0'; HEX]), seq: 1 }
    }

    /// Returns the next line's number.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Tells whether `text`, a damaged line, holds the beginning of the line after it: then it is no unfinished write, but
    /// two lines without the line feed between them.
    pub(super) fn holds_next(&self, text: &[u8]) -> bool {
        let next = format!(r#""seq":{},"t":""#, self.seq.saturating_add(1));
        text.windows(next.len()).any(|window| window == next.as_bytes())
    }
}

/// Why a line gives no record.
pub(super) enum Unreadable {
    Fault(LineFault),
    Newer(u32),
    Foreign(String),
}

/// Returns the text of the next line, with its line feed, or what makes the event unfit for a line.
pub(super) fn encode<E: Serialize>(chain: &Chain, time: Timestamp, event: &E) -> Result<String, String> {
    let event = serde_json::to_string(event).map_err(|error| error.to_string())?;
    let members = event
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|members| members.starts_with(r#""type":""#))
        .ok_or("it is not an object that begins with its type")?;
    let time = time.round(Unit::Millisecond).map_err(|error| error.to_string())?;
    let mut line = format!(r#"{{"v":{VERSION},"seq":{},"t":"{time:.3}",{members}"#, chain.seq);
    let sum = chain.sum.after(line.as_bytes());
    line.push_str(SUM_OPEN);
    line.extend(sum.0.map(char::from));
    line.push_str(SUM_CLOSE);
    if line.len() > MAX_LINE {
        return Err(format!("it takes {} bytes, and a line holds {MAX_LINE}", line.len()));
    }
    line.push('\n');
    Ok(line)
}

/// Returns the version that a line gives itself.
pub(super) fn version(line: &[u8]) -> Option<u32> {
    let digits = line.strip_prefix(br#"{"v":"#)?.split(|byte| *byte == b',').next()?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads `line`, without its line feed, as the next of `chain`, and moves the chain on.
///
/// The line is overwritten: the commas before `"type"` and before `"sum"` become the braces of the event's own object, so
/// that the event is read in place, once, straight into its type.
pub(super) fn decode<E: DeserializeOwned>(chain: &mut Chain, line: &mut [u8]) -> Result<Record<E>, Unreadable> {
    let malformed = || Unreadable::Fault(LineFault::Malformed);
    let (body, stated) = split_sum(line).ok_or_else(malformed)?;
    let sum = chain.sum.after(body);
    if stated != sum.0 {
        return Err(Unreadable::Fault(LineFault::Sum));
    }
    let end = body.len();
    let head = Head::read(body).ok_or_else(malformed)?;
    if head.version > VERSION {
        return Err(Unreadable::Newer(head.version));
    }
    if head.seq != chain.seq {
        return Err(Unreadable::Fault(LineFault::Sequence { expected: chain.seq, found: head.seq }));
    }
    let object = line.get_mut(head.length..=end).ok_or_else(malformed)?;
    if let [first, .., last] = object {
        (*first, *last) = (b'{', b'}');
    }
    let event = serde_json::from_slice(object).map_err(|error| Unreadable::Foreign(error.to_string()))?;
    *chain = Chain { sum, seq: chain.seq.saturating_add(1) };
    Ok(Record { seq: head.seq, time: head.time, event })
}

/// Splits a line into what its sum covers, without the closing brace, and the digits of the sum.
fn split_sum(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_suffix(SUM_CLOSE.as_bytes())?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(HEX)?)?;
    Some((rest.strip_suffix(SUM_OPEN.as_bytes())?, digits))
}

/// What stands before an event in its line.
struct Head {
    version: u32,
    seq: u64,
    time: Timestamp,
    /// Up to the comma before the event's `"type"`.
    length: usize,
}

impl Head {
    fn read(body: &[u8]) -> Option<Self> {
        let (version, rest) = split_once(body.strip_prefix(br#"{"v":"#)?, b',')?;
        let (seq, rest) = split_once(rest.strip_prefix(br#""seq":"#)?, b',')?;
        let (time, rest) = split_once(rest.strip_prefix(br#""t":""#)?, b'"')?;
        let length = body.len().checked_sub(rest.len())?;
        let head = Self { version: version.parse().ok()?, seq: seq.parse().ok()?, time: time.parse().ok()?, length };
        rest.starts_with(br#","type":""#).then_some(head)
    }
}

/// Splits `text` around the first `mark`. What stands behind it is not looked at.
fn split_once(text: &[u8], mark: u8) -> Option<(&str, &[u8])> {
    let (before, rest) = text.split_at_checked(text.iter().position(|byte| *byte == mark)?)?;
    Some((str::from_utf8(before).ok()?, rest.get(1..)?))
}
