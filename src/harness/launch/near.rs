//! The near side: how a harness has its program launched, and what the launcher found.

use std::path::{Path, PathBuf};

use super::orders::{Answer, Channel, DeviceKind, Ending, FILES, Orders, Origin, REPORT_BYTES, Staged, UNABLE};
use crate::harness::result::{blame, ended_by_itself, no_result, signal_name, with_stderr};
use crate::harness::{Exec, Failure, Program, Ran, Role, Stage};
use crate::protocol::{ContentHash, Device, Gpu, KernelFailure};

const RESULT: &str = "result.json";

/// A harness's hold on its launchers.
pub(in crate::harness) struct Launcher {
    /// Known to this value and its launchers alone: an answer without it was written by somebody else.
    nonce: String,
}

/// A program to be launched.
#[derive(Debug)]
pub(in crate::harness) struct Start<'a> {
    pub(in crate::harness) gpu: &'a Gpu,
    /// The files of the stage, by their paths in the block's folder.
    pub(in crate::harness) files: &'a [(PathBuf, Vec<u8>)],
    pub(in crate::harness) program: Origin,
    pub(in crate::harness) args: Vec<String>,
    pub(in crate::harness) env: Vec<(String, String)>,
    pub(in crate::harness) channel: Channel,
    /// For this block alone; without it, the job's time is its own.
    pub(in crate::harness) timeout_seconds: Option<u32>,
    /// The file that the program leaves in its folder, for later launches of the stage to start.
    pub(in crate::harness) makes: Option<&'a str>,
}

/// What a launcher found.
#[derive(Debug)]
pub(in crate::harness) struct Finding {
    /// The machine's device, or why it has none.
    pub(in crate::harness) device: Result<Device, String>,
    /// The program's arguments.
    pub(in crate::harness) args: Vec<String>,
    /// The program's exit code.
    pub(in crate::harness) code: i32,
    /// What came through the channel.
    pub(in crate::harness) report: String,
    /// What the program's own process printed, and none of its children.
    pub(in crate::harness) printed: String,
}

impl Launcher {
    /// Makes one, or says why the system gives no random number for it.
    pub(in crate::harness) fn new() -> Result<Self, String> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| format!("no random numbers from the system: {error}"))?;
        Ok(Self { nonce: u128::from_ne_bytes(nonce).to_string() })
    }

    /// Returns the stage of a text whose blocks find `files` in their folders.
    pub(in crate::harness) fn stage(role: Role, files: &[(PathBuf, Vec<u8>)]) -> Stage {
        let files = files.iter().map(|(path, content)| (Path::new(FILES).join(path), content.clone()));
        Stage { role, files: files.collect(), build: Vec::new() }
    }

    /// Returns the process that launches `start`.
    pub(in crate::harness) fn exec(&self, start: Start<'_>) -> Result<Exec, serde_json::Error> {
        let staged = |(path, content): &(PathBuf, Vec<u8>)| Staged {
            path: path.to_string_lossy().into_owned(),
            hash: ContentHash::of(content),
        };
        let orders = Orders {
            nonce: self.nonce.clone(),
            device: if start.gpu.is_cpu() { DeviceKind::Host } else { DeviceKind::Cuda },
            files: start.files.iter().map(staged).collect(),
            program: start.program,
            args: start.args,
            env: start.env,
            channel: start.channel,
            timeout_seconds: start.timeout_seconds,
            makes: start.makes.map(str::to_owned),
        };
        // What stands after the dashes is for a reader of the command line; the orders are what counts.
        let program = match &orders.program {
            Origin::Path(name) => name.clone(),
            Origin::Made(name) => format!("./{name}"),
        };
        let shown = [program].into_iter().chain(orders.args.iter().cloned());
        Ok(Exec {
            program: Program::Agent,
            args: ["launch".to_owned(), "--".to_owned()].into_iter().chain(shown).collect(),
            env: Vec::new(),
            stdin: serde_json::to_vec(&orders)?,
            result: Some(PathBuf::from(RESULT)),
        })
    }

    /// Reads what a launcher left. The failure is the kernel's where the program was ended, or the answer is not a launcher's.
    pub(in crate::harness) fn read(&self, ran: &Ran) -> Result<Finding, Failure> {
        let code = ended_by_itself(ran)?;
        let crash = |message: &str| blame(ran.role, KernelFailure::Crash, with_stderr(message, ran));
        let Some(bytes) = &ran.result else {
            return Err(if code == i32::from(UNABLE) {
                no_result(with_stderr("the harness could not be launched", ran))
            } else {
                crash("the block left no answer of its launcher")
            });
        };
        let answer = serde_json::from_slice::<Answer>(bytes).ok().filter(|answer| answer.nonce == self.nonce);
        let Some(answer) = answer else {
            return Err(crash("the result was not written by the launcher, but from within the kernel's code"));
        };
        let code = match answer.ending {
            Ending::Code(code) => code,
            Ending::Signal(signal) => return Err(crash(&format!("killed by {}", signal_name(signal)))),
            Ending::Overlong => {
                return Err(no_result(format!("the harness reported more than the {REPORT_BYTES} bytes allowed")));
            }
            Ending::Tampered(file) => {
                return Err(crash(&format!("an earlier block of this kernel has changed {file} in its stage")));
            }
            Ending::TimedOut(seconds) => {
                let message = format!("still running after the {seconds} s that the harness gives it");
                return Err(blame(ran.role, KernelFailure::Timeout, message));
            }
        };
        let Answer { device, args, report, printed, .. } = answer;
        Ok(Finding { device, args, code, report, printed })
    }
}
