//! Any program as a harness: started in a stage folder beside the kernel, told the effort through its environment, it
//! writes the result object to `AFTERHOURS_RESULT`.

use std::path::{Path, PathBuf};

use super::api::{Failure, Harness, HarnessError, Request};
use super::job::{BlockResult, Exec, Job, Part, Program, Ran, Role, Stage};
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
}

impl Contract {
    /// Reads the harness at the absolute path `path`. Its text is kept: a run measures with what it began with.
    pub(super) fn open(path: &Path, interpreter: Interpreter) -> Result<Self, HarnessError> {
        let file_name = open::file_name(path)?;
        let reserved = interpreter.companions().iter().map(|(name, _)| *name).chain([interpreter.submission(), RESULT]);
        if reserved.into_iter().any(|name| name == file_name) {
            return Err(open::bad(path, "this name is taken in the stage folder; rename the harness"));
        }
        Ok(Self { path: path.to_owned(), file_name, text: open::read(path)?, interpreter })
    }

    fn stage(&self, role: Role, kernel: &[u8]) -> Stage {
        let companions =
            self.interpreter.companions().iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let files = [
            (PathBuf::from(&self.file_name), self.text.clone()),
            (PathBuf::from(self.interpreter.submission()), kernel.to_vec()),
        ];
        Stage { role, files: files.into_iter().chain(companions).collect(), build: Vec::new() }
    }

    fn exec(&self, request: &Request<'_>, seed: u64) -> Exec {
        let effort = request.effort;
        let stages: Vec<String> = duel::stage_repeats(request).iter().map(u32::to_string).collect();
        let env = [
            ("PYGPUBENCH_REPEATS", effort.repeats.to_string()),
            ("PYGPUBENCH_STAGE_REPEATS", stages.join(",")),
            ("PYGPUBENCH_EARLY_STOP_US", effort.early_stop_us.unwrap_or(0.0).to_string()),
            ("AFTERHOURS_PROFILE", request.profile.to_owned()),
            ("AFTERHOURS_SEED", seed.to_string()),
        ];
        Exec {
            program: Program::Named(self.interpreter.program().to_owned()),
            args: vec![self.file_name.clone()],
            env: env.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            stdin: Vec::new(),
            result: Some(PathBuf::from(RESULT)),
        }
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
    fn supports(&self, _gpu: &Gpu) -> Result<(), HarnessError> {
        Ok(())
    }

    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError> {
        duel::job(request, |role, kernel| Ok(self.stage(role, kernel)), |_, seed| Ok(self.exec(request, seed)))
    }

    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure> {
        match ran.part {
            Part::Build => Ok(None),
            Part::Block(_) => read_block(ran).map(Some),
        }
    }
}

/// A failed case is believed whatever the exit code; a pass needs code 0 beside it.
fn read_block(ran: &Ran) -> Result<BlockResult, Failure> {
    let code = ended_by_itself(ran)?;
    let result = match &ran.result {
        Some(bytes) => ResultObject::parse(bytes).map(|object| object.judge(ran.role)),
        None => Err("the harness wrote no result to AFTERHOURS_RESULT".to_owned()),
    };
    match result {
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(block)) if code == 0 => Ok(block),
        Err(found) if code == 0 => Err(no_result(with_stderr(found, ran))),
        Ok(Ok(_)) | Err(_) => Err(blame(
            ran.role,
            KernelFailure::Crash,
            with_stderr(format!("the harness ended with exit code {code}"), ran),
        )),
    }
}
