//! The scripted measurement: a runner that starts nothing and says what the scenario says, and the harness that reads it.
//!
//! Nothing outside of this room can make one, and each of its results names the device `cpu (scripted)`: no real run can
//! take it for a measurement.

use std::cell::RefCell;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condensed::CONDENSED_TURN;
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

    /// Returns how the cases become one figure, where measurements were recorded.
    pub(super) fn ranking(&self) -> Option<Ranking> {
        self.measurements.iter().find_map(|measurement| match measurement {
            Measurement::Recorded(condensed) => Some(condensed.ranking),
            _ => None,
        })
    }

    /// Tells whether measurements were recorded of blocks that took turns.
    pub(super) fn in_turns(&self) -> bool {
        self.measurements
            .iter()
            .any(|measurement| matches!(measurement, Measurement::Recorded(found) if found.in_turns))
    }

    /// Answers a job. One that carries a duel on is still the measurement that its first pairs began.
    fn next(&mut self, job: &Job) -> Result<JobOutput, RunnerError> {
        let number = if job.first_pair == 0 { self.made + 1 } else { self.made };
        let place = number.saturating_sub(1);
        let Some(measurement) = self.measurements.get(place).cloned() else {
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
    Passed { cases: Vec<CaseResult>, device: String },
    Failed(KernelFailure, String),
    Infra(InfraFailure, String),
}

fn answer(measurement: &Measurement, job: &Job) -> Result<JobOutput, End> {
    let is_duel = job.blocks.iter().any(|block| block.role == Role::Incumbent);
    if let Some(of_a_duel) = measurement.is_duel()
        && of_a_duel != is_duel
    {
        return Err(End::Misfit(if is_duel {
            "is of one side (`us`), and the run makes a duel: add `incumbent_us`".to_owned()
        } else {
            "is a duel, and the run measures one side: give `us` alone".to_owned()
        }));
    }
    let all = |cases: &dyn Fn(Role, usize) -> Result<Vec<CaseResult>, End>, device: &str| {
        let blocks = job.blocks.iter().enumerate().map(|(place, block)| {
            let pair = job.first_pair as usize + if is_duel { place / 2 } else { place };
            let said = Said::Passed { cases: cases(block.role, pair)?, device: device.to_owned() };
            Ok(ran(block.role, place, &said))
        });
        Ok(JobOutput { ran: blocks.collect::<Result<_, End>>()? })
    };
    let each = |us: &dyn Fn(Role, usize) -> f64, device: &str| all(&|role, pair| one_case(us(role, pair)), device);
    let one = |said: Said| Ok(JobOutput { ran: vec![ran(Role::Candidate, 0, &said)] });
    match measurement {
        Measurement::Alone { us, spread } => each(&|_, pair| stray(*us, *spread, pair), DEVICE),
        Measurement::Duel { us, incumbent_us, spread } => each(
            &|role, pair| match role {
                Role::Candidate => stray(*us, *spread, pair),
                Role::Incumbent => stray(*incumbent_us, *spread, pair + 4),
            },
            DEVICE,
        ),
        // Who wants more blocks than the scenario has meets them again.
        Measurement::Series(blocks) => {
            each(&|_, place| blocks.iter().cycle().nth(place).copied().unwrap_or_default(), DEVICE)
        }
        Measurement::Blocks(pairs) => each(
            &|role, pair| {
                let [incumbent, candidate] = pairs.iter().cycle().nth(pair).copied().unwrap_or_default();
                if role == Role::Candidate { candidate } else { incumbent }
            },
            DEVICE,
        ),
        Measurement::Recorded(condensed) => all(
            &|role, pair| {
                let more = || End::Misfit(format!("ends after {pair} blocks of a side, and the run wants more"));
                condensed.block(role, pair).ok_or_else(more)
            },
            DEVICE,
        ),
        Measurement::Fail(failure, message) => one(Said::Failed(*failure, message.clone())),
        Measurement::Infra(Infra::Runner, message) => Err(End::Runner(RunnerError::Failed(message.clone()))),
        Measurement::Infra(Infra::Timeout, message) => Err(End::Runner(RunnerError::TimedOut(message.clone()))),
        Measurement::Infra(Infra::WrongDevice, _) => each(&|_, _| 1.0, WRONG_DEVICE),
        Measurement::Infra(infra @ (Infra::NoResult | Infra::Incumbent), message) => {
            one(Said::Infra(infra.failure(), message.clone()))
        }
    }
}

fn one_case(us: f64) -> Result<Vec<CaseResult>, End> {
    let us = Micros::new(us).map_err(|error| End::Misfit(format!("is no time: {error}")))?;
    Ok(vec![CaseResult { id: "scripted".to_owned(), time_us: vec![us], mean_us: None }])
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
pub(super) struct ScriptedHarness {
    pub(super) file: Box<dyn Harness>,
    /// How the cases of recorded measurements become one figure.
    pub(super) ranking: Option<Ranking>,
    /// Whether the blocks of recorded measurements took turns.
    pub(super) in_turns: bool,
}

impl Harness for ScriptedHarness {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn hash(&self) -> ContentHash {
        self.file.hash()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.file.files()
    }

    fn description(&self) -> Option<&str> {
        self.file.description()
    }

    fn ranking(&self) -> Ranking {
        self.ranking.unwrap_or_else(|| self.file.ranking())
    }

    fn supports(&self, kernel: &Path, gpu: &Gpu) -> Result<(), HarnessError> {
        self.file.supports(kernel, gpu)
    }

    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError> {
        self.file.job(request).map(|job| Job { turn_calls: self.in_turns.then_some(CONDENSED_TURN), ..job })
    }

    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure> {
        let no_result = |message: String| Failure::Infra(InfraFailure::NoResult, message);
        let said = serde_json::from_slice(ran.result.as_deref().unwrap_or_default());
        match said.map_err(|error| no_result(error.to_string()))? {
            Said::Passed { cases, device } => Ok(Some(BlockResult {
                device: Device { name: device, compute_capability: None },
                cases,
                conditions: None,
            })),
            Said::Failed(failure, message) => Err(Failure::Kernel(failure, message)),
            Said::Infra(failure, message) => Err(Failure::Infra(failure, message)),
        }
    }
}
