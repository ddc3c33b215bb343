//! Models: who proposes the changes.

mod api;
mod replay;
mod tuner;

pub use api::*;
pub use replay::*;
pub use tuner::*;
