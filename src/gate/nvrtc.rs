//! The far side: `agent compile`, a process in which NVRTC may crash.

use std::ffi::{CString, NulError};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use cudarc::nvrtc::result::{NvrtcError, compile_program, create_program, destroy_program, get_program_log};
use cudarc::nvrtc::sys::{is_culib_present, nvrtcResult};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The exit code where the text was rejected; its errors are on standard error.
pub(super) const REJECTED: u8 = 1;

/// The exit code where nobody could look at the text.
pub(super) const UNABLE: u8 = 74;

/// Orders are a few paths.
const MAX_ORDERS: u64 = 64 << 10;

/// What to compile, and how. It comes on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// The file with the text, which is also its name in messages.
    pub(super) file: String,
    /// NVRTC itself.
    pub(super) library: PathBuf,
    /// Such as `sm_100a`.
    pub(super) arch: String,
    /// Folders of headers.
    pub(super) includes: Vec<PathBuf>,
}

/// Why nobody could look at the text.
#[derive(Debug, Error)]
enum CompileError {
    #[error("standard input has no orders: {0}")]
    Orders(#[from] serde_json::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Library(#[from] libloading::Error),
    #[error("libnvrtc is not loaded under any name that is known")]
    NoLibrary,
    #[error("the text has a NUL byte at byte {}", .0.nul_position())]
    Nul(#[from] NulError),
    #[error("{0}")]
    Nvrtc(#[from] NvrtcError),
}

/// Compiles a text by the orders on standard input. Exit code 0 stands for a text that compiles, with `ptxas`' account of it on
/// standard output; 1 for one that does not, with its errors on standard error; 74 where that could not be found out.
pub fn main() -> ExitCode {
    let told = |text: &str| {
        // Nobody is left to tell if this fails; the exit code still says it.
        let _ = writeln!(io::stderr(), "{text}");
    };
    match run() {
        Ok(Verdict::Compiles(log)) => {
            let _ = writeln!(io::stdout(), "{log}");
            ExitCode::SUCCESS
        }
        Ok(Verdict::Rejected(log)) => {
            told(&log);
            ExitCode::from(REJECTED)
        }
        Err(CompileError::Nul(error)) => {
            told(&CompileError::Nul(error).to_string());
            ExitCode::from(REJECTED)
        }
        Err(error) => {
            told(&format!("compile: {error}"));
            ExitCode::from(UNABLE)
        }
    }
}

enum Verdict {
    Compiles(String),
    Rejected(String),
}

fn run() -> Result<Verdict, CompileError> {
    let mut text = Vec::new();
    io::stdin().take(MAX_ORDERS).read_to_end(&mut text)?;
    let orders: Orders = serde_json::from_slice(&text)?;
    load(&orders)?;
    let source = CString::new(fs::read(&orders.file)?)?;
    let name = CString::new(orders.file.as_str())?;
    let mut options = vec![format!("--gpu-architecture={}", orders.arch), "--ptxas-options=-v".to_owned()];
    options.extend(orders.includes.iter().map(|folder| format!("--include-path={}", folder.display())));
    // The options become C strings without a check of their own.
    options.iter().try_for_each(|option| CString::new(option.as_str()).map(drop))?;
    let program = create_program(&source, Some(&name))?;
    // SAFETY: `program` was just created, and is destroyed once, at the end.
    let compiled = unsafe { compile_program(program, &options) };
    // SAFETY: as above.
    let log = unsafe { get_program_log(program) }?;
    // SAFETY: as above; nothing uses it any more.
    unsafe { destroy_program(program) }?;
    let log: Vec<u8> = log.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    let log = String::from_utf8_lossy(&log).into_owned();
    match compiled {
        Ok(()) => Ok(Verdict::Compiles(log)),
        Err(NvrtcError(nvrtcResult::NVRTC_ERROR_COMPILATION)) => Ok(Verdict::Rejected(log)),
        Err(error) => Err(error.into()),
    }
}

/// Loads the library at its place. Under its own name it is then found again by whoever looks for it by name alone.
fn load(orders: &Orders) -> Result<(), CompileError> {
    // SAFETY: running the library's initialisers is what this process exists for.
    let library = unsafe { Library::open(Some(&orders.library), RTLD_NOW | RTLD_GLOBAL) }?;
    // It stays until the process ends.
    std::mem::forget(library);
    // SAFETY: as above. Without the look, the first call would panic where there is none.
    if unsafe { is_culib_present() } { Ok(()) } else { Err(CompileError::NoLibrary) }
}
