//! A job under way on this machine: its builds, and its blocks one by one or two in turns.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::thread::available_parallelism;
use std::time::Instant;

use rustix::thread::sched_getcpu;

use super::api::{Progress, RunnerError};
use super::device_lock::DeviceLock;
use super::local::Local;
use super::memory;
use super::stage::{Folder, Folders};
use super::turns::Turns;
use crate::harness::native::host::PROCESSOR;
use crate::harness::{Exec, Exit, Job, JobOutput, Part, Program, Ran, Role};
use crate::mission::SandboxChoice;
use crate::protocol::Gpu;
use crate::sandbox::{self, Access, End, FILE_BYTES, Finished, Input, Limits, Spec};

/// The variable that names the file for a process's result.
const RESULT_VARIABLE: &str = "AFTERHOURS_RESULT";

/// How much of each output stream is kept, in bytes.
const OUTPUT_BYTES: usize = 1 << 20;

/// How many processes a program and its descendants may be at once: more than any build needs.
const PROCESSES: usize = 256;

/// One process of the job.
#[derive(Clone, Copy)]
struct Process<'a> {
    role: Role,
    part: Part,
    exec: &'a Exec,
}

impl Process<'_> {
    fn is_block(&self) -> bool {
        matches!(self.part, Part::Block(_))
    }
}

/// A job under way: the device is locked, the stages are written.
pub(super) struct Bench<'a> {
    pub(super) runner: &'a Local,
    pub(super) lock: &'a DeviceLock,
    pub(super) folders: &'a Folders,
    pub(super) gpu: &'a Gpu,
    pub(super) deadline: Instant,
}

impl Bench<'_> {
    /// Runs the builds, then the blocks, up to the first failure.
    pub(super) async fn run(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<JobOutput, RunnerError> {
        let total = job.blocks.len();
        let mut output = JobOutput::default();
        let mut parts = job.parts().map(|(role, part, exec)| Process { role, part, exec });
        while let Some(process) = parts.next() {
            progress(match process.part {
                Part::Build => Progress::Building,
                Part::Block(done) => Progress::Blocks { done, total },
            });
            let beside = if job.turn_calls.is_some() && process.is_block() { parts.next() } else { None };
            let ran = match beside {
                Some(other) => self.run_in_turns([process, other]).await?,
                None => vec![self.run_alone(process).await?],
            };
            let failed = ran.iter().any(|ran| !ran.exit.is_success());
            output.ran.extend(ran);
            if failed {
                return Ok(output);
            }
        }
        progress(Progress::Blocks { done: total, total });
        Ok(output)
    }

    async fn run_alone(&self, process: Process<'_>) -> Result<Ran, RunnerError> {
        let [folder, _] = self.folders.of(process.role)?;
        if process.is_block() {
            folder.renew()?;
        }
        self.run_one(process, folder, Input::Bytes(&process.exec.stdin), None).await
    }

    /// Runs two blocks at once, on one processor, which take turns, the first one first.
    async fn run_in_turns(&self, processes: [Process<'_>; 2]) -> Result<Vec<Ran>, RunnerError> {
        let [first, second] = processes;
        let [folder, twin] = self.folders.of(first.role)?;
        let other = if first.role == second.role { twin } else { self.folders.of(second.role)?[0] };
        folder.renew()?;
        other.renew()?;
        let inputs = processes.map(|process| process.exec.stdin.as_slice());
        let (turns, [input, other_input]) = Turns::open(inputs)
            .await
            .map_err(|error| RunnerError::Failed(format!("failed to let two blocks take turns: {error}")))?;
        let processor = Some(sched_getcpu());
        let (first, second, holder) = tokio::join!(
            self.run_one(first, folder, Input::Open(input), processor),
            self.run_one(second, other, Input::Open(other_input), processor),
            turns.hand_over(),
        );
        let (mut first, mut second) = (first?, second?);
        Ok(match (first.exit.is_success(), second.exit.is_success()) {
            (true, true) => {
                let half = first.elapsed.max(second.elapsed) / 2;
                (first.elapsed, second.elapsed) = (half, half);
                vec![first, second]
            }
            (true, false) => vec![first, second],
            (false, true) => vec![first],
            // The one that waited for its turn could do no better.
            (false, false) => vec![if holder == 0 { first } else { second }],
        })
    }

    async fn run_one(
        &self,
        Process { role, part, exec }: Process<'_>,
        folder: &Folder,
        stdin: Input<'_>,
        processor: Option<usize>,
    ) -> Result<Ran, RunnerError> {
        let result = exec.result.as_deref().map(|relative| folder.result(relative)).transpose()?;
        let mut env = self.environment(folder, exec);
        env.extend(result.iter().map(|result| (RESULT_VARIABLE.into(), result.path().into())));
        env.extend(processor.map(|number| (PROCESSOR.into(), number.to_string().into())));
        let finished = sandbox::run(Spec {
            agent: &self.runner.agent,
            program: self.program(exec),
            args: &exec.args,
            folder: folder.path(),
            access: self.access(exec, folder, &env),
            env,
            stdin,
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

#[cfg(test)]
mod tests {
    use super::*;

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
