//! The seam between a measurement and the thing that measures.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::job::{BlockResult, Job, Ran, Role};
use crate::protocol::{ContentHash, Effort, Gpu, InfraFailure, KernelFailure};
use crate::stats::Ranking;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The device of the mission.
    pub gpu: &'a Gpu,
    /// The profile's name, for harnesses that want it.
    pub profile: &'a str,
    /// How thoroughly.
    pub effort: &'a Effort,
    /// The text under test.
    pub candidate: &'a [u8],
    /// The text it is compared with; absent for a test and for the baseline.
    pub incumbent: Option<&'a [u8]>,
    /// From which the harness derives the inputs of every block. Fresh for each measurement, unknown to the kernel before.
    pub seed: u64,
    /// Pairs of the same duel that earlier jobs have run: this job's inputs follow theirs.
    pub first_pair: u32,
}

impl<'a> Request<'a> {
    /// Returns the text of `role`; none for an incumbent that is not asked for.
    pub(super) fn text(&self, role: Role) -> &'a [u8] {
        match role {
            Role::Candidate => self.candidate,
            Role::Incumbent => self.incumbent.unwrap_or_default(),
        }
    }
}

/// Why a process of a job is not a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The kernel is at fault.
    Kernel(KernelFailure, String),
    /// The kernel is not at fault.
    Infra(InfraFailure, String),
}

/// A harness that cannot be used: the mission is at fault, or the machine lacks something.
#[derive(Debug, Error)]
pub enum HarnessError {
    /// A file of the harness is missing, unreadable or malformed.
    #[error("harness {path}: {message}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and how to mend it.
        message: String,
    },
    /// The machine lacks a program that the harness needs.
    #[error("harness {path}: {program} was not found in PATH; {remedy}")]
    MissingProgram {
        /// The harness's file.
        path: PathBuf,
        /// The program.
        program: String,
        /// How to get it.
        remedy: String,
    },
}

/// What measures a kernel.
pub trait Harness: Send + Sync {
    /// Returns the harness's own name, for artifacts.
    fn name(&self) -> &str;

    /// Returns the hash of everything that defines the measurement: the harness's file, its reference, its cases.
    fn hash(&self) -> ContentHash;

    /// Returns the files that a model may read, as absolute paths, the harness's own file first.
    fn files(&self) -> Vec<PathBuf>;

    /// Returns what the harness says of its problem, for the model; most say nothing.
    fn description(&self) -> Option<&str> {
        None
    }

    /// Returns how the metrics of its cases become one.
    fn ranking(&self) -> Ranking {
        Ranking::default()
    }

    /// Returns why the job's own compiler alone can judge a text; nothing where any compiler of its language can.
    fn builds(&self) -> Option<&str> {
        None
    }

    /// Tells whether this harness can measure a kernel in the file `kernel` on `gpu`; an error says why not and what would
    /// help.
    fn supports(&self, kernel: &Path, gpu: &Gpu) -> Result<(), HarnessError>;

    /// Tells whether this machine has the programs that a job starts; it matters where jobs run here.
    fn equipped(&self) -> Result<(), HarnessError> {
        Ok(())
    }

    /// Returns the job that measures `request`: with an incumbent, `effort.pairs` blocks a side, a coin saying for each
    /// pair which of them is first.
    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError>;

    /// Reads what one process left: `Ok(None)` for a build step that went well, the result for a block.
    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure>;
}
