//! One text, compiled. NVRTC may crash at it: only a process that holds nothing else calls this.

use std::ffi::{CString, NulError};
use std::path::Path;

use cudarc::nvrtc::result::{NvrtcError, compile_program, create_program, destroy_program, get_program_log};
use cudarc::nvrtc::sys::{
    is_culib_present, nvrtcGetCUBIN, nvrtcGetCUBINSize, nvrtcGetErrorString, nvrtcProgram, nvrtcResult,
};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use thiserror::Error;

use super::find::Nvrtc;

/// Why nobody could look at a text.
#[derive(Debug, Error)]
pub(crate) enum NvrtcFault {
    #[error("{0}")]
    Library(#[from] libloading::Error),
    #[error("libnvrtc is not loaded under any name that is known")]
    NoLibrary,
    #[error("an option has a NUL byte: {0}")]
    Option(#[from] NulError),
    #[error("NVRTC cannot compile for {arch}: {reason}")]
    Unable { arch: String, reason: String },
}

/// What the compiler says of a text.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It compiles.
    Compiled {
        /// What `ptxas` tells of each kernel.
        log: String,
        /// The code for the device.
        cubin: Vec<u8>,
    },
    /// It does not, for these errors.
    Rejected(String),
}

/// Compiles `text`, called `name` in messages, for the architecture `arch`, such as `sm_100a`, with `options` beside those that
/// every text has.
///
/// Device code stays as it is: without relocatable code no kernel can launch another.
pub(crate) fn compile(
    nvrtc: &Nvrtc,
    name: &str,
    text: &[u8],
    arch: &str,
    options: &[String],
) -> Result<Verdict, NvrtcFault> {
    load(&nvrtc.library)?;
    let source = match CString::new(text) {
        Ok(source) => source,
        Err(error) => {
            return Ok(Verdict::Rejected(format!("the text has a NUL byte at byte {}", error.nul_position())));
        }
    };
    let name = CString::new(name)?;
    let mut all = vec![
        format!("--gpu-architecture={arch}"),
        "--relocatable-device-code=false".to_owned(),
        "--ptxas-options=-v".to_owned(),
    ];
    all.extend(nvrtc.includes.iter().map(|folder| format!("--include-path={}", folder.display())));
    all.extend_from_slice(options);
    // The options become C strings without a check of their own.
    all.iter().try_for_each(|option| CString::new(option.as_str()).map(drop))?;
    let unable = |error: NvrtcError| NvrtcFault::Unable { arch: arch.to_owned(), reason: reason(error) };
    let program = create_program(&source, Some(&name)).map_err(unable)?;
    // SAFETY: `program` was just created, and is destroyed once, after the last use.
    let compiled = unsafe { compile_program(program, &all) };
    // SAFETY: as above.
    let log = unsafe { get_program_log(program) }.map_err(unable)?;
    let cubin = match compiled {
        Ok(()) => cubin(program).map(Some),
        Err(NvrtcError(nvrtcResult::NVRTC_ERROR_COMPILATION)) => Ok(None),
        Err(error) => Err(error),
    };
    // SAFETY: as above; nothing uses it any more.
    unsafe { destroy_program(program) }.map_err(unable)?;
    let log: Vec<u8> = log.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    let log = String::from_utf8_lossy(&log).into_owned();
    Ok(match cubin.map_err(unable)? {
        Some(cubin) => Verdict::Compiled { log, cubin },
        None => Verdict::Rejected(log),
    })
}

/// Returns the code of a program that was compiled.
fn cubin(program: nvrtcProgram) -> Result<Vec<u8>, NvrtcError> {
    let mut size = 0;
    // SAFETY: the program lives, and `size` takes what is written.
    unsafe { nvrtcGetCUBINSize(program, &mut size) }.result()?;
    let mut code = vec![0_u8; size];
    // SAFETY: as above; `code` has the bytes that NVRTC has just asked for.
    unsafe { nvrtcGetCUBIN(program, code.as_mut_ptr().cast()) }.result()?;
    Ok(code)
}

/// Returns NVRTC's own words for an error: an architecture that it does not know is an invalid option.
fn reason(NvrtcError(error): NvrtcError) -> String {
    // SAFETY: NVRTC returns a text of its own for any number, which stays.
    let text = unsafe { std::ffi::CStr::from_ptr(nvrtcGetErrorString(error)) };
    text.to_string_lossy().into_owned()
}

/// Loads the library at its place. Under its own name it is then found again by whoever looks for it by name alone.
fn load(library: &Path) -> Result<(), NvrtcFault> {
    // SAFETY: running the library's initialisers is what this process exists for.
    let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) }?;
    // It stays until the process ends.
    std::mem::forget(library);
    // SAFETY: as above. Without the look, the first call would panic where there is none.
    if unsafe { is_culib_present() } { Ok(()) } else { Err(NvrtcFault::NoLibrary) }
}
