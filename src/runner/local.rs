//! The runner for this machine.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use rustix::io::Errno;

use super::api::{LocalFuture, Progress, Runner, RunnerError};
use super::bench::Bench;
use super::device_lock::DeviceLock;
use super::stage::Folders;
use crate::harness::{Job, JobOutput, Part, Ran};
use crate::mission::SandboxChoice;
use crate::protocol::Gpu;
use crate::sandbox::{Protections, SandboxError};

/// The variable by which a user says which of several devices a program sees: the first of the list is the one it uses.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// A disk with less space than this is full, in bytes: a compiler that failed for want of more has taken its files away.
const ROOM_BYTES: u64 = 4 << 20;

/// The longest time of a job, so that its end is a moment that the clock knows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs jobs on this machine, one at a time for each device.
#[derive(Debug)]
pub struct Local {
    pub(super) agent: PathBuf,
    scratch: PathBuf,
    locks: PathBuf,
    pub(super) sandbox: SandboxChoice,
}

impl Local {
    /// Returns a runner that starts its processes through `agent`, the agent binary, and keeps their folders below
    /// `scratch`, which nobody else may use. The locks of the devices lie in the system's temporary folder.
    pub fn new(agent: PathBuf, scratch: PathBuf) -> Self {
        // Each process has its own working folder, where a relative path would mean something else. Only the empty path
        // cannot be made absolute, and it fails where it is used.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        Self {
            agent: absolute(agent),
            scratch: absolute(scratch),
            locks: std::env::temp_dir(),
            sandbox: SandboxChoice::default(),
        }
    }

    /// Returns the runner with the devices' locks in `folder`. Runners with different folders do not wait for each other.
    #[must_use]
    pub fn with_locks_in(self, folder: PathBuf) -> Self {
        Self { locks: folder, ..self }
    }

    /// Returns the runner with its processes confined as the mission has it.
    ///
    /// # Errors
    /// Where the mission requires what this system lacks; the message names each protection, and what would help.
    pub fn confined(self, sandbox: SandboxChoice) -> Result<Self, RunnerError> {
        if sandbox == SandboxChoice::Required {
            demand(&Protections::probe())?;
        }
        Ok(Self { sandbox, ..self })
    }

    /// Runs a job, and takes no failure on a full disk for the job's own.
    async fn run_with_room(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<JobOutput, RunnerError> {
        let done = |ran: &Ran| ran.exit.is_success() && (ran.part == Part::Build || ran.result.is_some());
        match self.run_job(job, progress).await {
            Ok(output) if output.ran.iter().all(done) => Ok(output),
            failed => self.check_room().and(failed),
        }
    }

    fn check_room(&self) -> Result<(), RunnerError> {
        match statvfs(&self.scratch) {
            Ok(disk) if disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < ROOM_BYTES => {
                Err(RunnerError::NoRoom { folder: self.scratch.clone(), source: Errno::NOSPC.into() })
            }
            _ => Ok(()),
        }
    }

    async fn run_job(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<JobOutput, RunnerError> {
        let device = device(&job.gpu, std::env::var(VISIBLE).ok().as_deref());
        let lock = DeviceLock::acquire(&self.locks, &device, || progress(Progress::WaitingForDevice)).await?;
        let deadline = Instant::now() + job.timeout.min(LONGEST);
        let folders = Folders::create(&self.scratch, &job.stages)?;
        let bench = Bench { runner: self, lock: &lock, folders: &folders, gpu: &job.gpu, deadline };
        bench.run(job, progress).await
    }
}

impl Runner for Local {
    fn name(&self) -> &str {
        "local"
    }

    fn protections(&self) -> Option<Protections> {
        Some(match self.sandbox {
            SandboxChoice::Required | SandboxChoice::BestEffort => Protections::probe(),
            SandboxChoice::Unconfined => Protections::unconfined(),
        })
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        Box::pin(self.run_with_room(job, progress))
    }
}

/// Returns the name under which a device is locked. Several GPUs of one name are several devices, told apart by the first that
/// the environment lets a program see; where it says nothing, a program takes number 0.
fn device(gpu: &Gpu, visible: Option<&str>) -> Gpu {
    if gpu.is_cpu() {
        return gpu.clone();
    }
    let first = visible.and_then(|list| list.split(',').next()).map(str::trim).filter(|first| !first.is_empty());
    Gpu(format!("{gpu} {}", first.unwrap_or("0")))
}

/// Refuses a system that lacks a protection.
fn demand(protections: &Protections) -> Result<(), RunnerError> {
    if protections.is_complete() {
        return Ok(());
    }
    Err(RunnerError::Missing(format!(
        "the mission says `sandbox: required`, and this system would run kernels {protections}; mend that, or say \
         `sandbox: best_effort`"
    )))
}

impl From<SandboxError> for RunnerError {
    fn from(error: SandboxError) -> Self {
        match &error {
            SandboxError::NotStarted { source, .. }
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
            {
                Self::Missing(error.to_string())
            }
            SandboxError::Supervisor { .. }
            | SandboxError::Unready { .. }
            | SandboxError::NotStarted { .. }
            | SandboxError::Lost { .. }
            | SandboxError::Survivors { .. } => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Missing, Protection};

    #[test]
    fn a_required_sandbox_that_lacks_something_is_refused_by_the_name_of_what_is_missing() {
        let mut protections = Protections { had: Vec::new(), missing: Vec::new() };
        assert!(demand(&protections).is_ok());
        let reason = "it needs a newer kernel".to_owned();
        protections.missing.push(Missing { protection: Protection::Signals, reason });
        let error = demand(&protections).unwrap_err();
        assert!(matches!(error, RunnerError::Missing(_)));
        let text = error.to_string();
        assert!(text.contains("without signals (it needs a newer kernel)") && text.contains("best_effort"), "{text}");
    }

    #[test]
    fn several_gpus_of_one_name_are_several_devices() {
        let name = |visible| device(&Gpu::default(), visible).0;
        assert_eq!(name(None), name(Some("0")));
        assert_eq!((name(Some("")), name(Some("1,0"))), (name(Some("0,1")), name(Some(" 1"))));
        assert_ne!(name(Some("0")), name(Some("1")));
        let cpu = Gpu("cpu".to_owned());
        assert_eq!(device(&cpu, Some("3")), cpu);
    }
}
