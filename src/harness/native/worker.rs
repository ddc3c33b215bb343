//! The worker: the process in which one block of a native kernel runs.

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thiserror::Error;

use super::bench::{Bench, Fault, Pair};
use super::cache::Evictor;
use super::imports;
use super::library::Entry;
use super::spec::{Case, Secrets, Spec};
use crate::harness::device;
use crate::harness::result::{ResultCase, ResultObject};

/// The libraries in the stage's folder.
pub(super) const KERNEL: &str = "kernel.so";
pub(super) const REFERENCE: &str = "reference.so";

/// The exit code of a worker that could not measure, through no fault of the kernel's.
pub(super) const UNABLE: u8 = 74;

/// Secrets are a few dozen bytes.
const MAX_SECRETS: u64 = 4096;

/// Why the worker could not measure.
#[derive(Debug, Error)]
enum WorkerError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{0}")]
    Library(#[from] libloading::Error),
    #[error("AFTERHOURS_RESULT is not set: a runner starts this command, not a person")]
    NoResultPath,
    #[error("{0}")]
    Reference(String),
}

/// Measures the kernel in the folder of `spec` and writes the result object to the path in `AFTERHOURS_RESULT`.
///
/// The secrets are read from standard input before any of the kernel's code is loaded. Exit code 0 stands for a result,
/// whether right or wrong; any failure of the worker's own is told on standard error and ends in exit code 74.
pub fn main(spec: &Path) -> ExitCode {
    match run(spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails too; the exit code still says it.
            let _ = writeln!(io::stderr(), "worker: {error}");
            ExitCode::from(UNABLE)
        }
    }
}

fn run(path: &Path) -> Result<(), WorkerError> {
    let result = env::var_os("AFTERHOURS_RESULT").map(PathBuf::from).ok_or(WorkerError::NoResultPath)?;
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkerError::File { path, source }
    };
    let json = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkerError::Json { path, source }
    };
    let stdin = Path::new("standard input");
    let mut secrets = Vec::new();
    io::stdin().take(MAX_SECRETS).read_to_end(&mut secrets).map_err(file(stdin))?;
    forget_stdin().map_err(file(stdin))?;
    let secrets: Secrets = serde_json::from_slice(&secrets).map_err(json(stdin))?;
    let spec: Spec = serde_json::from_slice(&fs::read(path).map_err(file(path))?).map_err(json(path))?;
    let path = path.canonicalize().map_err(file(path))?;
    let kernel = path.with_file_name(KERNEL);
    let cases = match imports::refusal(&fs::read(&kernel).map_err(file(&kernel))?, &spec.imports) {
        Some(error) => refused(&spec, &error),
        None => {
            let reference = Entry::load(&path.with_file_name(REFERENCE))?;
            measure(&Pair { reference, kernel: Entry::load(&kernel)? }, &spec, secrets.seed)?
        }
    };
    let object = ResultObject { device: device::host(), cases, harness: spec.harness, nonce: Some(secrets.nonce) };
    let text = serde_json::to_vec(&object).map_err(json(&result))?;
    fs::write(&result, text).map_err(file(&result))
}

/// Puts an empty file in place of standard input: whoever could rewind it would read the secrets once more.
fn forget_stdin() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?)
}

/// Returns the result of a kernel that is not even loaded: its first case did not pass.
fn refused(spec: &Spec, error: &str) -> Vec<ResultCase> {
    let case = |case: &Case| ResultCase {
        id: case.id.clone(),
        passed: false,
        error: Some(error.to_owned()),
        time_us: Vec::new(),
    };
    spec.cases.iter().take(1).map(case).collect()
}

/// Measures the cases in turn; the first that is wrong is the last.
fn measure(pair: &Pair, spec: &Spec, seed: u64) -> Result<Vec<ResultCase>, WorkerError> {
    let mut evictor = Evictor::new();
    let mut cases = Vec::new();
    for (index, case) in (0..).zip(&spec.cases) {
        let (error, time_us) = match Bench::new(pair, spec, case, index, seed).run(&mut evictor) {
            Ok(times) => (None, times),
            Err(Fault::Kernel(error)) => (Some(error), Vec::new()),
            Err(Fault::Reference(error)) => return Err(WorkerError::Reference(error)),
        };
        let passed = error.is_none();
        cases.push(ResultCase { id: case.id.clone(), passed, error, time_us });
        if !passed {
            break;
        }
    }
    Ok(cases)
}
