//! The launcher: stands between a runner and a harness's program, on the machine that measures.
//!
//! It gives each block a fresh folder with files that it has checked, asks the machine for its device, hands the program its
//! secrets and a pipe to report to, and writes what came of it with a number that the program never sees.

mod orders;
mod folder;
mod made;
mod ears;
mod attend;
mod far;
mod near;

pub use far::main;
pub(super) use near::{Finding, Launcher, Start};
pub(super) use orders::{Channel, Origin, UNABLE};
