//! Models: who proposes the changes.

mod api;

pub use api::*;
