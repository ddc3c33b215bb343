//! What the two sides write: a line of orders one way, lines of answers the other.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::same::Same;
use crate::harness::{Job, Ran};
use crate::mission::SandboxChoice;
use crate::runner::api::{Progress, RunnerError};
use crate::sandbox::Protections;

/// The form of the lines; any other is refused by either side.
const FORM: u32 = 1;

/// This program, as it names itself.
pub(super) const PROGRAM: &str = concat!("afterhours ", env!("CARGO_PKG_VERSION"));

/// The longest line of orders, in bytes: a job's files are a kernel and what its harness needs, each of a few MiB at most.
pub(super) const MOST_ORDERS: u64 = 256 << 20;

/// The longest line of an answer, in bytes: what one process printed, and its result, in their largest spelling.
pub(super) const MOST_ANSWER: u64 = 64 << 20;

/// What the far side is to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::runner) struct Orders {
    form: u32,
    program: String,
    pub(super) same: Same,
    pub(super) sandbox: SandboxChoice,
    pub(super) job: Job,
}

impl Orders {
    pub(in crate::runner) fn new(job: &Job, sandbox: SandboxChoice, same: Same) -> Self {
        Self { form: FORM, program: PROGRAM.to_owned(), same, sandbox, job: job.clone() }
    }

    /// Reads a line. The version is looked at first: what another one writes need not be understood otherwise.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(line).map_err(|error| format!("the orders are torn or none: {error}"))?;
        if value.get("form").and_then(Value::as_u64) != Some(FORM.into())
            || value.get("program").and_then(Value::as_str) != Some(PROGRAM)
        {
            let found = value.get("program").and_then(Value::as_str).unwrap_or("an unknown program");
            let found: String = found.chars().take(80).collect();
            return Err(format!("{found} asks and {PROGRAM} was started there; both must be of one version"));
        }
        serde_json::from_value(value).map_err(|error| format!("the orders do not fit: {error}"))
    }
}

/// One line of the far side's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Answer {
    /// The first: who works where, and how it confines what it starts.
    Begun { host: String, protections: Option<Protections> },
    /// How far it is.
    Progress(Progress),
    /// What one process did.
    Ran(Box<Ran>),
    /// The last of a job that ran.
    Done,
    /// The last of a job that could not be run.
    Failed(Failure),
}

/// A [`RunnerError`] on its way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Failure {
    Missing(String),
    NoRoom(PathBuf),
    Failed(String),
    TimedOut(String),
}

impl From<RunnerError> for Failure {
    fn from(error: RunnerError) -> Self {
        match error {
            RunnerError::Missing(message) => Self::Missing(message),
            RunnerError::NoRoom { folder, .. } => Self::NoRoom(folder),
            RunnerError::Failed(message) => Self::Failed(message),
            RunnerError::TimedOut(message) => Self::TimedOut(message),
        }
    }
}

impl Failure {
    /// Returns the error that it was on `host`.
    pub(super) fn on(self, host: &str) -> RunnerError {
        let there = |message: String| format!("on {host}: {message}");
        match self {
            Self::Missing(message) => RunnerError::Missing(there(message)),
            Self::NoRoom(folder) => RunnerError::NoRoom {
                folder: PathBuf::from(format!("{host}:{}", folder.display())),
                source: io::ErrorKind::StorageFull.into(),
            },
            Self::Failed(message) => RunnerError::Failed(there(message)),
            Self::TimedOut(message) => RunnerError::TimedOut(there(message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::harness::{Block, Exec, Exit, Part, Program, Role, Stage};
    use crate::protocol::Gpu;

    fn job() -> Job {
        let exec = Exec {
            program: Program::Agent,
            args: vec!["launch".to_owned(), "µ\n\"".to_owned()],
            env: vec![("A".to_owned(), "b".to_owned())],
            stdin: (0..=255).collect(),
            result: Some("out/result.json".into()),
        };
        let files = vec![(PathBuf::from("a/b.c"), vec![0xff, 0, 10]), ("empty".into(), Vec::new())];
        Job {
            gpu: Gpu("B200".to_owned()),
            stages: vec![Stage { role: Role::Candidate, files, build: vec![exec.clone()] }],
            blocks: vec![Block { role: Role::Candidate, exec }],
            turn_calls: None,
            first_pair: 7,
            timeout: Duration::new(7, 13),
        }
    }

    fn line() -> Vec<u8> {
        serde_json::to_vec(&Orders::new(&job(), SandboxChoice::Required, Same::Version)).unwrap()
    }

    #[test]
    fn a_job_arrives_as_it_was_sent() {
        let line = line();
        assert!(!line.contains(&b'\n'), "it is one line");
        let orders = Orders::read(&line).unwrap();
        assert_eq!((orders.job, orders.sandbox, orders.same), (job(), SandboxChoice::Required, Same::Version));
    }

    #[test]
    fn what_a_process_did_arrives_as_it_was() {
        let ran = Ran {
            role: Role::Incumbent,
            part: Part::Block(3),
            command: "x".to_owned(),
            exit: Exit::Signal(9),
            stdout: "a\u{fffd}\0".to_owned(),
            stderr: String::new(),
            result: Some(vec![0, 255, b'\n']),
            elapsed: Duration::from_nanos(1_234_567_891),
        };
        for result in [ran.result.clone(), Some(Vec::new()), None] {
            let ran = Ran { result, ..ran.clone() };
            let line = serde_json::to_string(&Answer::Ran(Box::new(ran.clone()))).unwrap();
            let Answer::Ran(arrived) = serde_json::from_str(&line).unwrap() else { panic!("another line") };
            assert_eq!(*arrived, ran);
        }
    }

    #[test]
    fn orders_of_another_version_are_refused_before_they_are_understood() {
        let mut value: Value = serde_json::from_slice(&line()).unwrap();
        value["program"] = "afterhours 99.0.0".into();
        value["news"] = true.into();
        let error = Orders::read(&serde_json::to_vec(&value).unwrap()).unwrap_err();
        assert!(error.contains("afterhours 99.0.0 asks") && error.contains("one version"), "{error}");
    }

    #[test]
    fn orders_that_are_torn_or_say_more_are_refused() {
        let whole = line();
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            assert!(Orders::read(&whole[..cut]).unwrap_err().contains("torn"));
        }
        let mut value: Value = serde_json::from_slice(&whole).unwrap();
        value["job"]["also"] = 1.into();
        assert!(Orders::read(value.to_string().as_bytes()).unwrap_err().contains("also"));
    }
}
