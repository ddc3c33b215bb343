//! Native kernels: C for the host's processor, compiled in the stage and timed by this program's own worker.

mod expr;
mod dtype;
mod toml_file;
mod problem;
mod source;
mod spec;
mod build_log;
mod harness;
mod buffers;
mod cache;
mod compare;
mod imports;
mod inputs;
mod library;
mod bench;
pub mod worker;

pub(super) use harness::Native;
