//! Slurm's commands as children of this process.

use std::io;
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal, setsid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::runner::api::RunnerError;
use crate::runner::remote::environment;

/// How long a short question to the cluster may take: longer than Slurm's own time-outs.
const ANSWER: Duration = Duration::from_secs(60);

/// How long a command may take to end once it is told to.
const GRACE: Duration = Duration::from_secs(8);

/// A command that lasts, and that does not outlive this process: a signal of ours or our death, however it comes, tells it to
/// end, and Slurm's commands then give back what they hold. Dropping it does, and waits for its end.
#[derive(Debug)]
pub(super) struct Tied {
    child: Child,
}

impl Tied {
    /// Starts `program` in a session of its own, away from the signals of the user's terminal, with `variables` besides the
    /// others. Its standard input and output are pipes; its errors go to `stderr`.
    pub(super) fn start(
        program: &str,
        args: &[String],
        variables: &[(String, String)],
        stderr: Stdio,
    ) -> Result<Self, RunnerError> {
        let mut command = plain(program, args);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let parent = Some(getpid());
        let prepare = move || {
            setsid()?;
            set_parent_process_death_signal(Some(Signal::TERM))?;
            if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        };
        // SAFETY: between fork and exec, `prepare` only makes system calls; it neither allocates nor locks.
        unsafe { command.pre_exec(prepare) };
        command.spawn().map(|child| Self { child }).map_err(|error| not_started(program, &error))
    }

    /// Hands out the pipes for its input and output, once.
    pub(super) fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout), RunnerError> {
        self.child.stdin.take().zip(self.child.stdout.take()).ok_or_else(no_pipe)
    }

    /// Hands out the pipe for its errors, once, where they have one.
    pub(super) fn errors(&mut self) -> Result<ChildStderr, RunnerError> {
        self.child.stderr.take().ok_or_else(no_pipe)
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) {
        // It can only have ended before.
        let _ = self.child.wait().await;
    }

    /// Waits a while for the end of a command that has been given a reason to end.
    pub(super) async fn leave(&mut self) {
        // Dropping is firmer.
        let _ = timeout(GRACE, self.wait()).await;
    }

    /// Tells whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it, and tells whether it ended by itself, as it must to give back what it holds.
    pub(super) fn end(&mut self) -> bool {
        if !self.has_ended() {
            self.signal(Signal::TERM);
        }
        let end = Instant::now() + GRACE;
        while !self.has_ended() {
            if Instant::now() > end {
                self.signal(Signal::KILL);
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        matches!(self.child.try_wait(), Ok(Some(status)) if status.code().is_some())
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // It can only have ended meanwhile.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a short command to its end.
pub(super) async fn ask(program: &str, args: &[String]) -> Result<Output, RunnerError> {
    let mut command = plain(program, args);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(ANSWER, command.output()).await {
        Ok(output) => output.map_err(|error| not_started(program, &error)),
        Err(_) => Err(RunnerError::Failed(format!("`{program}` has not answered for {} s", ANSWER.as_secs()))),
    }
}

/// Runs a short command to its end, outside of any runtime. Slurm's own time-outs bound it.
pub(super) fn ask_and_wait(program: &str, args: &[String]) -> Result<Output, RunnerError> {
    let mut command = plain(program, args).into_std();
    command.stdin(Stdio::null()).output().map_err(|error| not_started(program, &error))
}

/// Cancels a job whose `salloc` did not do it, without waiting for it.
pub(super) fn cancel(id: u32) {
    let mut command = std::process::Command::new("scancel");
    command.arg(id.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        tracing::warn!("job {id} is left in the cluster's queue: failed to start scancel: {error}");
    }
}

fn plain(program: &str, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(environment(std::env::vars_os(), is_own));
    command
}

/// Tells whether a variable is the cluster's or the user's own. Where this program itself runs in a job of Slurm's, that job's
/// variables would speak for those of ours.
fn is_own(name: &str) -> bool {
    matches!(name, "HOME" | "USER" | "LOGNAME" | "SLURM_CONF" | "SLURM_CLUSTERS") || name.starts_with("SALLOC_")
}

fn no_pipe() -> RunnerError {
    RunnerError::Failed("a command of Slurm's was started without its pipes".to_owned())
}

fn not_started(program: &str, error: &io::Error) -> RunnerError {
    let message = format!("failed to start `{program}`: {error}");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => RunnerError::Missing(format!(
            "{message}; Slurm's commands must be in PATH on this machine, or name another `runner`"
        )),
        _ => RunnerError::Failed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_learns_no_key_and_no_device_of_this_machine_and_of_no_job_around_this_program() {
        let parent = [
            ("PATH", "/bin"),
            ("HOME", "/home/ada"),
            ("TMPDIR", "/scratch/ada"),
            ("OPENAI_API_KEY", "sk-1"),
            ("CUDA_VISIBLE_DEVICES", "3"),
            ("SLURM_CONF", "/etc/slurm.conf"),
            ("SLURM_JOB_ID", "7"),
            ("SLURM_MEM_PER_NODE", "100"),
            ("SALLOC_PARTITION", "night"),
        ];
        let parent = parent.map(|(name, value)| (name.into(), value.into()));
        let mut kept: Vec<_> =
            environment(parent.into_iter(), is_own).into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
        kept.sort();
        assert_eq!(kept, ["HOME", "PATH", "SALLOC_PARTITION", "SLURM_CONF"]);
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let error = Tied::start("no-such-salloc", &[], &[], Stdio::null()).unwrap_err();
        assert!(matches!(&error, RunnerError::Missing(text) if text.contains("`no-such-salloc`")), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_command_is_told_to_end_and_has_ended() {
        let script = "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.01; done";
        let mut tied = Tied::start("sh", &["-c".to_owned(), script.to_owned()], &[], Stdio::null()).unwrap();
        let (_stdin, stdout) = tied.pipes().unwrap();
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stdout));
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
        drop(tied);
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("told"));
        assert_eq!(lines.next_line().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_command_that_was_killed_has_not_ended_by_itself() {
        for (script, by_itself) in [("exit 3", true), ("kill -9 $$", false)] {
            let mut tied = Tied::start("sh", &["-c".to_owned(), script.to_owned()], &[], Stdio::null()).unwrap();
            tied.wait().await;
            assert_eq!(tied.end(), by_itself, "{script}");
        }
    }
}
