//! Measures a kernel, and tells whose fault a failure is.

use std::fmt::Debug;

use afterhours::harness::{BlockResult, Failure, Harness, Request, Role};
use afterhours::protocol::{Effort, Gpu, InfraFailure, KernelFailure};

use crate::run::run;

pub(crate) fn effort() -> Effort {
    Effort { repeats: 5, stage_repeats: vec![2, 3], early_stop_us: None, timeout_seconds: 60, pairs: 2 }
}

/// Measures `candidate` against `incumbent`, and returns what was read until the first failure.
pub(crate) fn measure(
    harness: &dyn Harness,
    candidate: &str,
    incumbent: Option<&str>,
    effort: &Effort,
) -> Result<Vec<(Role, BlockResult)>, Failure> {
    let gpu = Gpu("cpu".to_owned());
    let request = Request {
        gpu: &gpu,
        profile: "candidate",
        effort,
        candidate: candidate.as_bytes(),
        incumbent: incumbent.map(str::as_bytes),
        seed: 42,
        first_pair: 0,
    };
    let job = harness.job(&request).unwrap();
    let mut blocks = Vec::new();
    for ran in run(&job) {
        if let Some(block) = harness.read(&ran)? {
            blocks.push((ran.role, block));
        }
    }
    Ok(blocks)
}

pub(crate) fn kernel_failure<T: Debug>(result: Result<T, Failure>) -> (KernelFailure, String) {
    match result {
        Err(Failure::Kernel(failure, message)) => (failure, message),
        other => panic!("not a kernel's failure: {other:?}"),
    }
}

pub(crate) fn infra_failure<T: Debug>(result: Result<T, Failure>) -> (InfraFailure, String) {
    match result {
        Err(Failure::Infra(failure, message)) => (failure, message),
        other => panic!("not a failure of the infrastructure: {other:?}"),
    }
}
