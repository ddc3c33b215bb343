//! `test-run` and `benchmark-run`: one measurement, from two texts to an outcome.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::judge::{Reading, Readings, Texts, Yardstick, judge};
use crate::gate::{Checked, Gate};
use crate::harness::{BlockResult, Failure, Harness, HarnessError, JobOutput, Part, Ran, Request};
use crate::protocol::{ContentHash, Effort, InfraFailure, KernelFailure, Outcome, Profile};
use crate::runner::{Progress, Runner, RunnerError};
use crate::sandbox::Protections;

/// The bench: what measures, where, and by which measure.
pub struct Bench {
    /// What measures.
    pub harness: Box<dyn Harness>,
    /// Where.
    pub runner: Box<dyn Runner>,
    /// Who looks at a text before; nobody where there is none.
    pub gate: Option<Gate>,
    /// By what results are judged.
    pub yardstick: Yardstick,
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

impl Order<'_> {
    fn texts(&self) -> Texts {
        Texts { candidate: ContentHash::of(self.candidate), incumbent: self.incumbent.map(ContentHash::of) }
    }
}

/// What came of it, with everything that an artifact needs.
#[derive(Debug)]
pub struct Measured {
    /// The outcome.
    pub outcome: Outcome,
    /// What the processes did.
    pub output: JobOutput,
    /// What the harness read of it: the outcome follows from this alone.
    pub readings: Readings,
    /// The time of the runner, waiting for the device included.
    pub elapsed: Duration,
    /// What kept the processes from everything else, where the runner knows.
    pub protections: Option<Protections>,
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
        gpu: &bench.yardstick.gpu,
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
            Checked::Rejected(errors, ran) => return Ok(rejected(bench, order, errors, ran, begun)),
            Checked::Passed(told) => Some(told).filter(|told| !told.is_empty()),
            Checked::Aside(reason) => Some(reason).filter(|reason| !reason.is_empty()).map(not_looked),
        },
    };
    let ran = bench.runner.run(&job, progress).await;
    bench.runner.release().await;
    let output = match ran {
        Ok(output) => output,
        Err(RunnerError::Missing(message)) => {
            return Err(MeasureError::Runner { runner: bench.runner.name().to_owned(), message });
        }
        Err(error @ RunnerError::NoRoom { .. }) => return Err(MeasureError::NoRoom(error)),
        Err(RunnerError::TimedOut(message)) => {
            return Ok(not_run(bench, order, Failure::Infra(InfraFailure::RunnerTimeout, message), begun));
        }
        Err(RunnerError::Failed(message)) => {
            return Ok(not_run(bench, order, Failure::Infra(InfraFailure::Runner, message), begun));
        }
    };
    let elapsed = begun.elapsed();
    let readings = read_all(bench.harness.as_ref(), &output, job.blocks.len());
    let outcome = judge(&bench.yardstick, order.texts(), &readings);
    Ok(Measured { outcome, output, readings, elapsed, protections: bench.runner.protections(), compiled })
}

fn not_run(bench: &Bench, order: Order<'_>, failure: Failure, begun: Instant) -> Measured {
    let readings = Readings { failure: Some(failure), ..Readings::default() };
    let outcome = judge(&bench.yardstick, order.texts(), &readings);
    let (output, elapsed) = (JobOutput::default(), begun.elapsed());
    Measured { outcome, output, readings, elapsed, protections: None, compiled: None }
}

/// A text that does not compile: no device is occupied for it.
fn rejected(bench: &Bench, order: Order<'_>, message: String, ran: Ran, begun: Instant) -> Measured {
    let failure = Failure::Kernel(KernelFailure::Compile, message);
    Measured { output: JobOutput { ran: vec![ran] }, ..not_run(bench, order, failure, begun) }
}

fn not_looked(reason: String) -> String {
    format!("not compiled before the measurement: {reason}")
}

/// Reads what the processes left, up to the first failure.
fn read_all(harness: &dyn Harness, output: &JobOutput, expected: usize) -> Readings {
    let mut readings = Readings { expected, ranking: harness.ranking(), ..Readings::default() };
    for ran in &output.ran {
        match (harness.read(ran), ran.part) {
            (Ok(Some(BlockResult { device, cases })), Part::Block(_)) => {
                readings.blocks.push(Reading { role: ran.role, device, cases });
            }
            (Ok(_), _) => {}
            (Err(failure), _) => {
                readings.failure = Some(failure);
                break;
            }
        }
    }
    readings
}
