//! Models: who proposes the changes.

mod api;
mod beside;
mod exchange;
mod message;
mod context;
mod openai;
mod recording;
mod rehearsal;
mod replay;
mod transcript;
mod tuner;

pub use api::*;
pub use beside::with_tuner;
pub use context::*;
pub use exchange::Exchange;
pub use message::{Message, Sent};
pub use openai::*;
pub use recording::{Recording, ReplayError};
pub use rehearsal::MakeContext;
pub use replay::Replay;
pub use tuner::*;
