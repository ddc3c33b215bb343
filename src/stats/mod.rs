//! Statistics: the metric of blocks and sides, and the comparison that decides a duel.

mod location;
mod paired;

pub use location::*;
pub use paired::*;
