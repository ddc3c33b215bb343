//! The harness of a task: which modes of `eval.py` measure a request, and what their reports say.

use std::path::{Path, PathBuf};

use super::cases::{self, Case};
use super::files::Source;
use super::report::{Report, Unsound};
use super::task::Task;
use crate::harness::launch::{Channel, Finding, Launcher, Start};
use crate::harness::open::{self, bad, read};
use crate::harness::result::{blame, no_result, with_stderr};
use crate::harness::{
    BlockResult, CaseResult, Exec, Failure, Harness, HarnessError, Job, Part, Ran, Request, Role, Stage, duel,
};
use crate::protocol::{ContentHash, Gpu, KernelFailure, Profile};
use crate::stats::Ranking;

/// The exit codes of `eval.py` beside 0.
const CASE_FAILED: i32 = 112;
const BAD_CASES: i32 = 113;
const NO_DESCRIPTOR: i32 = 111;

/// The files with the cases, beside the task's own.
const TESTS: &str = "afterhours-tests.txt";
const BENCHMARKS: &str = "afterhours-benchmarks.txt";
const FIRST: &str = "afterhours-first.txt";

/// One way to start `eval.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// All tests.
    Test,
    /// The first benchmark alone: a smoke test's look at the time.
    First,
    /// All benchmarks.
    Benchmark,
    /// All benchmarks, each call on new inputs and checked.
    Leaderboard,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Test, Self::First, Self::Benchmark, Self::Leaderboard];

    fn args(self) -> [String; 2] {
        [self.word().to_owned(), self.cases_file().to_owned()]
    }

    fn word(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::First | Self::Benchmark => "benchmark",
            Self::Leaderboard => "leaderboard",
        }
    }

    fn cases_file(self) -> &'static str {
        match self {
            Self::Test => TESTS,
            Self::First => FIRST,
            Self::Benchmark | Self::Leaderboard => BENCHMARKS,
        }
    }

    /// Returns the mode that these arguments of `eval.py` asked for.
    fn of(args: &[String]) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| args.ends_with(&mode.args()))
    }
}

/// A `task.yml` with its files. All texts are kept: a run measures with what it began with.
pub(in crate::harness) struct GpuMode {
    path: PathBuf,
    name: String,
    text: Vec<u8>,
    task: Task,
    launcher: Launcher,
}

impl GpuMode {
    /// Reads the task at the absolute path `path`, and its files.
    pub(in crate::harness) fn open(path: &Path) -> Result<Self, HarnessError> {
        let text = read(path)?;
        let task = Task::parse(path, &text)?;
        if let Some(taken) =
            task.files.iter().find(|file| [TESTS, BENCHMARKS, FIRST].map(Path::new).contains(&file.name.as_path()))
        {
            return Err(bad(path, format!("files: the name {:?} is taken; choose another", taken.name.display())));
        }
        let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let launcher = Launcher::new().map_err(|message| bad(path, message))?;
        Ok(Self { path: path.to_owned(), name: folder.unwrap_or(open::file_name(path)?), text, task, launcher })
    }

    /// Returns the files of a block's folder with `kernel` among them.
    fn staged(&self, kernel: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
        let own = self.task.files.iter().map(|file| {
            let content = match &file.source {
                Source::Submission => kernel,
                Source::File { text, .. } => text,
            };
            (file.name.clone(), content.to_vec())
        });
        let first = self.task.benchmarks.get(..1).unwrap_or_default();
        let lists = [(TESTS, self.task.tests.as_slice()), (BENCHMARKS, &self.task.benchmarks), (FIRST, first)];
        own.chain(lists.map(|(name, cases)| (PathBuf::from(name), cases::file(cases)))).collect()
    }

    fn cases(&self, mode: Mode) -> &[Case] {
        match mode {
            Mode::Test => &self.task.tests,
            Mode::First => self.task.benchmarks.get(..1).unwrap_or_default(),
            Mode::Benchmark | Mode::Leaderboard => &self.task.benchmarks,
        }
    }

    fn exec(&self, request: &Request<'_>, role: Role, mode: Mode, seed: u64) -> Result<Exec, HarnessError> {
        let timeouts = self.task.timeouts;
        let env = [
            // It is combined with each case's own seed into larger numbers, which must still fit a generator's.
            ("POPCORN_SEED", (seed & 0x7fff_ffff).to_string()),
            // What a kernel leaves in its home, where Python looks for modules of the user's, is not to run in a later block.
            ("PYTHONNOUSERSITE", "1".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        let start = Start {
            gpu: request.gpu,
            files: &self.staged(request.text(role)),
            program: "python3",
            args: std::iter::once(self.task.main.clone()).chain(mode.args()).collect(),
            env: env.map(|(key, value)| (key.to_owned(), value)).into(),
            channel: Channel::Descriptor("POPCORN_FD".to_owned()),
            timeout_seconds: Some(match mode {
                Mode::Test => timeouts.test,
                Mode::First | Mode::Benchmark => timeouts.benchmark,
                Mode::Leaderboard => timeouts.ranked,
            }),
        };
        self.launcher.exec(start).map_err(|error| bad(&self.path, error.to_string()))
    }

    fn stage(&self, request: &Request<'_>, role: Role, kernel: &[u8]) -> Result<Stage, HarnessError> {
        let mut stage = Launcher::stage(role, &self.staged(kernel));
        if request.profile == Profile::Smoke.as_str() {
            stage.build.push(self.exec(request, role, Mode::Test, request.seed)?);
        }
        Ok(stage)
    }

    fn block(&self, ran: &Ran, mode: Mode, finding: Finding, report: &Report) -> Result<BlockResult, Failure> {
        let cases = self.cases(mode);
        let times = report.benchmarks(cases).map_err(|fault| unsound(ran, fault))?;
        let case = |(case, us): (&Case, _)| CaseResult { id: case.0.clone(), time_us: vec![us], mean_us: None };
        let device = finding.device.map_err(no_result)?;
        Ok(BlockResult { device, cases: cases.iter().zip(times).map(case).collect(), conditions: None })
    }
}

impl Harness for GpuMode {
    fn name(&self) -> &str {
        &self.name
    }

    fn hash(&self) -> ContentHash {
        let files = self.task.files.iter().map(|file| match &file.source {
            Source::Submission => String::new(),
            Source::File { text, .. } => ContentHash::of(text).to_string(),
        });
        let parts: String = std::iter::once(ContentHash::of(&self.text).to_string()).chain(files).collect();
        ContentHash::of(parts.as_bytes())
    }

    fn files(&self) -> Vec<PathBuf> {
        let own = self.task.files.iter().filter_map(|file| match &file.source {
            Source::Submission => None,
            Source::File { path, .. } => Some(path.clone()),
        });
        std::iter::once(self.path.clone()).chain(own).collect()
    }

    fn description(&self) -> Option<&str> {
        self.task.description.as_deref()
    }

    fn ranking(&self) -> Ranking {
        self.task.ranking
    }

    /// Any device: the launcher asks the machine for its name.
    fn supports(&self, _kernel: &Path, _gpu: &Gpu) -> Result<(), HarnessError> {
        Ok(())
    }

    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError> {
        let mode = match request.profile.parse() {
            Ok(Profile::Smoke) => Mode::First,
            Ok(Profile::Final) => Mode::Leaderboard,
            Ok(Profile::Candidate) | Err(_) => Mode::Benchmark,
        };
        duel::job(
            request,
            |role, kernel| self.stage(request, role, kernel),
            |role, seed| self.exec(request, role, mode, seed),
        )
    }

    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure> {
        let finding = self.launcher.read(ran)?;
        let report = Report::parse(&finding.report);
        if let Some(message) = report.failure() {
            return Err(blame(ran.role, KernelFailure::WrongAnswer, message));
        }
        if finding.code != 0 {
            return Err(exit_failure(ran, &self.task.main, finding.code));
        }
        match (ran.part, Mode::of(&finding.args)) {
            (Part::Build, Some(Mode::Test)) => {
                report.tests(&self.task.tests).map_err(|fault| unsound(ran, fault))?;
                Ok(None)
            }
            (Part::Block(_), Some(mode @ (Mode::First | Mode::Benchmark | Mode::Leaderboard))) => {
                self.block(ran, mode, finding, &report).map(Some)
            }
            _ => Err(no_result("the answer is that of another process")),
        }
    }
}

fn unsound(ran: &Ran, Unsound(message): Unsound) -> Failure {
    no_result(with_stderr(format!("the report is not to be believed: {message}"), ran))
}

fn exit_failure(ran: &Ran, main: &str, code: i32) -> Failure {
    match code {
        CASE_FAILED => {
            blame(ran.role, KernelFailure::WrongAnswer, with_stderr(format!("{main} says that a case failed"), ran))
        }
        BAD_CASES => no_result(with_stderr(format!("{main} cannot read the cases of the task"), ran)),
        NO_DESCRIPTOR => no_result(with_stderr(format!("{main} found no descriptor to report to"), ran)),
        code => blame(ran.role, KernelFailure::Crash, with_stderr(format!("{main} ended with exit code {code}"), ran)),
    }
}
