//! NVRTC, the compiler of CUDA texts: where it lies, what it makes of a text, and what it tells of it.

mod find;
mod program;
mod log;

pub(crate) use find::{Nvrtc, nvrtc};
pub(crate) use log::{KernelUse, uses};
pub(crate) use program::{NvrtcFault, Verdict, compile};
