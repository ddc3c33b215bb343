//! Text as an artifact.

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::memmem;

use super::error::ParseError;
use super::render::is_extra_key;
use super::text::{NO_DIFF, TITLE, read_value, unescape};
use super::types::{AnalysisEntry, Artifact, Header, Mode};
use crate::protocol::{Analysis, Decision, Gpu, Profile};

/// Reads an artifact as [`render`](super::render()) writes it, with what was appended since.
///
/// Only sections in their order and place count: what a kernel or a model wrote cannot stand for one.
///
/// # Errors
/// The first line that departs from the form. After a crash within an append that can be the last analysis;
/// [`append_analysis_at`](super::append_analysis_at) mends it.
pub fn parse(text: &str) -> Result<Artifact, ParseError> {
    read(text, |json| serde_json::from_str(json).ok())
}

/// Reads an artifact like [`parse`], but for its result, whose text is returned as it stands: no JSON value as yet.
///
/// # Errors
/// As [`parse`].
pub fn parse_around(text: &str) -> Result<Artifact<&str>, ParseError> {
    read(text, Some)
}

fn read<'a, R>(text: &'a str, result: impl FnOnce(&'a str) -> Option<R>) -> Result<Artifact<R>, ParseError> {
    let mut reader = Reader { text, rest: text };
    reader.expect(TITLE)?;
    reader.expect("\n")?;
    let header = header(&mut reader)?;
    reader.expect("## Kernel Diff (against git_hash)\n```diff\n")?;
    let diff = if reader.accept(NO_DIFF) {
        reader.expect("\n```\n")?;
        String::new()
    } else {
        reader.body("\n```\n")?
    };
    reader.expect("\n## runner output\n")?;
    let stdout = reader.body("\n## ")?;
    let stderr = if reader.accept("stderr\n") { reader.body("\n## ")? } else { String::new() };
    reader.expect("exit_code\n")?;
    let exit_code = reader.parsed("a number", |reader| reader.until("\n")?.parse().ok())?;
    reader.expect("\n## json_result\n```json\n")?;
    let json_result = reader.parsed("a JSON value", |reader| result(reader.until("\n```\n")?))?;
    let mut analyses = Vec::new();
    while !reader.rest.is_empty() {
        analyses.push(analysis(&mut reader)?);
    }
    Ok(Artifact { header, diff, stdout, stderr, exit_code, json_result, analyses })
}

/// Returns an artifact's text as it was before its analyses, the last of which a crash may have torn.
pub fn body(text: &str) -> &str {
    const END: &str = "\n```\n";
    // Every value of an analysis stands on its key's own line, so that the last fence is the result's.
    text.rfind(END).and_then(|place| text.get(..place + END.len())).unwrap_or(text)
}

fn header(reader: &mut Reader<'_>) -> Result<Header, ParseError> {
    Ok(Header {
        timestamp_utc: reader.timestamp()?,
        mode: reader.word("mode", &[Mode::Test, Mode::Benchmark], Mode::as_str)?,
        repo_root: reader.value("repo_root")?,
        git_hash: reader.value("git_hash")?,
        kernel_file: reader.value("kernel_file")?,
        kernel_file_relative: reader.value("kernel_file_relative")?,
        harness_file: reader.value("harness_file")?,
        profile: reader.word("profile", &[Profile::Smoke, Profile::Candidate, Profile::Final], Profile::as_str)?,
        gpu: Gpu(reader.value("gpu")?),
        json_out: reader.value("json_out")?,
        command: reader.value("command")?,
        extra: extra(reader)?,
    })
}

/// Reads our own keys, and the empty line after them.
fn extra(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, ParseError> {
    let pair = |reader: &mut Reader<'_>| {
        let (key, value) = reader.until("\n")?.split_once(": ")?;
        Some((is_extra_key(key).then(|| key.to_owned())?, read_value(value)?))
    };
    let mut extra = Vec::new();
    while !reader.accept("\n") {
        extra.push(reader.parsed("`key: value`, or an empty line", pair)?);
    }
    Ok(extra)
}

fn analysis(reader: &mut Reader<'_>) -> Result<AnalysisEntry, ParseError> {
    reader.expect("\n## Codex Analysis\n")?;
    let timestamp_utc = reader.timestamp()?;
    let word = |decision| match decision {
        Decision::Keep => "KEEP",
        Decision::Revert => "REVERT",
    };
    let analysis = Analysis {
        decision: reader.word("decision", &[Decision::Keep, Decision::Revert], word)?,
        summary: reader.value("summary")?,
        feedback: reader.value("feedback")?,
        next_step: reader.value("next_step")?,
    };
    Ok(AnalysisEntry { timestamp_utc, analysis })
}

/// A text, and what is left of it to read.
#[derive(Clone)]
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Skips `literal` where it comes next.
    fn accept(&mut self, literal: &str) -> bool {
        self.rest.strip_prefix(literal).map(|rest| self.rest = rest).is_some()
    }

    /// Skips `literal`, which must come next.
    fn expect(&mut self, literal: &'static str) -> Result<(), ParseError> {
        if self.accept(literal) { Ok(()) } else { Err(self.expected(format!("{literal:?}"))) }
    }

    /// Returns what comes before the next `end`, and skips both.
    fn until(&mut self, end: &str) -> Option<&'a str> {
        // A result can be long, and the standard library's search is slow on it.
        let (before, after) = self.rest.split_at_checked(memmem::find(self.rest.as_bytes(), end.as_bytes())?)?;
        self.rest = after.strip_prefix(end)?;
        Some(before)
    }

    /// Returns what `read` finds, or an error at the place where it began.
    fn parsed<T>(
        &mut self,
        expected: impl Into<Cow<'static, str>>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, ParseError> {
        let start = self.clone();
        read(self).ok_or_else(|| start.expected(expected))
    }

    fn value(&mut self, key: &'static str) -> Result<String, ParseError> {
        let start = self.clone();
        let line = self.until("\n").and_then(|line| line.strip_prefix(key)?.strip_prefix(": "));
        line.and_then(read_value).ok_or_else(|| start.expected(format!("`{key}: …`")))
    }

    fn timestamp(&mut self) -> Result<Timestamp, ParseError> {
        let start = self.clone();
        let text = self.value("timestamp_utc")?;
        text.parse().map_err(|_| start.expected("`timestamp_utc: ` and a time"))
    }

    fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Result<T, ParseError> {
        let start = self.clone();
        let text = self.value(key)?;
        let found = words.iter().find(|word| as_str(**word) == text);
        found.copied().ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|word| as_str(*word)).collect();
            start.expected(format!("`{key}: ` and one of {}", words.join(", ")))
        })
    }

    /// Reads a diff or an output up to `end`, which no line of it can be.
    fn body(&mut self, end: &'static str) -> Result<String, ParseError> {
        let start = self.clone();
        let escaped = self.until(end).ok_or_else(|| start.expected(format!("text, and then {end:?}")))?;
        unescape(escaped).map_err(|place| {
            let forged = Self { rest: start.rest.get(place..).unwrap_or(start.rest), ..start };
            forged.expected("a backslash before what looks like a heading or a fence")
        })
    }

    fn expected(&self, expected: impl Into<Cow<'static, str>>) -> ParseError {
        let done = self.text.len().saturating_sub(self.rest.len());
        let line = self.text.bytes().take(done).filter(|byte| *byte == b'\n').count().saturating_add(1);
        ParseError { line, expected: expected.into() }
    }
}
