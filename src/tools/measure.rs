//! `test-run` and `benchmark-run`: one measurement, from two texts to an outcome.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::judge::{Reading, Readings, Texts, Yardstick, judge};
use super::pairs::log_ratios;
use crate::gate::{Checked, Gate};
use crate::harness::{BlockResult, Failure, Harness, HarnessError, Job, JobOutput, Part, Ran, Request};
use crate::protocol::{ContentHash, Effort, InfraFailure, KernelFailure, Outcome, Profile};
use crate::runner::{Progress, Runner, RunnerError};
use crate::sandbox::Protections;
use crate::stats::Rule;

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
    /// What decides the duel, and how long it may be.
    pub rule: Rule,
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
    /// The machines or containers that the jobs ran on, in their order, where that was not this machine.
    pub hosts: Vec<String>,
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

/// Measures what `order` says. A duel is a series of jobs: after each one the rule says how many pairs are still to be run.
///
/// # Errors
/// Only where repeating it cannot help; every other failure is an [`Outcome`].
pub async fn measure(
    bench: &Bench,
    order: Order<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Measured, MeasureError> {
    let begun = Instant::now();
    let mut series = Series::new(bench, order);
    // What the harness cannot measure at all need not be compiled.
    let job = series.job(series.pairs())?;
    let compiled = match &bench.gate {
        None => None,
        Some(gate) => match gate.check(order.candidate).await {
            Checked::Rejected { errors, ran, protections } => {
                series.protections = protections;
                series.reject(errors, ran);
                return Ok(series.measured(begun, None));
            }
            Checked::Passed(told) => Some(told).filter(|told| !told.is_empty()),
            Checked::Aside(reason) => Some(reason).filter(|reason| !reason.is_empty()).map(not_looked),
        },
    };
    let ran = series.run(job, progress).await;
    bench.runner.release().await;
    ran?;
    Ok(series.measured(begun, compiled))
}

/// The jobs of one measurement, one after the other.
struct Series<'a> {
    bench: &'a Bench,
    order: Order<'a>,
    output: JobOutput,
    readings: Readings,
    /// What kept the processes of the jobs from everything else; known once one has run.
    protections: Option<Protections>,
    hosts: Vec<String>,
}

impl<'a> Series<'a> {
    fn new(bench: &'a Bench, order: Order<'a>) -> Self {
        let readings = Readings { ranking: bench.harness.ranking(), ..Readings::default() };
        Self { bench, order, output: JobOutput::default(), readings, protections: None, hosts: Vec::new() }
    }

    /// Runs `job`, and those that the rule wants after it, until a failure or until time is short.
    async fn run(&mut self, mut job: Job, progress: &mut dyn FnMut(Progress)) -> Result<(), MeasureError> {
        let whole = self.time();
        loop {
            let before = self.spent();
            job.timeout = whole.saturating_sub(before);
            self.run_job(&job, progress).await?;
            // What could not be judged after these pairs will not be after more.
            if !matches!(self.outcome(), Outcome::Measured { .. }) || self.order.incumbent.is_none() {
                return Ok(());
            }
            let pairs = self.pairs();
            let spent = self.spent();
            if pairs == 0 || whole.saturating_sub(spent) < spent.saturating_sub(before) {
                return Ok(());
            }
            job = self.job(pairs)?;
        }
    }

    /// Returns the time of the processes so far. Waiting for a device, or in a cluster's queue, spends nothing of a profile's.
    fn spent(&self) -> Duration {
        self.output.ran.iter().map(|ran| ran.elapsed).sum()
    }

    /// Returns how many pairs to measure next, or blocks where there is one side.
    fn pairs(&self) -> u32 {
        match self.order.incumbent {
            Some(_) => self.order.rule.next(&log_ratios(&self.readings)),
            None => self.order.effort.pairs,
        }
    }

    /// Returns the job of so many pairs more.
    fn job(&self, pairs: u32) -> Result<Job, HarnessError> {
        let Order { profile, effort, candidate, incumbent, seed, .. } = self.order;
        self.bench.harness.job(&Request {
            gpu: &self.bench.yardstick.gpu,
            profile: profile.as_str(),
            effort: &Effort { pairs, ..effort.clone() },
            candidate,
            incumbent,
            seed,
            first_pair: u32::try_from(self.readings.expected / 2).unwrap_or(u32::MAX),
        })
    }

    async fn run_job(&mut self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<(), MeasureError> {
        let earlier = self.readings.expected;
        let mut counted = |seen| {
            progress(match seen {
                Progress::Blocks { done, total } => Progress::Blocks { done: earlier + done, total: earlier + total },
                other @ (Progress::WaitingForDevice | Progress::Building) => other,
            });
        };
        match self.bench.runner.run(job, &mut counted).await {
            Ok(output) => self.read(output, job),
            Err(RunnerError::Missing(message)) => {
                return Err(MeasureError::Runner { runner: self.bench.runner.name().to_owned(), message });
            }
            Err(error @ RunnerError::NoRoom { .. }) => return Err(MeasureError::NoRoom(error)),
            Err(RunnerError::TimedOut(message)) => self.fail(Failure::Infra(InfraFailure::RunnerTimeout, message)),
            Err(RunnerError::Failed(message)) => self.fail(Failure::Infra(InfraFailure::Runner, message)),
        }
        Ok(())
    }

    /// Reads what the processes of a job left, up to the first failure.
    fn read(&mut self, output: JobOutput, job: &Job) {
        self.protections = self.bench.runner.protections();
        self.hosts.extend(self.bench.runner.host().filter(|host| !self.hosts.contains(host)));
        self.readings.expected += job.blocks.len();
        self.readings.turn_calls = job.turn_calls;
        for ran in &output.ran {
            match (self.bench.harness.read(ran), ran.part) {
                (Ok(Some(BlockResult { device, cases, conditions })), Part::Block(_)) => {
                    self.readings.blocks.push(Reading { role: ran.role, device, cases, conditions });
                }
                (Ok(_), _) => {}
                (Err(failure), _) => {
                    self.fail(failure);
                    break;
                }
            }
        }
        self.output.ran.extend(output.ran);
    }

    /// A text that does not compile: no device is occupied for it.
    fn reject(&mut self, message: String, ran: Ran) {
        self.output.ran.push(ran);
        self.fail(Failure::Kernel(KernelFailure::Compile, message));
    }

    fn fail(&mut self, failure: Failure) {
        self.readings.failure = Some(failure);
    }

    fn outcome(&self) -> Outcome {
        judge(&self.bench.yardstick, self.order.texts(), &self.order.rule, &self.readings)
    }

    /// Returns the time that the profile gives both sides together.
    fn time(&self) -> Duration {
        let sides = if self.order.incumbent.is_some() { 2 } else { 1 };
        Duration::from_secs(u64::from(self.order.effort.timeout_seconds).saturating_mul(sides))
    }

    fn measured(self, begun: Instant, compiled: Option<String>) -> Measured {
        Measured {
            outcome: self.outcome(),
            output: self.output,
            readings: self.readings,
            elapsed: begun.elapsed(),
            protections: self.protections,
            hosts: self.hosts,
            compiled,
        }
    }
}

fn not_looked(reason: String) -> String {
    format!("not compiled before the measurement: {reason}")
}
