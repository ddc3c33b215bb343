//! Any program as a harness: started in a folder beside the kernel, told the effort through its environment, it writes the
//! result object to `AFTERHOURS_RESULT`, or prints PyGPUBench's lines.

use std::path::{Path, PathBuf};

use super::api::{Failure, Harness, HarnessError, Request};
use super::job::{BlockResult, Exec, Job, Part, Program, Ran, Role, Stage};
use super::launch::{Channel, Finding, Launcher, Origin, Start};
use super::printed::Said;
use super::result::{ResultObject, blame, ended_by_itself, no_result, with_stderr};
use super::{duel, open};
use crate::protocol::{ContentHash, Gpu, KernelFailure};

const RESULT: &str = "result.json";

/// What runs a harness, by its file's extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interpreter {
    /// `*.py`: finds the kernel as `submission.py`.
    Python,
    /// `*.sh`: finds the kernel as `submission`.
    Shell,
}

impl Interpreter {
    fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Shell => "sh",
        }
    }

    fn submission(self) -> &'static str {
        match self {
            Self::Python => "submission.py",
            Self::Shell => "submission",
        }
    }

    /// Files that harnesses of this kind expect to find, beside the kernel.
    fn companions(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Python => &[("task.py", "input_t = tuple\noutput_t = list\n")],
            Self::Shell => &[],
        }
    }
}

/// A harness that is a program of the user's.
pub(super) struct Contract {
    path: PathBuf,
    file_name: String,
    text: Vec<u8>,
    interpreter: Interpreter,
    launcher: Launcher,
}

impl Contract {
    /// Reads the harness at the absolute path `path`. Its text is kept: a run measures with what it began with.
    pub(super) fn open(path: &Path, interpreter: Interpreter) -> Result<Self, HarnessError> {
        let file_name = open::file_name(path)?;
        let reserved = interpreter.companions().iter().map(|(name, _)| *name).chain([interpreter.submission(), RESULT]);
        if reserved.into_iter().any(|name| name == file_name) {
            return Err(open::bad(path, "this name is taken in the stage folder; rename the harness"));
        }
        let launcher = Launcher::new().map_err(|message| open::bad(path, message))?;
        Ok(Self { path: path.to_owned(), file_name, text: open::read(path)?, interpreter, launcher })
    }

    /// Returns the files of a block's folder.
    fn block_files(&self, kernel: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
        let companions =
            self.interpreter.companions().iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let files = [
            (PathBuf::from(&self.file_name), self.text.clone()),
            (PathBuf::from(self.interpreter.submission()), kernel.to_vec()),
        ];
        files.into_iter().chain(companions).collect()
    }

    fn exec(&self, request: &Request<'_>, role: Role, seed: u64) -> Result<Exec, HarnessError> {
        let effort = request.effort;
        let stages: Vec<String> = duel::stage_repeats(request).iter().map(u32::to_string).collect();
        let env = [
            ("PYGPUBENCH_REPEATS", effort.repeats.to_string()),
            ("PYGPUBENCH_STAGE_REPEATS", stages.join(",")),
            ("PYGPUBENCH_EARLY_STOP_US", effort.early_stop_us.unwrap_or(0.0).to_string()),
            ("AFTERHOURS_PROFILE", request.profile.to_owned()),
            ("AFTERHOURS_SEED", seed.to_string()),
            // What a kernel leaves in its home, where Python looks for modules of the user's, is not to run in a later block.
            ("PYTHONNOUSERSITE", "1".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        let env: Vec<(String, String)> = env.map(|(key, value)| (key.to_owned(), value)).into();
        let (program, args) = (self.interpreter.program(), vec![self.file_name.clone()]);
        if self.interpreter == Interpreter::Shell {
            let program = Program::Named(program.to_owned());
            return Ok(Exec { program, args, env, stdin: Vec::new(), result: Some(PathBuf::from(RESULT)) });
        }
        let start = Start {
            gpu: request.gpu,
            files: &self.block_files(request.text(role)),
            program: Origin::Path(program.to_owned()),
            args,
            env,
            channel: Channel::File,
            timeout_seconds: None,
            makes: None,
        };
        self.launcher.exec(start).map_err(|error| open::bad(&self.path, error.to_string()))
    }

    fn stage(&self, role: Role, kernel: &[u8]) -> Stage {
        let files = self.block_files(kernel);
        match self.interpreter {
            Interpreter::Python => Launcher::stage(role, &files),
            Interpreter::Shell => Stage { role, files, build: Vec::new() },
        }
    }

    fn read_block(&self, ran: &Ran) -> Result<BlockResult, Failure> {
        let (code, result) = match self.interpreter {
            Interpreter::Python => {
                let finding = self.launcher.read(ran)?;
                (finding.code, launched(ran.role, finding))
            }
            Interpreter::Shell => (ended_by_itself(ran)?, started(ran)),
        };
        match result {
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(block)) if code == 0 => Ok(block),
            Err(found) if code == 0 => Err(no_result(with_stderr(found, ran))),
            // A failed case is believed whatever the exit code; a pass needs code 0 beside it.
            Ok(Ok(_)) | Err(_) => Err(blame(
                ran.role,
                KernelFailure::Crash,
                with_stderr(format!("the harness ended with exit code {code}"), ran),
            )),
        }
    }
}

const NOTHING_WRITTEN: &str = "the harness wrote no result to AFTERHOURS_RESULT";

/// What a block's evidence says, or why it is none.
type Judged = Result<Result<BlockResult, Failure>, String>;

/// Judges what a program left that was started without a launcher.
fn started(ran: &Ran) -> Judged {
    let bytes = ran.result.as_deref().ok_or(NOTHING_WRITTEN)?;
    Ok(ResultObject::parse(bytes)?.judge(ran.role))
}

/// Judges what a launcher found: the result object, or else the printed lines.
fn launched(role: Role, finding: Finding) -> Judged {
    let said = Said::parse(&finding.printed);
    if finding.report.trim().is_empty() { printed(role, said, finding) } else { written(role, &said, &finding) }
}

/// Judges a result object. The lines beside it need not be there, and may not contradict it.
fn written(role: Role, said: &Said, finding: &Finding) -> Judged {
    let judged = ResultObject::parse(finding.report.as_bytes())?.judge(role);
    match judged.as_ref().ok().and_then(|block| said.contradicts(&block.cases)) {
        Some(contradiction) => Err(contradiction),
        None => Ok(judged),
    }
}

/// Judges printed lines; the device is the one that the machine names.
fn printed(role: Role, said: Said, finding: Finding) -> Judged {
    match said {
        Said::Nothing => Err(NOTHING_WRITTEN.to_owned()),
        Said::Unsound(message) => Err(format!("what the harness printed is not to be believed: {message}")),
        Said::Failed(line) => Ok(Err(blame(role, KernelFailure::WrongAnswer, line))),
        Said::Cases(cases) => Ok(Ok(BlockResult { device: finding.device?, cases, conditions: None })),
    }
}

impl Harness for Contract {
    fn name(&self) -> &str {
        &self.file_name
    }

    fn hash(&self) -> ContentHash {
        ContentHash::of(&self.text)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    /// Any device: the result has to name the one it came from.
    fn supports(&self, _kernel: &Path, _gpu: &Gpu) -> Result<(), HarnessError> {
        Ok(())
    }

    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError> {
        duel::job(request, |role, kernel| Ok(self.stage(role, kernel)), |role, seed| self.exec(request, role, seed))
    }

    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure> {
        match ran.part {
            Part::Build => Ok(None),
            Part::Block(_) => self.read_block(ran).map(Some),
        }
    }
}
