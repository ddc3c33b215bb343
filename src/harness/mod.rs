//! Harnesses: what measures. Each knows which processes measure a kernel, and how to read what they leave.

mod api;
mod job;

pub use api::*;
pub use job::*;
