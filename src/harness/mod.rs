//! Harnesses: what measures. Each knows which processes measure a kernel, and how to read what they leave.

mod api;
mod encoded;
mod job;
mod duel;
mod result;
mod build_log;
mod device;
mod conditions;
pub(crate) mod arch;
pub(crate) mod nvrtc;
pub mod launch;
mod printed;
mod contract;
mod gpumode;
pub mod native;
mod lexer;
mod wires;
mod added;
mod live;
mod tripwire;
mod open;

pub use added::added_lines;
pub use api::*;
pub use conditions::*;
pub use job::*;
pub use open::open;
pub use tripwire::{Language, Tripped, freed_lines, tripped};
pub use wires::Act;
