//! Models: who proposes the changes.

mod api;
mod beside;
mod exchange;
mod message;
mod context;
mod openai;
mod replay;
mod tuner;

pub use api::*;
pub use beside::with_tuner;
pub use context::*;
pub use exchange::Exchange;
pub use message::{Message, Sent};
pub use openai::*;
pub use replay::*;
pub use tuner::*;
