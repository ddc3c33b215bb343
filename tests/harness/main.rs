//! Harnesses from outside: whole jobs with kernels that are right, wrong and hostile.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share fails as a test does")]

mod measure;
mod run;
mod native;
mod cuda;
mod programs;
mod gpumode;
