//! Models: who proposes the changes.

mod api;
mod exchange;
mod message;
mod openai;
mod replay;
mod tuner;

pub use api::*;
pub use exchange::Exchange;
pub use message::{Message, Sent};
pub use openai::*;
pub use replay::*;
pub use tuner::*;
