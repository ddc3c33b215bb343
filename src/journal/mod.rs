//! The journal.

mod snapshots;

pub use snapshots::*;
