//! Reading ahead: the journal is read, verified and parsed on a thread of its own, and so is the evidence that it names, as far
//! as there is time for it.

use std::mem;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use super::divergence::Disagreement;
use super::evidence::{Evidence, Files, leads_down};
use crate::journal::{self, JournalError, Opened, Record};
use crate::protocol::Event;

/// Entries that are handed over at once: a thread that waits for each is woken for each.
const BATCH: usize = 128;

/// So many batches under way are work enough for who takes them, and leave time to read the evidence of the next. With more,
/// what was read has left the processor's cache by the time it is needed.
const ENOUGH: usize = 2;

/// Batches that may wait.
const MOST: usize = 8;

/// An event, with the evidence that it names.
pub(super) struct Entry {
    pub(super) record: Record<Event>,
    /// Of a measurement that ended, where there was time to read it. It stays here: memory costs less where the thread that
    /// took it gives it back.
    pub(super) evidence: Option<Result<Box<Evidence>, Disagreement>>,
}

impl Entry {
    fn add_evidence(&mut self, files: &mut Files) {
        if let Event::MeasureFinished { artifact, .. } = &self.record.event
            && leads_down(&artifact.path)
        {
            self.evidence = Some(files.fetch(artifact));
        }
    }
}

/// Gives each entry of the run in `folder` to `on_entry`, in the journal's order.
///
/// # Errors
/// The first error of `on_entry`, which ends the reading, or that of the journal, once every event before it was given.
pub(super) fn read<X: From<JournalError>>(
    folder: &Path,
    mut on_entry: impl FnMut(&mut Entry) -> Result<(), X>,
) -> Result<Opened, X> {
    thread::scope(|scope| {
        let (entries, read_entries) = sync_channel::<Vec<Entry>>(MOST);
        let (spent, spent_batches) = channel();
        let reader = scope.spawn(move || Reader::new(folder, entries, spent_batches).read(folder));
        // Where an entry ends the walk, the receiver goes, and with its next batch the reader.
        for mut batch in read_entries {
            batch.iter_mut().try_for_each(&mut on_entry)?;
            // The reader may be done.
            let _ = spent.send(batch);
        }
        let read = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
        read.or_else(|halt| halt.0.map_or(Ok(Opened::default()), |error| Err(error.into())))
    })
}

/// What ends the reading early: the journal, or that nobody takes its entries any more.
struct Halt(Option<JournalError>);

impl From<JournalError> for Halt {
    fn from(error: JournalError) -> Self {
        Self(Some(error))
    }
}

/// The thread that reads.
struct Reader {
    files: Files,
    entries: SyncSender<Vec<Entry>>,
    /// The batches that were sent before.
    spent: Receiver<Vec<Entry>>,
    spare: Vec<Vec<Entry>>,
    /// Batches that were sent and are not back.
    out: usize,
}

impl Reader {
    fn new(folder: &Path, entries: SyncSender<Vec<Entry>>, spent: Receiver<Vec<Entry>>) -> Self {
        Self { files: Files::new(folder), entries, spent, spare: Vec::new(), out: 0 }
    }

    /// Sends the entries of the journal, batch by batch.
    fn read(mut self, folder: &Path) -> Result<Opened, Halt> {
        let mut batch = Vec::with_capacity(BATCH);
        let read = journal::read(folder, |record| {
            batch.push(Entry { record, evidence: None });
            if batch.len() < BATCH {
                return Ok(());
            }
            let next = self.empty();
            self.send(mem::replace(&mut batch, next))
        });
        // Whatever ended the reading, the entries before it are good.
        let _ = self.send(batch);
        read
    }

    fn send(&mut self, mut batch: Vec<Entry>) -> Result<(), Halt> {
        if self.out >= ENOUGH {
            batch.iter_mut().for_each(|entry| entry.add_evidence(&mut self.files));
        }
        self.out += 1;
        self.entries.send(batch).map_err(|_| Halt(None))
    }

    /// Takes back what was sent, and returns an empty batch.
    fn empty(&mut self) -> Vec<Entry> {
        for mut batch in self.spent.try_iter() {
            batch.clear();
            self.spare.push(batch);
            self.out -= 1;
        }
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BATCH))
    }
}
