//! Harnesses from outside: whole jobs with kernels that are right, wrong and hostile.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what the tests share fails as a test does, and says what it skips"
)]

mod measure;
mod run;
mod task;
mod native;
mod cuda;
mod programs;
mod gpumode;
mod gpumode_cuda;
