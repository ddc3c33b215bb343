//! Reading a journal, line by line, with nothing in memory but the line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::{FileError, JournalError, LineFault};
use super::line::{self, Chain, MAX_LINE, Record, Unreadable};

/// The journal's name in the run's folder.
pub const FILE: &str = "journal.jsonl";

const BUFFER: usize = 256 << 10;

/// What a journal held when it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Its events.
    pub records: u64,
    /// The bytes of an unfinished last line: what a crash, or a writer still at work, had left there.
    pub torn_bytes: u64,
}

/// Gives each event of the run in `folder` to `on_record`, without the lock and without changing anything.
///
/// An unfinished last line is left out and counted; beside a run that is being written that is nothing unusual.
///
/// # Errors
/// A damaged or unreadable journal, or the first error of `on_record`, which ends the reading.
pub fn read<E, X>(folder: &Path, on_record: impl FnMut(Record<E>) -> Result<(), X>) -> Result<Opened, X>
where
    E: DeserializeOwned,
    X: From<JournalError>,
{
    let path = folder.join(FILE);
    let file = File::open(&path).map_err(|cause| JournalError::from(FileError::because("open", &path)(cause)))?;
    Ok(scan(&file, &path, on_record)?.opened())
}

/// How far a journal is whole.
pub(super) struct Scan {
    /// Where its last good line leaves it.
    pub(super) chain: Chain,
    /// The bytes of its good lines.
    pub(super) good_bytes: u64,
    /// The bytes after them.
    pub(super) torn_bytes: u64,
}

impl Scan {
    pub(super) fn opened(&self) -> Opened {
        Opened { records: self.chain.seq().saturating_sub(1), torn_bytes: self.torn_bytes }
    }
}

/// Reads `file` from its beginning.
pub(super) fn scan<E, X>(
    file: &File,
    path: &Path,
    mut on_record: impl FnMut(Record<E>) -> Result<(), X>,
) -> Result<Scan, X>
where
    E: DeserializeOwned,
    X: From<JournalError>,
{
    let mut lines = Lines { reader: BufReader::with_capacity(BUFFER, file), path, text: Vec::new() };
    let mut scan = Scan { chain: Chain::start(), good_bytes: 0, torn_bytes: 0 };
    while let Some(line) = lines.next()? {
        match lines.record(line, &mut scan.chain)? {
            Some(record) => on_record(record)?,
            None => {
                scan.torn_bytes = line.bytes;
                break;
            }
        }
        scan.good_bytes += line.bytes;
    }
    Ok(scan)
}

/// How a line ends, and the bytes it takes with its line feed.
#[derive(Clone, Copy)]
struct Line {
    bytes: u64,
    finished: bool,
}

/// The lines of a file, each in turn in the same buffer.
struct Lines<'a> {
    reader: BufReader<&'a File>,
    path: &'a Path,
    text: Vec<u8>,
}

impl Lines<'_> {
    /// Fetches a line into `text`, without its line feed; `None` at the file's end.
    fn next(&mut self) -> Result<Option<Line>, JournalError> {
        self.text.clear();
        let mut bounded = self.reader.by_ref().take(MAX_LINE as u64 + 1);
        let bytes = bounded.read_until(b'\n', &mut self.text).map_err(FileError::because("read", self.path))?;
        let finished = self.text.pop_if(|byte| *byte == b'\n').is_some();
        Ok((bytes > 0).then_some(Line { bytes: bytes as u64, finished }))
    }

    /// Reads the record of the fetched line; `None` where it is an unfinished write at the file's end.
    fn record<E: DeserializeOwned>(
        &mut self,
        line: Line,
        chain: &mut Chain,
    ) -> Result<Option<Record<E>>, JournalError> {
        let number = chain.seq();
        let path = || self.path.to_owned();
        let newer = |found| JournalError::Newer { path: path(), found, newest: line::VERSION };
        let fault = if self.text.len() > MAX_LINE {
            LineFault::TooLong
        } else if !line.finished {
            LineFault::Unfinished
        } else if number == 1
            && let Some(found) = line::version(&self.text).filter(|found| *found > line::VERSION)
        {
            // Before the sum, since a newer version may define another one.
            return Err(newer(found));
        } else {
            match line::decode(chain, &mut self.text) {
                Ok(record) => return Ok(Some(record)),
                Err(Unreadable::Newer(found)) => return Err(newer(found)),
                Err(Unreadable::Foreign(message)) => {
                    return Err(JournalError::Foreign { path: path(), line: number, message });
                }
                Err(Unreadable::Fault(fault)) => fault,
            }
        };
        let torn = match fault {
            LineFault::TooLong | LineFault::Sequence { .. } => false,
            LineFault::Unfinished | LineFault::Malformed | LineFault::Sum => {
                self.at_end()? && !chain.holds_next(&self.text)
            }
        };
        if torn { Ok(None) } else { Err(JournalError::Damaged { path: self.path.to_owned(), line: number, fault }) }
    }

    fn at_end(&mut self) -> Result<bool, JournalError> {
        let rest = self.reader.fill_buf().map_err(FileError::because("read", self.path))?;
        Ok(rest.is_empty())
    }
}
