//! Reading ahead: the journal is read, verified and parsed on one thread, and the evidence that it names on another.

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

/// Batches that may wait.
const AHEAD: usize = 2;

/// An event, with the evidence that it names.
pub(super) struct Entry {
    pub(super) record: Record<Event>,
    /// Of a measurement that ended; `None` as well where the artifact's path is none.
    pub(super) evidence: Option<Result<Box<Evidence>, Disagreement>>,
}

impl Entry {
    fn add_evidence(&mut self, files: &mut Files<'_>) {
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
        let (records, read_records) = sync_channel(AHEAD);
        let (entries, read_entries) = sync_channel::<Vec<Entry>>(AHEAD);
        let (spent, spent_batches) = channel();
        let reader = scope.spawn(move || read_into(&records, &spent_batches, folder));
        scope.spawn(move || {
            let mut files = Files::new(folder);
            for mut batch in read_records {
                batch.iter_mut().for_each(|entry| entry.add_evidence(&mut files));
                // Nobody takes them any more: the reader ends as well, with its next batch.
                if entries.send(batch).is_err() {
                    break;
                }
            }
        });
        // Where an entry ends the walk, the receiver goes, and with their next batch the others.
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

/// Sends the entries of a journal, batch by batch. Memory costs less where the thread that took it gives it back: `spent` are
/// the batches that were sent before.
fn read_into(records: &SyncSender<Vec<Entry>>, spent: &Receiver<Vec<Entry>>, folder: &Path) -> Result<Opened, Halt> {
    let mut batch = Vec::with_capacity(BATCH);
    let read = journal::read(folder, |record| {
        batch.push(Entry { record, evidence: None });
        if batch.len() < BATCH {
            return Ok(());
        }
        let mut next = spent.try_recv().unwrap_or_else(|_| Vec::with_capacity(BATCH));
        next.clear();
        records.send(mem::replace(&mut batch, next)).map_err(|_| Halt(None))
    });
    // Whatever ended the reading, the entries before it are good.
    let _ = records.send(batch);
    read
}
