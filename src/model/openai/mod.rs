//! Language models behind any endpoint that speaks OpenAI's Chat Completions or Responses.

mod arguments;
mod body;
mod chat;
mod endpoint;
mod error;
mod events;
mod key;
mod model;
mod price;
mod prices;
mod probe;
mod reply;
mod responses;
mod settings;
mod surroundings;
mod tls;
mod transport;
mod trouble;

pub use error::OpenAiError;
pub use key::Key;
pub use model::OpenAi;
pub use price::Price;
pub use settings::{Api, Settings};
pub use surroundings::Surroundings;
