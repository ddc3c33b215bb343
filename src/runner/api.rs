//! The seam between a job and the place where it runs.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::harness::{Job, JobOutput};
use crate::protocol::{ContentHash, Deploy};
use crate::sandbox::Protections;

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Another run holds the device, or a cluster has none free yet.
    WaitingForDevice,
    /// The texts are being built.
    Building,
    /// So many of the blocks are done.
    Blocks {
        /// Finished.
        done: usize,
        /// Altogether.
        total: usize,
    },
}

/// A job that could not be run: never the kernel's fault.
#[derive(Debug, Error)]
pub enum RunnerError {
    /// The place lacks something for good: no repetition will help.
    #[error("{0}")]
    Missing(String),
    /// The disk is full: what a process failed at there says nothing, and no repetition will help before there is space.
    #[error("no room for a measurement in {}", folder.display())]
    NoRoom {
        /// Where the processes work.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The place failed this time.
    #[error("{0}")]
    Failed(String),
    /// The runner's own time-out, apart from the job's.
    #[error("{0}")]
    TimedOut(String),
}

/// What must be deployed before a runner's first job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployable {
    /// How, where the mission does not say it: `AFTERHOURS_APP` names the file that the command deploys, and `AFTERHOURS_AGENT`
    /// the agent binary that goes along. None of its files is the repository's.
    pub step: Deploy,
    /// The name of that file, and its text.
    pub app: (String, &'static str),
    /// The agent binary.
    pub agent: PathBuf,
    /// The hash of both.
    pub hash: ContentHash,
    /// What the place says of it.
    pub presence: Presence,
}

/// Whether what is to be deployed is there already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// The place was not asked, or gave no answer: it is taken to be there where the last success was of the same hash.
    #[default]
    Unknown,
    /// It is.
    There,
    /// It is not, in the place's words.
    Absent(String),
}

/// A future on the session's single thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Where jobs run.
pub trait Runner {
    /// Returns the runner's name, as missions spell it.
    fn name(&self) -> &str;

    /// Returns what keeps the jobs' processes from everything else, where this runner knows.
    fn protections(&self) -> Option<Protections> {
        None
    }

    /// Returns the machine or container that the last job ran on, where that is not this machine.
    fn host(&self) -> Option<String> {
        None
    }

    /// Returns what must be deployed before this runner's first job, where something must.
    fn deployable(&self) -> Option<Deployable> {
        None
    }

    /// Runs `job` to its end or first failure, on the device of the job before it unless there was a [`release`](Self::release)
    /// between the two. Dropping the future kills every process that the job started.
    fn run<'a>(
        &'a self,
        job: &'a Job,
        progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>>;

    /// Gives back what this runner keeps of a device between the jobs of one measurement, whose last job has ended.
    fn release<'a>(&'a self) -> LocalFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
