//! Native kernels: C for the host's processor and CUDA for a device, compiled in the stage and timed by this program's own
//! worker.

mod expr;
mod dtype;
mod toml_file;
mod problem;
mod source;
mod spec;
mod buffers;
mod cache;
mod compare;
mod imports;
mod inputs;
mod library;
mod machine;
mod turns;
mod bench;
pub mod host;
pub mod cuda;
pub mod worker;
mod harness;

pub(super) use harness::Native;
pub use turns::{TURN, TURN_CALLS, Turns};
