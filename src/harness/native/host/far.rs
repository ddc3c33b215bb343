//! The far side: `agent kernel`, the process in which a kernel in C runs.

use std::ffi::{c_longlong, c_void};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use memmap2::{MmapOptions, MmapRaw};
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use thiserror::Error;

use super::shared::{Order, Orders};
use crate::harness::native::library::Entry;
use crate::harness::native::turns::forget_stdin;
use crate::harness::native::worker::UNABLE;
use crate::sandbox::{self, AloneError};

/// Why this process could not be the kernel's.
#[derive(Debug, Error)]
enum FarError {
    #[error("standard input is no memory to share with the worker, which starts this command: {0}")]
    Memory(io::Error),
    #[error("{0}")]
    Alone(#[from] AloneError),
    #[error("{0}")]
    Library(#[from] libloading::Error),
    #[error("the system refused a signal: {0}")]
    Signal(#[from] rustix::io::Errno),
    #[error("the memory that it shares with the worker holds no order")]
    NoOrder,
}

/// A case's arguments.
struct Arguments {
    buffers: Vec<*mut c_void>,
    sizes: Vec<c_longlong>,
    /// Keeps the buffers mapped.
    _memory: MmapRaw,
}

/// Carries out the orders in the memory on standard input, one each time that it goes on, with the kernel in `library`.
///
/// It returns only where it cannot, with exit code 74 and the reason on standard error.
pub fn main(library: &Path) -> ExitCode {
    if let Err(error) = serve(library) {
        // Nobody is left to tell if this fails too; the exit code still says it.
        let _ = writeln!(io::stderr(), "kernel: {error}");
    }
    ExitCode::from(UNABLE)
}

fn serve(library: &Path) -> Result<(), FarError> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let memory = File::from(rustix::io::dup(rustix::stdio::stdin()).map_err(|error| FarError::Memory(error.into()))?);
    let orders = Orders::of(&memory).map_err(FarError::Memory)?;
    forget_stdin().map_err(FarError::Memory)?;
    sandbox::alone()?;
    let (mut kernel, mut arguments) = (None, None);
    loop {
        // It goes on when the next order is there.
        kill_process(getpid(), Signal::STOP)?;
        match (orders.order(), &kernel, &arguments) {
            (Some(Order::Load), ..) => kernel = Some(Entry::load(library)?),
            (Some(Order::Map), ..) => {
                // Taken away first: memory for two cases may be more than there is.
                drop(arguments.take());
                arguments = Some(map(&memory, &orders)?);
            }
            (Some(Order::Call), Some(kernel), Some(Arguments { buffers, sizes, .. })) => {
                // SAFETY: buffers and sizes follow the spec from which the prototype and the shim were generated. A kernel that
                // leaves its buffers all the same is what this process is for: it holds nothing but the kernel.
                unsafe { kernel.call(buffers, sizes) };
            }
            _ => return Err(FarError::NoOrder),
        }
    }
}

fn map(memory: &File, orders: &Orders) -> Result<Arguments, FarError> {
    let (starts, sizes) = orders.arguments().ok_or(FarError::NoOrder)?;
    // With every page at hand, so that no call of the kernel has to wait for one.
    let memory = MmapOptions::new().populate().map_raw(memory).map_err(FarError::Memory)?;
    if starts.iter().any(|start| *start >= memory.len()) {
        return Err(FarError::NoOrder);
    }
    let buffers = starts.iter().map(|start| memory.as_mut_ptr().wrapping_add(*start).cast()).collect();
    Ok(Arguments { buffers, sizes, _memory: memory })
}
