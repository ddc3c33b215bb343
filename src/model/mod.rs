//! Models: who proposes the changes.

mod api;
mod exchange;
mod message;
mod recording;
mod rehearsal;
mod replay;
mod transcript;
mod tuner;

pub use api::*;
pub use exchange::Exchange;
pub use message::{Message, Sent};
pub use recording::{Recording, ReplayError};
pub use rehearsal::MakeContext;
pub use replay::Replay;
pub use tuner::*;
