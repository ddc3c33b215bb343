//! The build of a CUDA text: `agent build`, a process in which NVRTC may crash.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};
use thiserror::Error;

use super::launch::Launch;
use crate::harness::device::{self, DeviceError};
use crate::harness::native::spec::Spec;
use crate::harness::native::worker::UNABLE;
use crate::harness::nvrtc::{self, NvrtcFault, Verdict};
use crate::protocol::Device;

/// The files of a stage, beside its spec.
pub(in crate::harness::native) const TEXT: &str = "kernel.cu";
pub(in crate::harness::native) const PROTOTYPE: &str = "problem.h";
pub(super) const CODE: &str = "kernel.cubin";
pub(super) const LOG: &str = "kernel.ptxas.txt";

/// The exit code where the text was rejected; its errors are on standard error.
const REJECTED: u8 = 1;

/// Why nobody could look at the text.
#[derive(Debug, Error)]
enum BuildError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{0}")]
    Device(#[from] DeviceError),
    #[error("the device {0} has no compute capability")]
    NoCapability(String),
    #[error(
        "libnvrtc was not found; `pip install nvidia-cuda-nvrtc nvidia-cuda-runtime` for a Python in PATH, or name its \
         folder in LD_LIBRARY_PATH"
    )]
    NoCompiler,
    #[error("{0}")]
    Nvrtc(#[from] NvrtcFault),
}

/// Compiles the CUDA text beside `spec` for the device at hand.
///
/// Exit code 0 stands for code that can be launched in every case of the spec; 1 for a text that cannot, with the reasons on
/// standard error; 74 where that could not be found out.
pub fn main(spec: &Path) -> ExitCode {
    let (text, code) = match run(spec) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(errors)) => (errors, REJECTED),
        Err(error) => (format!("build: {error}"), UNABLE),
    };
    // Nobody is left to tell if this fails; the exit code still says it.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(code)
}

/// Returns the reasons for which the text is rejected, where it is.
fn run(path: &Path) -> Result<Result<(), String>, BuildError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::File { path, source }
    };
    let spec = fs::read(path).map_err(file(path))?;
    let spec: Spec =
        serde_json::from_slice(&spec).map_err(|source| BuildError::Json { path: path.to_owned(), source })?;
    let beside = |name| path.with_file_name(name);
    let text = fs::read(beside(TEXT)).map_err(file(&beside(TEXT)))?;
    // What can be said without a device is said without one.
    if let Err(errors) = check(&text, &spec) {
        return Ok(Err(errors));
    }
    let arch = arch(&device::cuda()?)?;
    let nvrtc = nvrtc::nvrtc().ok_or(BuildError::NoCompiler)?;
    let prototype = path.with_file_name(PROTOTYPE);
    match nvrtc::compile(&nvrtc, TEXT, &text, &arch, &[include(&prototype)])? {
        Verdict::Rejected(log) => Ok(Err(log)),
        Verdict::Compiled { cubin, .. } if !defines(&cubin, &spec.entry) => Ok(Err(missing(&spec.entry))),
        Verdict::Compiled { log, cubin } => {
            fs::write(beside(CODE), cubin).map_err(file(&beside(CODE)))?;
            fs::write(beside(LOG), log).map_err(file(&beside(LOG)))?;
            Ok(Ok(()))
        }
    }
}

/// Checks what a text says of its launch, for every case.
fn check(text: &[u8], spec: &Spec) -> Result<(), String> {
    let rejected = |message: String| format!("{TEXT}: error: {message}");
    let text = str::from_utf8(text).map_err(|_| rejected("the text is not UTF-8".to_owned()))?;
    let launch = Launch::parse(text).map_err(|error| rejected(error.to_string()))?;
    let geometry = |case: &super::super::spec::Case| launch.geometry(&case.id, &case.sizes).map(drop);
    spec.cases.iter().try_for_each(geometry).map_err(|error| rejected(error.to_string()))
}

/// Returns the option that puts the prototype before the text's first line, so that another signature is a compile error.
fn include(prototype: &Path) -> String {
    format!("--pre-include={}", prototype.display())
}

/// Returns the architecture of a device, with the features of that very device where it has some.
fn arch(device: &Device) -> Result<String, BuildError> {
    let capability = device.compute_capability.as_deref().and_then(|capability| capability.split_once('.'));
    let (major, minor) = capability.ok_or_else(|| BuildError::NoCapability(device.name.clone()))?;
    let own = if major.parse::<u32>().is_ok_and(|major| major >= 9) { "a" } else { "" };
    Ok(format!("sm_{major}{minor}{own}"))
}

/// Tells whether compiled code has the function `entry`.
fn defines(cubin: &[u8], entry: &str) -> bool {
    let file: Result<ElfFile64, _> = ElfFile64::parse(cubin);
    file.is_ok_and(|file| file.symbols().any(|symbol| symbol.is_definition() && symbol.name() == Ok(entry)))
}

fn missing(entry: &str) -> String {
    format!("{TEXT}: error: no `extern \"C\" __global__ void {entry}(…)` is defined; keep the entry point by this name")
}
