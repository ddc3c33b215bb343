//! The protocol: events, phases, rules and verdicts as pure values, without any input or output.
//!
//! An event goes in ([`RunState::apply`]), the next step comes out ([`RunState::next`]), and a model's call passes the
//! gate or is refused ([`RunState::admit`]). Nothing here reads a file, a clock or the network.

mod event;
mod evidence;
mod fault;
mod fold;
mod forbidden;
mod gate;
mod ids;
mod judge;
mod ledger;
mod next;
mod record;
mod refusal;
mod state;
mod stop;
mod terms;
mod times;

pub use event::*;
pub use evidence::*;
pub use fault::*;
pub use fold::*;
pub use forbidden::*;
pub use gate::*;
pub use ids::*;
pub use next::*;
pub use record::*;
pub use refusal::*;
pub use state::*;
pub use stop::*;
pub use terms::*;
pub use times::*;
