//! `test-run` and `benchmark-run`: one measurement, from two texts to an outcome.

use std::time::{Duration, Instant};

use thiserror::Error;

use crate::gate::{Checked, Gate};
use crate::harness::{BlockResult, CaseResult, Failure, Harness, HarnessError, JobOutput, Part, Ran, Request, Role};
use crate::protocol::{
    BadMicros, CaseFigure, ContentHash, Device, Effort, Gpu, InfraFailure, KernelFailure, MetricName, Micros, Outcome,
    Profile, Side,
};
use crate::runner::{Progress, Runner, RunnerError};
use crate::stats::{self, Ranking};

/// The bench: what measures, where, and by which measure.
pub struct Bench {
    /// What measures.
    pub harness: Box<dyn Harness>,
    /// Where.
    pub runner: Box<dyn Runner>,
    /// Who looks at a text before; nobody where there is none.
    pub gate: Option<Gate>,
    /// The device that results must come from.
    pub gpu: Gpu,
    /// The figure.
    pub metric: MetricName,
    /// What counts as material, as a fraction.
    pub min_improvement: f64,
}

/// One measurement to be made.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The profile's name.
    pub profile: Profile,
    /// How thoroughly.
    pub effort: &'a Effort,
    /// The text under test.
    pub candidate: &'a [u8],
    /// The text it is compared with.
    pub incumbent: Option<&'a [u8]>,
    /// From which the inputs are derived: fresh for each measurement.
    pub seed: u64,
}

/// What came of it, with everything that an artifact needs.
#[derive(Debug)]
pub struct Measured {
    /// The outcome.
    pub outcome: Outcome,
    /// What the processes did.
    pub output: JobOutput,
    /// Each block's result, in order.
    pub blocks: Vec<(Role, BlockResult)>,
    /// The time of the runner, waiting for the device included.
    pub elapsed: Duration,
    /// What a compiler said of the text before, and why none looked at it where one should have.
    pub compiled: Option<String>,
}

/// A measurement that no repetition will bring about.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The harness cannot be used.
    #[error(transparent)]
    Harness(#[from] HarnessError),
    /// The disk is full: no outcome of the measurement counts.
    #[error(transparent)]
    NoRoom(RunnerError),
    /// The runner lacks something for good.
    #[error("the runner {runner} cannot run this job: {message}")]
    Runner {
        /// Its name.
        runner: String,
        /// What it lacks.
        message: String,
    },
}

/// Measures what `order` says.
///
/// # Errors
/// Only where repeating it cannot help; every other failure is an [`Outcome`].
pub async fn measure(
    bench: &Bench,
    order: Order<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Measured, MeasureError> {
    let job = bench.harness.job(&Request {
        gpu: &bench.gpu,
        profile: order.profile.as_str(),
        effort: order.effort,
        candidate: order.candidate,
        incumbent: order.incumbent,
        seed: order.seed,
    })?;
    let begun = Instant::now();
    let compiled = match &bench.gate {
        None => None,
        Some(gate) => match gate.check(order.candidate).await {
            Checked::Rejected(errors, ran) => return Ok(rejected(errors, ran, begun)),
            Checked::Passed(told) => Some(told).filter(|told| !told.is_empty()),
            Checked::Aside(reason) => Some(reason).filter(|reason| !reason.is_empty()).map(not_looked),
        },
    };
    let output = match bench.runner.run(&job, progress).await {
        Ok(output) => output,
        Err(RunnerError::Missing(message)) => {
            return Err(MeasureError::Runner { runner: bench.runner.name().to_owned(), message });
        }
        Err(error @ RunnerError::NoRoom { .. }) => return Err(MeasureError::NoRoom(error)),
        Err(RunnerError::TimedOut(message)) => return Ok(not_run(InfraFailure::RunnerTimeout, message, begun)),
        Err(RunnerError::Failed(message)) => return Ok(not_run(InfraFailure::Runner, message, begun)),
    };
    let elapsed = begun.elapsed();
    let (blocks, failure) = read_all(bench.harness.as_ref(), &output);
    let expected = job.blocks.len();
    let outcome = match failure {
        Some(Failure::Kernel(failure, message)) => Outcome::KernelFailed { failure, message },
        Some(Failure::Infra(failure, message)) => Outcome::InfraFailed { failure, message },
        None if blocks.len() < expected => no_result(format!("{} of {expected} blocks left a result", blocks.len())),
        None => judge(bench, order, &blocks),
    };
    Ok(Measured { outcome, output, blocks, elapsed, compiled })
}

fn not_run(failure: InfraFailure, message: String, begun: Instant) -> Measured {
    let outcome = Outcome::InfraFailed { failure, message };
    Measured { outcome, output: JobOutput::default(), blocks: Vec::new(), elapsed: begun.elapsed(), compiled: None }
}

/// A text that does not compile: no device is occupied for it.
fn rejected(message: String, ran: Ran, begun: Instant) -> Measured {
    Measured {
        outcome: Outcome::KernelFailed { failure: KernelFailure::Compile, message },
        output: JobOutput { ran: vec![ran] },
        blocks: Vec::new(),
        elapsed: begun.elapsed(),
        compiled: None,
    }
}

fn not_looked(reason: String) -> String {
    format!("not compiled before the measurement: {reason}")
}

fn no_result(message: String) -> Outcome {
    Outcome::InfraFailed { failure: InfraFailure::NoResult, message }
}

/// Reads what the processes left, up to the first failure.
fn read_all(harness: &dyn Harness, output: &JobOutput) -> (Vec<(Role, BlockResult)>, Option<Failure>) {
    let mut blocks = Vec::new();
    for ran in &output.ran {
        match (harness.read(ran), ran.part) {
            (Ok(Some(result)), Part::Block(_)) => blocks.push((ran.role, result)),
            (Ok(_), _) => {}
            (Err(failure), _) => return (blocks, Some(failure)),
        }
    }
    (blocks, None)
}

/// Turns the blocks of both sides into figures, and compares them.
fn judge(bench: &Bench, order: Order<'_>, blocks: &[(Role, BlockResult)]) -> Outcome {
    let Some((_, first)) = blocks.first() else { return no_result("no block left a result".to_owned()) };
    for (_, block) in blocks {
        if !is_on(&bench.gpu, &block.device) || block.device != first.device {
            return Outcome::InfraFailed {
                failure: InfraFailure::WrongDevice,
                message: format!("the mission's device is {}, and a result came from {}", bench.gpu, block.device.name),
            };
        }
    }
    let of = |role| blocks.iter().filter(move |(of, _)| *of == role).map(|(_, block)| block).collect::<Vec<_>>();
    let measure = Measure { metric: bench.metric, ranking: bench.harness.ranking() };
    let sides = side(measure, order.candidate, &of(Role::Candidate)).and_then(|candidate| {
        let incumbent = order.incumbent.map(|text| side(measure, text, &of(Role::Incumbent))).transpose()?;
        Ok((candidate, incumbent))
    });
    let (candidate, incumbent) = match sides {
        Ok(sides) => sides,
        Err(message) => return no_result(message),
    };
    let comparison = match &incumbent {
        None => None,
        Some(incumbent) => match stats::compare(&incumbent.blocks, &candidate.blocks, bench.min_improvement) {
            Some(comparison) => Some(comparison),
            None => return no_result("the duel has no pair of blocks".to_owned()),
        },
    };
    Outcome::Measured { device: first.device.clone(), candidate, incumbent, comparison }
}

/// Tells whether a result's device is the mission's. A processor has no compute capability, and names itself `cpu`.
pub fn is_on(gpu: &Gpu, device: &Device) -> bool {
    let name = device.name.to_lowercase();
    if gpu.is_cpu() {
        return device.compute_capability.is_none() && name.starts_with("cpu");
    }
    let wanted = gpu.0.to_lowercase();
    // `B200` must not pass for `GB200`, nor `H100` for `H1000`: whole words count.
    name.split(|c: char| !c.is_alphanumeric()).any(|word| word == wanted) || name == wanted
}

/// By which measure a side's blocks become one figure.
#[derive(Clone, Copy, Debug)]
struct Measure {
    metric: MetricName,
    ranking: Ranking,
}

impl Measure {
    fn of(self, case: &CaseResult) -> Result<Micros, BadMicros> {
        match (self.metric, case.mean_us) {
            (MetricName::MeanUs, Some(mean)) => Ok(mean),
            (metric, _) => stats::case_metric(metric, &case.time_us),
        }
    }
}

fn side(measure: Measure, text: &[u8], blocks: &[&BlockResult]) -> Result<Side, String> {
    let bad = |error: BadMicros| error.to_string();
    let mut figures: Vec<Vec<Micros>> = Vec::new();
    let mut totals = Vec::new();
    for block in blocks {
        let cases: Vec<Micros> =
            block.cases.iter().map(|case| measure.of(case).map_err(bad)).collect::<Result<_, _>>()?;
        totals.push(stats::over_cases(measure.ranking, &cases).map_err(bad)?);
        figures.push(cases);
    }
    let ids: Vec<&str> =
        blocks.first().map_or(Vec::new(), |block| block.cases.iter().map(|case| case.id.as_str()).collect());
    let cases = ids
        .iter()
        .enumerate()
        .map(|(place, id)| {
            let over: Vec<Micros> = figures.iter().filter_map(|cases| cases.get(place).copied()).collect();
            Ok(CaseFigure { id: (*id).to_owned(), us: stats::over_blocks(&over).map_err(bad)? })
        })
        .collect::<Result<_, String>>()?;
    Ok(Side { kernel: ContentHash::of(text), us: stats::over_blocks(&totals).map_err(bad)?, blocks: totals, cases })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, capability: Option<&str>) -> Device {
        Device { name: name.to_owned(), compute_capability: capability.map(str::to_owned) }
    }

    #[test]
    fn a_device_is_known_by_its_whole_name() {
        let b200 = Gpu::default();
        assert!(is_on(&b200, &device("NVIDIA B200", Some("10.0"))));
        for other in ["NVIDIA GB200", "NVIDIA B2000", "NVIDIA H100 80GB HBM3", "cpu (B 200)", ""] {
            assert!(!is_on(&b200, &device(other, Some("10.0"))), "{other}");
        }
        let cpu = Gpu("cpu".to_owned());
        assert!(is_on(&cpu, &device("cpu (AMD EPYC)", None)));
        assert!(!is_on(&cpu, &device("cpu (AMD EPYC)", Some("9.0"))));
        assert!(!is_on(&cpu, &device("NVIDIA B200", None)));
    }
}
