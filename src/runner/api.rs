//! The seam between a job and the place where it runs.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::harness::{Job, JobOutput};
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
