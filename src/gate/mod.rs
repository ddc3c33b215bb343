//! The compile gate: a text that cannot be compiled costs milliseconds on this machine, and no device is occupied for it.

mod nvrtc;
mod log;
mod check;

pub use check::{Checked, Gate};
pub use nvrtc::main;
