//! What a kernel runs on.

use memmap2::MmapMut;
use thiserror::Error;

use super::buffers::Guarded;
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
    /// Returns memory for the buffers of the next case, which have `lens` bytes, guards included.
    fn memory(&mut self, lens: &[usize]) -> Result<Vec<MmapMut>, Fault> {
        let maps = lens.iter().map(|len| MmapMut::map_anon(*len)).collect::<Result<_, _>>();
        maps.map_err(|error| Fault::Machine(format!("the memory for the buffers: {error}")))
    }

    /// Makes ready for the calls of `case`, whose buffers have `lens` bytes, guards included.
    fn prepare(&mut self, case: &Case, lens: &[usize]) -> Result<(), Fault>;

    /// Calls the kernel once, with cold caches, on buffers that have just been filled, and returns the microseconds it took.
    /// The buffers then hold what it left, guards included.
    fn call(&mut self, buffers: &mut [&mut Guarded]) -> Result<f64, Fault>;

    /// Looks back on the calls of the case.
    fn conclude(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
