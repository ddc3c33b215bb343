//! The runner.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::getuid;
use tokio::time::sleep;

use super::allocation::Allocation;
use super::command::{Tied, ask, ask_and_wait};
use super::lost;
use super::request::{Request, is_set};
use super::state::{JobInfo, State};
use crate::harness::{Job, JobOutput};
use crate::mission::{SandboxChoice, SlurmSettings};
use crate::protocol::{ContentHash, Gpu};
use crate::runner::api::{LocalFuture, Progress, Runner, RunnerError};
use crate::runner::remote::{Ended, LastPlace, Orders, Pipes, Same, Talk, host, talk};
use crate::sandbox::Protections;

/// What a step may take beyond its job's own time: its launch, the last process's end, and the way of the answer.
const SLACK: Duration = Duration::from_secs(180);

/// The pauses before a job is launched again that its node did not take on: a node's daemon may be starting anew.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8), Duration::from_secs(16)];

/// The pause between two looks at a job that is about to end, and how many there are.
const SETTLING: (Duration, usize) = (Duration::from_millis(250), 20);

/// Runs jobs on a Slurm cluster. The allocation of a job is kept for the next, until it is released.
#[derive(Debug)]
pub struct Slurm {
    agent: PathBuf,
    same: Same,
    settings: SlurmSettings,
    sandbox: SandboxChoice,
    name: String,
    held: RefCell<Option<Allocation>>,
    /// The node of the last job, and what confined its processes there.
    begun: LastPlace,
    swept: Cell<bool>,
}

impl Slurm {
    /// Returns a runner for the run in the folder `run`, after which its jobs are named in the queue. They are run by `agent`,
    /// the agent binary of this machine, unless the settings name another. What an earlier process of the same run has left in
    /// the queue is cancelled before the first job.
    ///
    /// # Errors
    /// Where that binary cannot be read.
    pub fn new(
        agent: PathBuf,
        settings: SlurmSettings,
        sandbox: SandboxChoice,
        run: &Path,
    ) -> Result<Self, RunnerError> {
        let (agent, same) = match &settings.agent {
            Some(there) => (there.clone(), Same::Version),
            None => {
                let same = Same::of(&agent)?;
                (agent, same)
            }
        };
        let (held, begun, swept) = (RefCell::default(), LastPlace::default(), Cell::new(false));
        Ok(Self { agent, same, settings, sandbox, name: name(run), held, begun, swept })
    }

    /// Asks the cluster whether it can ever give what the mission wants.
    ///
    /// # Errors
    /// [`RunnerError::Missing`] where it cannot; a cluster that is out of reach for now is none.
    pub fn check(&self, gpu: &Gpu) -> Result<(), RunnerError> {
        let output = ask_and_wait("sbatch", &self.request(gpu).sbatch_test(is_set))?;
        if output.status.success() {
            return Ok(());
        }
        match lost::refused(&String::from_utf8_lossy(&output.stderr)) {
            error @ RunnerError::Missing(_) => Err(error),
            RunnerError::NoRoom { .. } | RunnerError::Failed(_) | RunnerError::TimedOut(_) => Ok(()),
        }
    }

    fn request<'a>(&'a self, gpu: &'a Gpu) -> Request<'a> {
        Request { settings: &self.settings, name: &self.name, gpu }
    }

    /// Runs a job in the allocation that is held, or in a new one.
    async fn run_job(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<JobOutput, RunnerError> {
        let held = self.held.take();
        if let Some(mut allocation) = held {
            if allocation.is_lost() {
                // The jobs of one measurement are of one allocation: another one's figures would not compare.
                return Err(lost::over(allocation.id(), settled(allocation.id()).await.as_ref(), ""));
            }
            return match self.step(allocation, job, progress).await {
                Ok(output) => Ok(output),
                Err(Lost::NotLaunched(error) | Lost::Over(error)) => Err(error),
            };
        }
        self.sweep().await;
        let mut pauses = PAUSES.into_iter();
        loop {
            let allocation = Allocation::wait_for(&self.request(&job.gpu), progress).await?;
            let error = match self.step(allocation, job, progress).await {
                Ok(output) => return Ok(output),
                Err(Lost::Over(error)) => return Err(error),
                Err(Lost::NotLaunched(error)) => error,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tracing::warn!("{error}; trying again in {} s", pause.as_secs());
            progress(Progress::WaitingForDevice);
            sleep(pause).await;
        }
    }

    /// Cancels what a process of this run left that died at once with its `salloc`, or before that could act.
    async fn sweep(&self) {
        if self.swept.replace(true) {
            return;
        }
        let args = [format!("--name={}", self.name), format!("--user={}", getuid().as_raw())];
        // It is for tidiness: what cannot be cancelled ends at its time limit.
        let _ = ask("scancel", &args).await;
    }

    /// Runs a job as a step of `allocation`, which is kept after a whole answer, and given back without one.
    async fn step(
        &self,
        allocation: Allocation,
        job: &Job,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<JobOutput, Lost> {
        let id = allocation.id();
        let talk = self.talk(&allocation, job, progress).await.map_err(Lost::Over)?;
        let lost = match talk.ended {
            // Its processes were told to end as well as the far side: what they did says nothing of the kernel.
            Ended::Told(Ok(_)) if lost::is_cut_short(&talk.said) => self.torn(id, &talk).await,
            Ended::Told(Ok(output)) => {
                self.begun.remember(talk.begun);
                self.held.replace(Some(allocation));
                return Ok(output);
            }
            Ended::Told(Err(error)) => Lost::Over(error),
            Ended::Garbled(how) => Lost::Over(RunnerError::Missing(format!(
                "{} answers from the node in words of another version ({how}); install one build in both places",
                self.agent.display()
            ))),
            Ended::Silent => Lost::Over(RunnerError::TimedOut(format!(
                "the step in job {id} gave no answer in its {} s and {} s more",
                job.timeout.as_secs(),
                SLACK.as_secs()
            ))),
            Ended::Torn => self.torn(id, &talk).await,
        };
        allocation.give_back().await;
        Err(lost)
    }

    async fn talk(
        &self,
        allocation: &Allocation,
        job: &Job,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Talk, RunnerError> {
        let args = self.request(&job.gpu).srun(allocation.id(), &self.agent);
        let mut srun = Tied::start("srun", &args, allocation.variables(), Stdio::piped())?;
        let ((stdin, stdout), stderr) = (srun.pipes()?, srun.errors()?);
        let orders = Orders::new(job, self.sandbox, self.same);
        let limit = job.timeout.saturating_add(SLACK);
        let talk = talk(Pipes { stdin, stdout, stderr }, &orders, limit, progress).await?;
        if matches!(talk.ended, Ended::Told(_)) {
            srun.leave().await;
        }
        Ok(talk)
    }

    /// Finds out why there is no answer.
    async fn torn(&self, id: u32, talk: &Talk) -> Lost {
        let info = settled(id).await;
        let lives = info.as_ref().is_some_and(|info| info.state == State::Running);
        if lives && talk.begun.is_none() {
            if lost::is_launch_failure(&talk.said) {
                return Lost::NotLaunched(lost::over(id, info.as_ref(), &talk.said));
            }
            if let Some(error) = lost::not_started(&self.agent.display().to_string(), &talk.said) {
                return Lost::Over(error);
            }
        }
        Lost::Over(lost::over(id, info.as_ref(), &talk.said))
    }
}

/// Returns the name of a run's jobs: two runs of one name, in two places, have two.
fn name(run: &Path) -> String {
    let place = ContentHash::of(format!("{}:{}", host(), run.display()).as_bytes()).short();
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let run: String = run.file_name().unwrap_or_default().to_string_lossy().chars().map(word).collect();
    format!("afterhours-{run}-{place}")
}

/// Asks for a job's state until it is on its way to nowhere else. One that runs may be told to end in a moment.
async fn settled(id: u32) -> Option<JobInfo> {
    let (pause, looks) = SETTLING;
    let mut info = None;
    for look in 0..looks {
        info = JobInfo::of(id).await.ok().flatten();
        match info.as_ref().map(|info| &info.state) {
            Some(State::Running) if look < 3 => {}
            Some(State::Completing) => {}
            _ => break,
        }
        sleep(pause).await;
    }
    info
}

/// A job without an answer.
enum Lost {
    /// Its node did not take it on: nothing of it began.
    NotLaunched(RunnerError),
    Over(RunnerError),
}

impl Runner for Slurm {
    fn name(&self) -> &str {
        "slurm"
    }

    fn protections(&self) -> Option<Protections> {
        self.begun.protections()
    }

    fn host(&self) -> Option<String> {
        self.begun.host()
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        Box::pin(self.run_job(job, progress))
    }

    fn release<'a>(&'a self) -> LocalFuture<'a, ()> {
        Box::pin(async {
            let held = self.held.take();
            if let Some(allocation) = held {
                allocation.give_back().await;
            }
        })
    }
}
