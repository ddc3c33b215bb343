//! The journal in the hands of its one writer.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::durable::{create_folder, sync_folder};
use super::error::{FileError, JournalError};
use super::line::{self, Chain, Record, Unreadable};
use super::lock::RunLock;
use super::read::{self, Opened};

/// A run's journal, locked, open for appending events of type `E`.
///
/// `E` is an adjacently tagged enum, `#[serde(tag = "type", content = "fields")]`.
#[derive(Debug)]
pub struct Journal<E> {
    file: File,
    path: PathBuf,
    chain: Chain,
    /// The bytes of the good lines. The file is longer only after a failed write that could not be taken back.
    length: u64,
    settled: bool,
    event: PhantomData<fn(E) -> E>,
    _lock: RunLock,
}

/// An event that is in the journal for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended<E> {
    /// The record exactly as any later reader gets it; fold this, not the event that was given.
    pub record: Record<E>,
    /// The line as written, with its line feed.
    pub line: String,
}

impl<E: Serialize + DeserializeOwned> Journal<E> {
    /// Creates the folder where it is missing, and in it an empty journal.
    ///
    /// # Errors
    /// [`JournalError::Exists`] where there is a journal, [`JournalError::Held`] where another process is about to create it,
    /// or the system's reason.
    pub fn create(folder: &Path) -> Result<Self, JournalError> {
        create_folder(folder)?;
        let lock = RunLock::acquire(folder)?;
        let path = folder.join(read::FILE);
        let file = match OpenOptions::new().read(true).append(true).create_new(true).open(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => return Err(JournalError::Exists { path }),
            opened => opened.map_err(FileError::because("create", &path))?,
        };
        sync_folder(folder)?;
        Ok(Self { file, path, chain: Chain::start(), length: 0, settled: true, event: PhantomData, _lock: lock })
    }

    /// Locks the journal in `folder`, gives each of its events to `on_record`, and cuts off an unfinished last line.
    ///
    /// # Errors
    /// A journal that is held, damaged, or of a newer version, or the first error of `on_record`, which ends the reading.
    /// The file is then as it was.
    pub fn open<X>(folder: &Path, on_record: impl FnMut(Record<E>) -> Result<(), X>) -> Result<(Self, Opened), X>
    where
        X: From<JournalError>,
    {
        let path = folder.join(read::FILE);
        let (file, lock) = open_locked(folder, &path)?;
        let scan = read::scan(&file, &path, on_record)?;
        let opened = scan.opened();
        let (length, settled) = (scan.good_bytes, scan.torn_bytes == 0);
        let mut journal = Self { file, path, chain: scan.chain, length, settled, event: PhantomData, _lock: lock };
        journal.settle()?;
        Ok((journal, opened))
    }

    /// Returns how many events it has.
    pub fn records(&self) -> u64 {
        self.chain.seq().saturating_sub(1)
    }

    /// Writes `event` as the next line, and returns once it is on the disk. The time is rounded to the millisecond.
    ///
    /// # Errors
    /// The system's reason, or [`JournalError::Unwritable`]. The event is then not in the journal, and the call may be
    /// repeated once the cause is gone.
    pub fn append(&mut self, time: Timestamp, event: &E) -> Result<Appended<E>, JournalError> {
        let unwritable = |message| JournalError::Unwritable { path: self.path.clone(), message };
        let line = line::encode(&self.chain, time, event).map_err(unwritable)?;
        let mut chain = self.chain.clone();
        let record = read_back(&mut chain, &line).map_err(unwritable)?;
        self.settle()?;
        if let Err(cause) = self.write(line.as_bytes()) {
            self.settled = false;
            // Where the rest of the line stays for now, the next call or the next opening takes it away.
            let _ = self.settle();
            return Err(FileError::because("append to", &self.path)(cause).into());
        }
        self.chain = chain;
        self.length += line.len() as u64;
        Ok(Appended { record, line })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.file.sync_data()
    }

    /// Takes away what stands after the last good line.
    fn settle(&mut self) -> Result<(), JournalError> {
        if !self.settled {
            let cut = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
            cut.map_err(FileError::because("cut the unfinished last line off", &self.path))?;
            self.settled = true;
        }
        Ok(())
    }
}

fn open_locked(folder: &Path, path: &Path) -> Result<(File, RunLock), JournalError> {
    // The journal first: no lock file must appear in a folder that holds no run.
    let opened = OpenOptions::new().read(true).append(true).open(path);
    let file = opened.map_err(FileError::because("open", path))?;
    Ok((file, RunLock::acquire(folder)?))
}

/// Reads a line as the next opening will: what serde writes, such as a NaN as null, it does not always read.
fn read_back<E: DeserializeOwned>(chain: &mut Chain, line: &str) -> Result<Record<E>, String> {
    let mut text = line.trim_end_matches('\n').as_bytes().to_vec();
    line::decode(chain, &mut text).map_err(|unreadable| match unreadable {
        Unreadable::Foreign(message) => message,
        Unreadable::Fault(fault) => fault.to_string(),
        Unreadable::Newer(version) => format!("it has version {version}"),
    })
}
