//! GPU MODE tasks: a `task.yml` with its `eval.py`, used as they are.

mod yaml;
mod task;
mod cases;
mod files;
mod report;
mod harness;

pub(super) use harness::GpuMode;
