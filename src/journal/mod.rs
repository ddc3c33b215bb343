//! The journal: the run's events on disk, with its lock, and the kernel texts by content hash.
//!
//! A run's folder holds `journal.jsonl`, one event a line, only ever appended to:
//!
//! ```text
//! {"v":1,"seq":12,"t":"2026-11-24T12:40:00.123Z","type":"…","fields":{…},"sum":"<16 hex digits>"}
//! ```
//!
//! - `v`: the version of the format.
//! - `seq`: the line's number, from 1.
//! - `t`: when the event happened, to the millisecond.
//! - `type`, `fields`: the event; one without fields has no `fields`.
//! - `sum`: the first 16 hex digits of BLAKE3 over the previous line's `sum` (sixteen zeros before the first line) and
//!   this line's text without `,"sum":"…"`. The sums chain the lines: none can be altered, dropped or moved unnoticed.
//!
//! # Who can read what
//!
//! | journal | program | outcome |
//! | --- | --- | --- |
//! | version 1 | reads 1 | read |
//! | newer | reads 1 | an error that asks for a newer program; nothing is guessed or changed |
//! | older | newer | a newer program must go on reading, and go on writing, the version of the first line |
//!
//! Within a version, fields may be added where the reader has a default for them (`#[serde(default)]`), and event types
//! may be added: an older program that meets one it does not know stops with an error and changes nothing. Whatever alters
//! the meaning of what is already written raises the version.
//!
//! # What a crash leaves
//!
//! An event counts once [`Journal::append`] has returned: one write, one `fdatasync`. A crash before that leaves at most
//! one unfinished last line, which [`Journal::open`] cuts off and reports. Damage anywhere else is an error that names the
//! line, and the file stays as it is.

mod durable;
mod error;
mod line;
mod lock;
mod log;
mod pages;
mod read;
mod shared;
mod snapshots;

pub use durable::{atomic_write, create_folder};
pub use error::{FileError, JournalError, LineFault};
pub use line::Record;
pub use lock::{Holder, RunLock, holder};
pub use log::{Appended, Journal};
pub use pages::Pages;
pub use read::{FILE, Opened, read};
pub use shared::{open_shared, stands_at};
pub use snapshots::{SnapshotError, Snapshots};
