//! The worker: the process in which one block of a native kernel runs.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thiserror::Error;

use super::bench::Bench;
use super::host::Host;
use super::library::Entry;
use super::machine::{Fault, Machine};
use super::spec::{Case, Secrets, Spec, Target};
use super::turns::Turns;
use super::{cuda, imports};
use crate::harness::result::{ResultCase, ResultObject};
use crate::harness::{Conditions, device};
use crate::protocol::Device;
use serde::{Deserialize, Serialize};

/// The libraries in the stage's folder.
pub(super) const KERNEL: &str = "kernel.so";
pub(super) const REFERENCE: &str = "reference.so";

/// The exit code of a worker that could not measure, through no fault of the kernel's.
pub(super) const UNABLE: u8 = 74;

/// The exit code where the kernel cannot be started as it wants to be.
pub(super) const NOT_LAUNCHED: u8 = 65;

/// The exit code where the kernel did what its device does not forgive.
pub(super) const CRASHED: u8 = 70;

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
    Fault(#[from] Fault),
    #[error("the driver lacks what this program needs of it, as its words above say; install a newer one")]
    Driver,
}

impl WorkerError {
    fn code(&self) -> u8 {
        match self {
            Self::Fault(Fault::Crash(_)) => CRASHED,
            Self::Fault(Fault::Launch(_)) => NOT_LAUNCHED,
            _ => UNABLE,
        }
    }
}

/// What a worker writes: the result object, and what a device was like meanwhile.
#[derive(Debug, Serialize)]
struct Written {
    #[serde(flatten)]
    object: ResultObject,
    #[serde(flatten)]
    beside: Beside,
}

/// What stands in a worker's result beside the result object.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Beside {
    pub(super) conditions: Option<Conditions>,
}

/// Measures the kernel in the folder of `spec` and writes the result object to the path in `AFTERHOURS_RESULT`.
///
/// The secrets are read from standard input. Exit code 0 stands for a result,
/// whether right or wrong. What is told on standard error instead ends in exit code 65 for a kernel that cannot be launched,
/// 70 for one that crashed its device, and 74 for a failure that is not the kernel's.
pub fn main(spec: &Path) -> ExitCode {
    match run(spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails too; the exit code still says it.
            let _ = writeln!(io::stderr(), "worker: {error}");
            ExitCode::from(error.code())
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
    let (secrets, mut turns) = Turns::open().map_err(file(stdin))?;
    let secrets: Secrets = serde_json::from_slice(&secrets).map_err(json(stdin))?;
    let spec: Spec = serde_json::from_slice(&fs::read(path).map_err(file(path))?).map_err(json(path))?;
    let path = path.canonicalize().map_err(file(path))?;
    let reference = Entry::load(&path.with_file_name(REFERENCE))?;
    let block = Block { spec: &spec, reference: &reference, seed: secrets.seed };
    let (device, cases, conditions) = match spec.target {
        Target::Host => (device::host(), block.on_host(&path.with_file_name(KERNEL), &mut turns)?, None),
        Target::Cuda => block.on_cuda(&path, &mut turns)?,
    };
    let object = ResultObject { device, cases, harness: spec.harness.clone(), nonce: Some(secrets.nonce) };
    let written = Written { object, beside: Beside { conditions } };
    let text = serde_json::to_vec(&written).map_err(json(&result))?;
    fs::write(&result, text).map_err(file(&result))
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

/// What one block measures.
struct Block<'a> {
    spec: &'a Spec,
    reference: &'a Entry,
    seed: u64,
}

impl Block<'_> {
    fn on_host(&self, kernel: &Path, turns: &mut Turns) -> Result<Vec<ResultCase>, WorkerError> {
        let code = fs::read(kernel).map_err(|source| WorkerError::File { path: kernel.to_owned(), source })?;
        match imports::refusal(&code, &self.spec.imports) {
            Some(error) => Ok(refused(self.spec, &error)),
            None => Ok(self.measure(&mut Host::start(kernel, &self.spec.cases)?, turns)?),
        }
    }

    /// A driver that lacks a function ends in a panic of its bindings; none of the kernel's code runs in this process.
    fn on_cuda(
        &self,
        spec: &Path,
        turns: &mut Turns,
    ) -> Result<(Device, Vec<ResultCase>, Option<Conditions>), WorkerError> {
        let folder = spec.parent().unwrap_or(Path::new(""));
        let measured = AssertUnwindSafe(|| cuda::measure(folder, self.spec, |machine| self.measure(machine, turns)));
        let (device, cases, conditions) = panic::catch_unwind(measured).map_err(|_| WorkerError::Driver)??;
        Ok((device, cases, Some(conditions)))
    }

    /// Measures the cases in turn; the first that is wrong is the last.
    fn measure(&self, machine: &mut dyn Machine, turns: &mut Turns) -> Result<Vec<ResultCase>, Fault> {
        let mut cases = Vec::new();
        turns.take();
        for (index, case) in (0..).zip(&self.spec.cases) {
            let bench = Bench::new(machine, self.reference, self.spec, (index, case), self.seed)
                .and_then(|mut bench| bench.run(turns));
            let (error, time_us) = match bench {
                Ok(times) => (None, times),
                Err(Fault::Kernel(error)) => (Some(error), Vec::new()),
                Err(fault) => return Err(fault),
            };
            let passed = error.is_none();
            cases.push(ResultCase { id: case.id.clone(), passed, error, time_us });
            if !passed {
                break;
            }
        }
        turns.give();
        Ok(cases)
    }
}
