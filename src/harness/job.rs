//! A job: what a harness wants run, in the words that every runner understands.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::conditions::Conditions;
use super::encoded;
use crate::protocol::{BadMicros, Device, Gpu, MetricName, Micros, times};
use crate::stats;

/// Whose text a process works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The change under test.
    Candidate,
    /// The kernel it is compared with.
    Incumbent,
}

/// The program of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// Looked up in `PATH` where the job runs.
    Named(String),
    /// The `agent` binary itself, where the job runs.
    Agent,
}

/// One process: a program with its arguments, started in its stage's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// What to start.
    pub program: Program,
    /// Its arguments.
    pub args: Vec<String>,
    /// Added to the scrubbed environment.
    pub env: Vec<(String, String)>,
    /// What it reads on standard input.
    #[serde(with = "encoded::bytes")]
    pub stdin: Vec<u8>,
    /// The file below the stage's folder into which it writes its result. The runner removes it before the start, names it
    /// by its absolute path in `AFTERHOURS_RESULT`, and reads it, bounded, after the end.
    pub result: Option<PathBuf>,
}

impl Exec {
    /// Tells whether this is the worker that times a native kernel.
    pub fn is_worker(&self) -> bool {
        self.is_agents("worker")
    }

    /// Tells whether this is the launcher of a harness's program, which may have processes that share semaphores.
    pub fn is_launcher(&self) -> bool {
        self.is_agents("launch")
    }

    fn is_agents(&self, command: &str) -> bool {
        self.program == Program::Agent && self.args.first().is_some_and(|found| found == command)
    }
}

/// One text's folder: its files, and the commands that build it, run once before the blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Whose text.
    pub role: Role,
    /// Path below the stage's folder, and content.
    #[serde(with = "encoded::files")]
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// In this order; the first failure ends the job.
    pub build: Vec<Exec>,
}

/// One measurement by one fresh process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// In whose stage.
    pub role: Role,
    /// The process.
    pub exec: Exec,
}

/// A duel, or a single kernel's test: one allocation of one device runs all of it, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The device to allocate.
    pub gpu: Gpu,
    /// One stage a role.
    pub stages: Vec<Stage>,
    /// In the order in which they run.
    pub blocks: Vec<Block>,
    /// Where each two blocks, from the first on, run at once and take turns: how many timed calls of a case a turn has. Whoever
    /// has the turn works, and the other waits. Their programs must know how, see [`native::Turns`](super::native::Turns).
    #[serde(default)]
    pub turn_calls: Option<usize>,
    /// Pairs of the same duel that earlier jobs have run.
    pub first_pair: u32,
    /// For the whole job. The process that is running when it ends is killed and reported as timed out.
    pub timeout: Duration,
}

impl Job {
    /// Returns its processes in the order in which they run, until one fails: the builds, then the blocks.
    pub fn parts(&self) -> impl Iterator<Item = (Role, Part, &Exec)> {
        let builds =
            self.stages.iter().flat_map(|stage| stage.build.iter().map(|exec| (stage.role, Part::Build, exec)));
        builds.chain(self.blocks.iter().enumerate().map(|(at, block)| (block.role, Part::Block(at), &block.exec)))
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Killed because the job's time was over.
    TimedOut,
}

impl Exit {
    /// Returns the number a shell would show: the code, 128 plus the signal, 124 for a time-out.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
            Self::TimedOut => 124,
        }
    }

    /// Tells whether it ended by itself with code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// Which of a job's processes a [`Ran`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A stage's build step.
    Build,
    /// A block, by its place in [`Job::blocks`].
    Block(usize),
}

/// What one process did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ran {
    /// In whose stage.
    pub role: Role,
    /// Build or block.
    pub part: Part,
    /// The command line, for a reader.
    pub command: String,
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, lossy and bounded; a cut is marked in the text.
    pub stdout: String,
    /// Its standard error, lossy and bounded; a cut is marked in the text.
    pub stderr: String,
    /// The result file's bytes, where the process left one within the bound.
    #[serde(with = "encoded::optional")]
    pub result: Option<Vec<u8>>,
    /// Wall time. Two blocks that took turns have half of theirs each.
    pub elapsed: Duration,
}

/// What a job did. Processes after the first failure did not run, or are not told: where one of two that took turns fails,
/// nothing is told of the other, unless that came first and did not fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOutput {
    /// In the order in which they ran.
    pub ran: Vec<Ran>,
}

/// One case of a block's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case's name.
    pub id: String,
    /// The time of each call, in microseconds; where a harness gives no more than their median, that alone.
    #[serde(deserialize_with = "times")]
    pub time_us: Vec<Micros>,
    /// The mean of the calls, where it does not follow from `time_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_us: Option<Micros>,
}

impl CaseResult {
    /// Returns the case's figure as it is shown.
    ///
    /// # Errors
    /// Where there are no calls, or their metric is no time.
    pub fn shown(&self, metric: MetricName) -> Result<Micros, BadMicros> {
        match (metric, self.mean_us) {
            (MetricName::MeanUs, Some(mean)) => Ok(mean),
            (metric, _) => stats::case_metric(metric, &self.time_us),
        }
    }

    /// Returns the case's time by which it is compared.
    ///
    /// # Errors
    /// Where there are no calls.
    pub fn steady(&self) -> Result<Micros, BadMicros> {
        stats::steady(&self.time_us)
    }
}

/// A block that passed: every case was right, and has at least one time.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockResult {
    /// The device, as the result names it.
    pub device: Device,
    /// In the harness's order; the same ids in every block.
    pub cases: Vec<CaseResult>,
    /// What the device was like meanwhile, where the harness knows.
    pub conditions: Option<Conditions>,
}
