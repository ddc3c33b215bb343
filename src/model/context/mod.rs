//! What a language model is shown: bounded however long the run is, and the same from request to request as far as it can be.

mod tokens;
mod quote;
mod limits;
mod figures;
mod ledger;
mod prompts;
mod mission;
mod briefing;
mod turns;
mod ledgered;

pub use ledgered::Ledgered;
pub use limits::Limits;
pub use tokens::count as count_tokens;
