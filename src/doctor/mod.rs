//! The doctor: what this machine has for each runner, harness and model, and what it lacks. It changes nothing and never shows
//! a key.

mod check;
mod program;
mod examine;
mod gpu;

pub use check::{Area, Check, Findings, State};
pub use examine::examine;
