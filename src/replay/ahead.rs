//! Reading ahead: the journal is read, verified and parsed on one thread, and the evidence that it names on another.

use std::mem;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::divergence::Disagreement;
use super::evidence::{Evidence, leads_down};
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

/// Gives each entry of the run in `folder` to `on_entry`, in the journal's order.
///
/// # Errors
/// The first error of `on_entry`, which ends the reading, or that of the journal, once every event before it was given.
pub(super) fn read<X: From<JournalError>>(
    folder: &Path,
    mut on_entry: impl FnMut(Entry) -> Result<(), X>,
) -> Result<Opened, X> {
    thread::scope(|scope| {
        let (records, read_records) = sync_channel(AHEAD);
        let (entries, read_entries) = sync_channel::<Vec<Entry>>(AHEAD);
        let reader = scope.spawn(move || read_into(&records, folder));
        scope.spawn(move || {
            for batch in read_records {
                // Nobody takes them any more: the reader ends as well, with its next batch.
                if entries.send(with_evidence(batch, folder)).is_err() {
                    break;
                }
            }
        });
        // Where an entry ends the walk, the receiver goes, and with their next batch the others.
        read_entries.into_iter().flatten().try_for_each(&mut on_entry)?;
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

fn read_into(records: &SyncSender<Vec<Record<Event>>>, folder: &Path) -> Result<Opened, Halt> {
    let mut batch = Vec::with_capacity(BATCH);
    let read = journal::read(folder, |record| {
        batch.push(record);
        if batch.len() < BATCH { Ok(()) } else { records.send(mem::take(&mut batch)).map_err(|_| Halt(None)) }
    });
    // Whatever ended the reading, the entries before it are good.
    let _ = records.send(batch);
    read
}

fn with_evidence(records: Vec<Record<Event>>, folder: &Path) -> Vec<Entry> {
    let entry = |record| Entry { evidence: evidence_of(&record, folder), record };
    records.into_iter().map(entry).collect()
}

fn evidence_of(record: &Record<Event>, folder: &Path) -> Option<Result<Box<Evidence>, Disagreement>> {
    match &record.event {
        Event::MeasureFinished { artifact, .. } if leads_down(&artifact.path) => {
            Some(Evidence::fetch(folder, artifact))
        }
        _ => None,
    }
}
