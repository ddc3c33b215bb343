//! The protocol: events, phases, rules and verdicts as pure values, without any input or output.

mod evidence;
mod ids;
mod terms;

pub use evidence::*;
pub use ids::*;
pub use terms::*;
