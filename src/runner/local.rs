//! The runner for this machine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use rustix::io::Errno;

use super::api::{LocalFuture, Progress, Runner, RunnerError};
use super::device_lock::DeviceLock;
use super::memory;
use super::stage::Folder;
use crate::harness::{Exec, Exit, Job, JobOutput, Part, Program, Ran, Role};
use crate::mission::SandboxChoice;
use crate::protocol::Gpu;
use crate::sandbox::{self, Access, End, FILE_BYTES, Finished, Limits, Protections, SandboxError, Spec};

/// The variable that names the file for a process's result.
const RESULT_VARIABLE: &str = "AFTERHOURS_RESULT";

/// The variable by which a user says which of several devices a program sees: the first of the list is the one it uses.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// How much of each output stream is kept, in bytes.
const OUTPUT_BYTES: usize = 1 << 20;

/// How many processes a program and its descendants may be at once: more than any build needs.
const PROCESSES: usize = 256;

/// A disk with less space than this is full, in bytes: a compiler that failed for want of more has taken its files away.
const ROOM_BYTES: u64 = 4 << 20;

/// The longest time of a job, so that its end is a moment that the clock knows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs jobs on this machine, one at a time for each device.
#[derive(Debug)]
pub struct Local {
    agent: PathBuf,
    scratch: PathBuf,
    locks: PathBuf,
    sandbox: SandboxChoice,
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
        let mut folders = Vec::new();
        for stage in &job.stages {
            folders.push((stage.role, Folder::create(&self.scratch, stage)?));
        }
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

/// A job under way: the device is locked, the stages are written.
struct Bench<'a> {
    runner: &'a Local,
    lock: &'a DeviceLock,
    folders: &'a [(Role, Folder)],
    gpu: &'a Gpu,
    deadline: Instant,
}

impl Bench<'_> {
    /// Runs the builds, then the blocks, up to the first failure.
    async fn run(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<JobOutput, RunnerError> {
        let total = job.blocks.len();
        let mut output = JobOutput::default();
        for (role, part, exec) in job.parts() {
            progress(match part {
                Part::Build => Progress::Building,
                Part::Block(done) => Progress::Blocks { done, total },
            });
            let ran = self.run_one(role, part, exec).await?;
            let failed = !ran.exit.is_success();
            output.ran.push(ran);
            if failed {
                return Ok(output);
            }
        }
        progress(Progress::Blocks { done: total, total });
        Ok(output)
    }

    async fn run_one(&self, role: Role, part: Part, exec: &Exec) -> Result<Ran, RunnerError> {
        let folder = self.folder(role)?;
        if matches!(part, Part::Block(_)) {
            folder.renew()?;
        }
        let result = exec.result.as_deref().map(|relative| folder.result(relative)).transpose()?;
        let mut env = self.environment(folder, exec);
        if let Some(result) = &result {
            env.insert(RESULT_VARIABLE.into(), result.path().into());
        }
        let finished = sandbox::run(Spec {
            agent: &self.runner.agent,
            program: self.program(exec),
            args: &exec.args,
            folder: folder.path(),
            access: self.access(exec, folder, &env),
            env,
            stdin: &exec.stdin,
            deadline: self.deadline,
            output_bytes: OUTPUT_BYTES,
            limits: self.limits(exec),
            hold: Some(self.lock.as_fd()),
        })
        .await?;
        let (result, note) = match result.map(|result| result.read()) {
            None => (None, None),
            Some(Ok(content)) => (content, None),
            Some(Err(note)) => (None, Some(note)),
        };
        Ok(ran(role, part, exec, finished, result, note))
    }

    fn folder(&self, role: Role) -> Result<&Folder, RunnerError> {
        let found = self.folders.iter().find(|(of, _)| *of == role).map(|(_, folder)| folder);
        found.ok_or_else(|| RunnerError::Failed(format!("the job has no stage for its {role:?}; give it one")))
    }

    fn environment(&self, folder: &Folder, exec: &Exec) -> BTreeMap<OsString, OsString> {
        let mut env = sandbox::scrubbed(std::env::vars_os(), folder.path());
        env.extend(exec.env.iter().map(|(name, value)| (name.into(), value.into())));
        env
    }

    fn program<'a>(&'a self, exec: &'a Exec) -> &'a OsStr {
        match &exec.program {
            Program::Named(name) => name.as_ref(),
            Program::Agent => self.runner.agent.as_os_str(),
        }
    }

    /// Returns what a process may reach: its stage's folder, and nothing else of what is the user's.
    fn access(&self, exec: &Exec, folder: &Folder, env: &BTreeMap<OsString, OsString>) -> Option<Access> {
        let home = std::env::home_dir();
        let access = || {
            let access = Access::new(self.program(exec), env, folder.path(), home.as_deref());
            if exec.is_launcher() { access.with_semaphores() } else { access }
        };
        match self.runner.sandbox {
            SandboxChoice::Unconfined => None,
            SandboxChoice::Required | SandboxChoice::BestEffort if self.gpu.is_cpu() => Some(access()),
            SandboxChoice::Required | SandboxChoice::BestEffort => Some(access().with_gpu()),
        }
    }

    /// Returns the limits of a process that starts now. They end what the deadline cannot: a process that hides from it. The
    /// processor time is what all cores together can spend until then, as it counts every thread.
    fn limits(&self, exec: &Exec) -> Limits {
        let left = self.deadline.saturating_duration_since(Instant::now()).as_secs().saturating_add(5);
        let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
        Limits {
            cpu_seconds: Some(left.saturating_mul(cores)),
            // The worker's memory for the buffers counts as a file, and the kernel's own process gets the limit by itself.
            file_bytes: (!exec.is_worker()).then_some(FILE_BYTES),
            memory_bytes: memory::share(),
            processes: Some(PROCESSES),
        }
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

fn ran(role: Role, part: Part, exec: &Exec, finished: Finished, result: Option<Vec<u8>>, note: Option<String>) -> Ran {
    let exit = match finished.end {
        End::Code(code) => Exit::Code(code),
        End::Signal(signal) => Exit::Signal(signal),
        End::TimedOut => Exit::TimedOut,
    };
    let mut stderr = finished.stderr.to_text();
    if let Some(note) = note {
        if !stderr.is_empty() && !stderr.ends_with('\n') {
            stderr.push('\n');
        }
        stderr.push_str(&format!("[{note}]\n"));
    }
    let stdout = finished.stdout.to_text();
    Ran { role, part, command: command_line(exec), exit, stdout, stderr, result, elapsed: finished.elapsed }
}

/// Returns the command as a line that a shell would read the same way.
fn command_line(exec: &Exec) -> String {
    let program = match &exec.program {
        Program::Named(name) => name,
        Program::Agent => "agent",
    };
    let words = std::iter::once(program).chain(exec.args.iter().map(String::as_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains(char::is_control) {
        format!("$'{}'", word.chars().map(escaped).collect::<String>())
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Spells a character as the quotes `$'…'` of a shell want it.
fn escaped(c: char) -> String {
    match c {
        '\'' | '\\' => format!("\\{c}"),
        '\n' => r"\n".to_owned(),
        '\t' => r"\t".to_owned(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
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

    #[test]
    fn a_command_line_reads_back_as_the_same_words() {
        let line = |words: &[&str]| {
            let exec = Exec {
                program: Program::Named(words[0].to_owned()),
                args: words[1..].iter().map(|word| (*word).to_owned()).collect(),
                env: Vec::new(),
                stdin: Vec::new(),
                result: None,
            };
            command_line(&exec)
        };
        assert_eq!(line(&["cc", "-O3", "--std=c11", "-o", "a.so"]), "cc -O3 --std=c11 -o a.so");
        assert_eq!(line(&["sh", "-c", "echo $HOME; it's", ""]), r"sh -c 'echo $HOME; it'\''s' ''");
        assert_eq!(line(&["x", "a\nb\t'\\µ\x1b[2J"]), r"x $'a\nb\t\'\\µ\u001b[2J'");
        assert_eq!(line(&["x", "*", "~", "µ"]), "x '*' '~' 'µ'");
    }
}
