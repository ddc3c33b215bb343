//! What a kernel runs on.

use std::ffi::{c_longlong, c_void};
use std::time::Instant;

use thiserror::Error;

use super::buffers::Guarded;
use super::cache::Evictor;
use super::library::Entry;
use super::spec::Case;

/// Why a case did not pass.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Fault {
    /// The kernel is wrong.
    #[error("{0}")]
    Kernel(String),
    /// The kernel did what ends its process, or all that its device will do for this one.
    #[error("{0}")]
    Crash(String),
    /// The kernel cannot be started as it wants to be.
    #[error("{0}")]
    Launch(String),
    /// The harness's reference is wrong.
    #[error("{0}")]
    Reference(String),
    /// The machine is at fault.
    #[error("{0}")]
    Machine(String),
}

/// A processor or a device, with the kernel on it.
pub(super) trait Machine {
    /// Makes ready for the calls of `case`, whose buffers have `lens` bytes, guards included.
    fn prepare(&mut self, case: &Case, lens: &[usize]) -> Result<(), Fault>;

    /// Calls the kernel once, with cold caches, on buffers that have just been filled, and returns the microseconds it took.
    /// The buffers then hold what it left, guards included.
    fn call(&mut self, buffers: &mut [&mut Guarded], sizes: &[c_longlong]) -> Result<f64, Fault>;

    /// Looks back on the calls of the case.
    fn conclude(&mut self) -> Result<(), Fault>;
}

/// The host's processor.
pub(super) struct Host {
    kernel: Entry,
    evictor: Evictor,
}

impl Host {
    pub(super) fn new(kernel: Entry) -> Self {
        Self { kernel, evictor: Evictor::new() }
    }
}

impl Machine for Host {
    fn prepare(&mut self, _case: &Case, _lens: &[usize]) -> Result<(), Fault> {
        Ok(())
    }

    fn call(&mut self, buffers: &mut [&mut Guarded], sizes: &[c_longlong]) -> Result<f64, Fault> {
        let pointers: Vec<*mut c_void> = buffers.iter_mut().map(|buffer| buffer.as_mut_ptr().cast()).collect();
        self.evictor.evict(buffers.iter().map(|buffer| buffer.bytes()));
        let start = Instant::now();
        // SAFETY: buffers and sizes follow the spec from which the prototype and the shim were generated. A kernel that
        // leaves its buffers all the same is what this process is for: it holds nothing but this measurement.
        unsafe { self.kernel.call(&pointers, sizes) };
        Ok(start.elapsed().as_nanos() as f64 / 1e3)
    }

    fn conclude(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
