//! GPU MODE tasks: a `task.yml` with its evaluator, used as they are.

mod yaml;
mod cases;
mod files;
mod build;
mod lang;
mod task;
mod report;
mod harness;

pub(super) use harness::GpuMode;
