//! The runner.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::app::{self, deployable};
use crate::harness::{Job, JobOutput};
use crate::mission::SandboxChoice;
use crate::protocol::Deploy;
use crate::runner::api::{Deployable, LocalFuture, Presence, Progress, Runner, RunnerError};
use crate::runner::remote::{Ended, LastPlace, Orders, Pipes, Same, environment, talk, told};
use crate::sandbox::Protections;

/// The program that makes the call, with Modal's own client.
const CALL: &str = include_str!("../../../tools/modal_call.py");

/// What a call may take beyond its job's own time: the wait for a GPU, the container's start, and the way of the answer.
const SLACK: Duration = Duration::from_secs(1800);

/// The exit code by which the program tells that the app is not there.
const ABSENT: i32 = 4;

/// Runs each job as one call of the app that was deployed for this build.
#[derive(Debug)]
pub struct Modal {
    agent: PathBuf,
    same: Same,
    sandbox: SandboxChoice,
    /// The app's name.
    app: String,
    /// Whether Modal has it.
    presence: Presence,
    /// The container of the last job, and what confined its processes there.
    begun: LastPlace,
}

impl Modal {
    /// Returns a runner whose containers must hold the build in the file `agent`, the agent binary of this machine.
    ///
    /// # Errors
    /// Where that binary cannot be read.
    pub fn new(agent: &Path, sandbox: SandboxChoice) -> Result<Self, RunnerError> {
        let agent = agent.to_owned();
        let same = Same::of(&agent)?;
        let (app, presence) = (app::name(same), Presence::Unknown);
        Ok(Self { agent, same, sandbox, app, presence, begun: LastPlace::default() })
    }

    /// Returns the step that deploys the app where a mission has none of its own.
    pub fn step() -> Deploy {
        app::step()
    }

    /// Asks Modal whether the credentials hold, and whether the app is deployed, and returns the runner that knows.
    ///
    /// # Errors
    /// [`RunnerError::Missing`] without Modal's client or valid credentials. A Modal that is out of reach for now is no error.
    pub fn checked(self) -> Result<Self, RunnerError> {
        let output = python(&["check", &self.app])
            .into_std()
            .stdin(Stdio::null())
            .output()
            .map_err(|error| not_started(&error))?;
        let presence = match told(&output.stdout) {
            Err(RunnerError::Missing(message)) if output.status.code() == Some(ABSENT) => Presence::Absent(message),
            Err(error @ RunnerError::Missing(_)) => return Err(error),
            Err(RunnerError::NoRoom { .. } | RunnerError::Failed(_) | RunnerError::TimedOut(_)) => Presence::Unknown,
            Ok(()) => Presence::There,
        };
        Ok(Self { presence, ..self })
    }

    async fn run_job(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<JobOutput, RunnerError> {
        progress(Progress::WaitingForDevice);
        let seconds = job.timeout.as_secs_f64().to_string();
        let mut command = python(&["run", &self.app, &job.gpu.0, &seconds]);
        // Its end is the end of its input, however this process ends: only so can it still cancel the call. A group of its own
        // keeps it from the signals of the user's terminal.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| not_started(&error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(RunnerError::Failed("the call to Modal has no pipes".to_owned()));
        };
        let orders = Orders::new(job, self.sandbox, self.same);
        let limit = job.timeout.saturating_add(SLACK);
        let talk = talk(Pipes { stdin, stdout, stderr }, &orders, limit, progress).await?;
        match talk.ended {
            // It speaks before it begins where it is another build.
            Ended::Told(Err(RunnerError::Missing(message))) if talk.begun.is_none() => {
                Err(RunnerError::Missing(format!("{message}: run `modal app stop {}`, then `agent deploy`", self.app)))
            }
            Ended::Told(output) => {
                self.begun.remember(talk.begun);
                output
            }
            Ended::Torn => Err(RunnerError::Failed(format!("the answer from Modal is torn: {}", talk.said.trim()))),
            Ended::Silent => Err(RunnerError::TimedOut(format!(
                "Modal gave no answer in the job's {} s and {} s more",
                job.timeout.as_secs(),
                SLACK.as_secs()
            ))),
            Ended::Garbled(how) => Err(RunnerError::Failed(format!("the answer from Modal is damaged: {how}"))),
        }
    }
}

impl Runner for Modal {
    fn name(&self) -> &str {
        "modal"
    }

    fn protections(&self) -> Option<Protections> {
        self.begun.protections()
    }

    fn host(&self) -> Option<String> {
        self.begun.host()
    }

    fn deployable(&self) -> Option<Deployable> {
        Some(deployable(&self.agent, self.same, self.presence.clone()))
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        Box::pin(self.run_job(job, progress))
    }
}

/// Returns the child that calls, with what finds programs and what is Modal's and the user's own. Other keys stay here.
fn python(args: &[&str]) -> Command {
    let own = |name: &str| name == "HOME" || name.starts_with("MODAL_");
    let mut command = Command::new("python3");
    command.args(["-c", CALL]).args(args).env_clear().envs(environment(std::env::vars_os(), own));
    command
}

fn not_started(error: &io::Error) -> RunnerError {
    RunnerError::Missing(format!("python3 could not be started for Modal's client: {error}"))
}
