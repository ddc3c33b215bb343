//! Statistics: the metric of blocks and sides, the test that decides a duel, and what all duels of a night may spend.

mod location;
mod noise;
mod paired;
mod rule;
mod sequential;
mod spending;
mod turns;

pub use location::*;
pub use noise::*;
pub use paired::*;
pub use rule::*;
pub use sequential::*;
pub use spending::*;
pub use turns::*;
