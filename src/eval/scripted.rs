//! The scripted measurement: a runner that starts nothing and says what the scenario says, and the harness that reads it.
//!
//! Nothing outside of this room can make one, and each of its results names the device `cpu (scripted)`: no real run can
//! take it for a measurement.

use std::cell::RefCell;
use std::future::ready;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::measurement::{Infra, Measurement};
use crate::harness::{
    BlockResult, CaseResult, Exit, Failure, Harness, HarnessError, Job, JobOutput, Part, Ran, Request, Role,
};
use crate::protocol::{ContentHash, Device, Gpu, InfraFailure, KernelFailure, Micros};
use crate::runner::{LocalFuture, Progress, Runner, RunnerError};
use crate::stats::Ranking;

const DEVICE: &str = "cpu (scripted)";
const WRONG_DEVICE: &str = "NVIDIA B200 (scripted)";

/// The measurements of a scenario, and how far they are used up.
#[derive(Debug, Default)]
pub(super) struct Script {
    measurements: Vec<Measurement>,
    made: usize,
    fault: Option<String>,
}

impl Script {
    pub(super) fn new(measurements: Vec<Measurement>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { measurements, ..Self::default() }))
    }

    /// Returns what the run asked for that the scenario does not have, or has otherwise.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Returns how many measurements were never asked for.
    pub(super) fn unused(&self) -> usize {
        self.measurements.len().saturating_sub(self.made)
    }

    fn next(&mut self, job: &Job) -> Result<JobOutput, RunnerError> {
        let number = self.made + 1;
        let Some(measurement) = self.measurements.get(self.made).cloned() else {
            return Err(
                self.broken(format!("measurements.jsonl: the run asks for measurement {number}, and there is none"))
            );
        };
        self.made = number;
        answer(&measurement, job).map_err(|end| match end {
            End::Runner(error) => error,
            End::Misfit(message) => self.broken(format!("measurements.jsonl: measurement {number} {message}")),
        })
    }

    fn broken(&mut self, message: String) -> RunnerError {
        self.fault = Some(message.clone());
        RunnerError::Missing(message)
    }
}

/// Why a measurement has no output.
enum End {
    /// So the scenario wants it.
    Runner(RunnerError),
    /// The scenario's line is for another measurement.
    Misfit(String),
}

/// What the runner tells the harness in the place of a result file.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Time { us: f64, device: String },
    Failed(KernelFailure, String),
    Infra(InfraFailure, String),
}

fn answer(measurement: &Measurement, job: &Job) -> Result<JobOutput, End> {
    let is_duel = job.blocks.iter().any(|block| block.role == Role::Incumbent);
    let all = |us: &dyn Fn(Role, usize) -> f64, device: &str| {
        let blocks = job.blocks.iter().enumerate().map(|(place, block)| {
            let pair = if is_duel { place / 2 } else { place };
            let said = Said::Time { us: us(block.role, pair), device: device.to_owned() };
            ran(block.role, place, &said)
        });
        JobOutput { ran: blocks.collect() }
    };
    let one = |said: Said| JobOutput { ran: vec![ran(Role::Candidate, 0, &said)] };
    Ok(match measurement {
        Measurement::Alone { .. } | Measurement::Series(_) if is_duel => {
            return Err(End::Misfit("is of one side (`us`), and the run makes a duel: add `incumbent_us`".to_owned()));
        }
        Measurement::Duel { .. } | Measurement::Blocks(_) if !is_duel => {
            return Err(End::Misfit("is a duel, and the run measures one side: give `us` alone".to_owned()));
        }
        Measurement::Blocks(pairs) if pairs.len() * 2 != job.blocks.len() => {
            let message = format!("has {} pairs of blocks, and the duel has {}", pairs.len(), job.blocks.len() / 2);
            return Err(End::Misfit(message));
        }
        Measurement::Series(blocks) if blocks.len() != job.blocks.len() => {
            let message = format!("has {} blocks, and the run measures {}", blocks.len(), job.blocks.len());
            return Err(End::Misfit(message));
        }
        Measurement::Series(blocks) => all(&|_, place| blocks.get(place).copied().unwrap_or_default(), DEVICE),
        Measurement::Alone { us, spread } => all(&|_, pair| stray(*us, *spread, pair), DEVICE),
        Measurement::Duel { us, incumbent_us, spread } => all(
            &|role, pair| match role {
                Role::Candidate => stray(*us, *spread, pair),
                Role::Incumbent => stray(*incumbent_us, *spread, pair + 4),
            },
            DEVICE,
        ),
        Measurement::Blocks(pairs) => all(
            &|role, pair| {
                let [incumbent, candidate] = pairs.get(pair).copied().unwrap_or_default();
                if role == Role::Candidate { candidate } else { incumbent }
            },
            DEVICE,
        ),
        Measurement::Fail(failure, message) => one(Said::Failed(*failure, message.clone())),
        Measurement::Infra(Infra::Runner, message) => return Err(End::Runner(RunnerError::Failed(message.clone()))),
        Measurement::Infra(Infra::Timeout, message) => return Err(End::Runner(RunnerError::TimedOut(message.clone()))),
        Measurement::Infra(Infra::WrongDevice, _) => all(&|_, _| 1.0, WRONG_DEVICE),
        Measurement::Infra(infra @ (Infra::NoResult | Infra::Incumbent), message) => {
            one(Said::Infra(infra.failure(), message.clone()))
        }
    })
}

/// Lets the block of a pair stray by at most `spread`, each time alike.
fn stray(us: f64, spread: f64, pair: usize) -> f64 {
    const STEPS: [f64; 11] = [-0.4, 1.0, 0.2, -0.8, 0.6, -1.0, 0.4, 0.0, -0.2, 0.8, -0.6];
    us * (1.0 + spread * STEPS.get(pair % STEPS.len()).copied().unwrap_or_default())
}

fn ran(role: Role, place: usize, said: &Said) -> Ran {
    Ran {
        role,
        part: Part::Block(place),
        command: "scripted".to_owned(),
        exit: if matches!(said, Said::Failed(..)) { Exit::Code(1) } else { Exit::Code(0) },
        stdout: String::new(),
        stderr: String::new(),
        result: serde_json::to_vec(said).ok(),
        elapsed: Duration::ZERO,
    }
}

/// The runner of a scenario.
pub(super) struct ScriptedRunner(pub(super) Rc<RefCell<Script>>);

impl Runner for ScriptedRunner {
    fn name(&self) -> &str {
        "scripted"
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        _progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        Box::pin(ready(self.0.borrow_mut().next(job)))
    }
}

/// The harness of a scenario: the file that stands in its repository, whose results the script gives.
pub(super) struct ScriptedHarness(pub(super) Box<dyn Harness>);

impl Harness for ScriptedHarness {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn hash(&self) -> ContentHash {
        self.0.hash()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.0.files()
    }

    fn description(&self) -> Option<&str> {
        self.0.description()
    }

    fn ranking(&self) -> Ranking {
        self.0.ranking()
    }

    fn supports(&self, gpu: &Gpu) -> Result<(), HarnessError> {
        self.0.supports(gpu)
    }

    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError> {
        self.0.job(request)
    }

    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure> {
        let no_result = |message: String| Failure::Infra(InfraFailure::NoResult, message);
        let said = serde_json::from_slice(ran.result.as_deref().unwrap_or_default());
        match said.map_err(|error| no_result(error.to_string()))? {
            Said::Time { us, device } => {
                let us = Micros::new(us).map_err(|error| no_result(error.to_string()))?;
                let cases = vec![CaseResult { id: "scripted".to_owned(), time_us: vec![us], mean_us: None }];
                Ok(Some(BlockResult { device: Device { name: device, compute_capability: None }, cases }))
            }
            Said::Failed(failure, message) => Err(Failure::Kernel(failure, message)),
            Said::Infra(failure, message) => Err(Failure::Infra(failure, message)),
        }
    }
}
