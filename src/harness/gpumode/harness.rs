//! The harness of a task: which modes of its evaluator measure a request, and what their reports say.

use std::path::{Path, PathBuf};

use super::build::{Build, PROGRAM};
use super::cases::{self, Case};
use super::files::{Source, TaskFile};
use super::lang::Lang;
use super::report::{Report, Unsound};
use super::task::Task;
use crate::harness::build_log::excerpt;
use crate::harness::launch::{Channel, Finding, Launcher, Origin, Start, UNABLE};
use crate::harness::open::{self, bad, is_in_path, read};
use crate::harness::result::{blame, clip, no_result, with_stderr};
use crate::harness::{
    BlockResult, CaseResult, Exec, Exit, Failure, Harness, HarnessError, Job, Part, Ran, Request, Role, Stage, duel,
};
use crate::protocol::{ContentHash, Gpu, KernelFailure, Profile};
use crate::stats::Ranking;

/// The exit codes of an evaluator beside 0.
const CUDA_FAILED: i32 = 110;
const CASE_FAILED: i32 = 112;
const BAD_CASES: i32 = 113;
const NO_DESCRIPTOR: i32 = 111;

/// The files with the cases, beside the task's own.
const TESTS: &str = "afterhours-tests.txt";
const BENCHMARKS: &str = "afterhours-benchmarks.txt";
const FIRST: &str = "afterhours-first.txt";

/// The variable that holds the number of the descriptor for the report.
const DESCRIPTOR: &str = "POPCORN_FD";

/// One way to start the evaluator.
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

    /// Returns the mode that these arguments asked for.
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
        let taken = [TESTS, BENCHMARKS, FIRST, PROGRAM].map(Path::new);
        if let Some(taken) = task.files.iter().find(|file| taken.contains(&file.name.as_path())) {
            return Err(bad(path, format!("files: the name {:?} is taken; choose another", taken.name.display())));
        }
        let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let launcher = Launcher::new().map_err(|message| bad(path, message))?;
        Ok(Self { path: path.to_owned(), name: folder.unwrap_or(open::file_name(path)?), text, task, launcher })
    }

    /// Returns the task's own files, `kernel` among them.
    fn own(&self, kernel: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
        let file = |file: &TaskFile| {
            let content = match &file.source {
                Source::Submission => kernel,
                Source::File { text, .. } => text,
            };
            (file.name.clone(), content.to_vec())
        };
        self.task.files.iter().map(file).collect()
    }

    /// Returns the files with the cases.
    fn lists(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let first = self.task.benchmarks.get(..1).unwrap_or_default();
        let lists = [(TESTS, self.task.tests.as_slice()), (BENCHMARKS, &self.task.benchmarks), (FIRST, first)];
        lists.map(|(name, cases)| (PathBuf::from(name), cases::file(cases))).into()
    }

    /// Returns the name of what reports.
    fn evaluator(&self) -> &str {
        match &self.task.lang {
            Lang::Python { main } => main,
            Lang::Cuda(_) => PROGRAM,
        }
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
        let (program, main, own) = match &self.task.lang {
            Lang::Python { main } => (Origin::Path("python3".to_owned()), Some(main), self.own(request.text(role))),
            // Of the sources, nothing is left for the kernel to read.
            Lang::Cuda(_) => (Origin::Made(PROGRAM.to_owned()), None, Vec::new()),
        };
        self.launch(Start {
            gpu: request.gpu,
            files: &[own, self.lists()].concat(),
            program,
            args: main.cloned().into_iter().chain(mode.args()).collect(),
            env: env.map(|(key, value)| (key.to_owned(), value)).into(),
            channel: Channel::Descriptor(DESCRIPTOR.to_owned()),
            timeout_seconds: Some(match mode {
                Mode::Test => timeouts.test,
                Mode::First | Mode::Benchmark => timeouts.benchmark,
                Mode::Leaderboard => timeouts.ranked,
            }),
            makes: None,
        })
    }

    /// Returns the process that builds the evaluator with the text of `role` in it.
    fn compile(&self, request: &Request<'_>, role: Role, build: &Build) -> Result<Exec, HarnessError> {
        self.launch(Start {
            gpu: request.gpu,
            files: &self.own(request.text(role)),
            program: Origin::Path(self.task.lang.program().0.to_owned()),
            args: build.args(request.gpu),
            env: Vec::new(),
            // A compiler reports nothing, and knows nothing of the descriptor.
            channel: Channel::Descriptor(DESCRIPTOR.to_owned()),
            timeout_seconds: None,
            makes: Some(PROGRAM),
        })
    }

    fn launch(&self, start: Start<'_>) -> Result<Exec, HarnessError> {
        self.launcher.exec(start).map_err(|error| bad(&self.path, error.to_string()))
    }

    fn stage(&self, request: &Request<'_>, role: Role, kernel: &[u8]) -> Result<Stage, HarnessError> {
        let mut stage = Launcher::stage(role, &[self.own(kernel), self.lists()].concat());
        if let Lang::Cuda(build) = &self.task.lang {
            stage.build.push(self.compile(request, role, build)?);
        }
        if request.profile == Profile::Smoke.as_str() {
            stage.build.push(self.exec(request, role, Mode::Test, request.seed)?);
        }
        Ok(stage)
    }

    /// Tells whether the process was the one of [`Self::compile`].
    fn is_compile(&self, ran: &Ran) -> bool {
        matches!(self.task.lang, Lang::Cuda(_))
            && ran.part == Part::Build
            && ran.command.ends_with(&format!("-o {PROGRAM}"))
    }

    /// Reads what the compiler left: what it rejects is the kernel's fault, since the rest of the sources was there before it.
    fn read_compile(&self, ran: &Ran) -> Result<(), Failure> {
        let (compiler, remedy) = self.task.lang.program();
        if ran.exit == Exit::TimedOut {
            let message = "still compiling when the measurement's time was over";
            return Err(blame(ran.role, KernelFailure::Timeout, message));
        }
        if ran.exit == Exit::Code(i32::from(UNABLE)) && ran.result.is_none() {
            let message = format!("{compiler} could not build the task; where it is missing, {remedy}");
            return Err(no_result(with_stderr(message, ran)));
        }
        let code = match self.launcher.read(ran) {
            Ok(finding) => finding.code,
            Err(Failure::Kernel(_, message)) => {
                return Err(Failure::Kernel(KernelFailure::Compile, format!("while it was compiled: {message}")));
            }
            Err(failure) => return Err(failure),
        };
        if code == 0 {
            return Ok(());
        }
        let log = if ran.stderr.trim().is_empty() { &ran.stdout } else { &ran.stderr };
        // So begins what is wrong with its options or its own parts, and no complaint about a text.
        if log.lines().any(|line| line.starts_with(&format!("{compiler} fatal"))) {
            return Err(no_result(clip(log.trim())));
        }
        Err(blame(ran.role, KernelFailure::Compile, clip(&excerpt(log))))
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

    fn builds(&self) -> Option<&str> {
        let reason = "nvcc builds it in the job, together with the task's own files";
        matches!(self.task.lang, Lang::Cuda(_)).then_some(reason)
    }

    /// Any device: the launcher asks the machine for its name.
    fn supports(&self, kernel: &Path, gpu: &Gpu) -> Result<(), HarnessError> {
        let lang = &self.task.lang;
        if !lang.is_of(kernel) {
            let name = kernel.file_name().unwrap_or_default();
            return Err(bad(&self.path, format!("the task takes a kernel in {}, and {name:?} is none", lang.names())));
        }
        if gpu.is_cpu() && matches!(lang, Lang::Cuda(_)) {
            let message = "the task is in CUDA and cannot be measured on the processor; name a device in gpu";
            return Err(bad(&self.path, message));
        }
        Ok(())
    }

    fn equipped(&self) -> Result<(), HarnessError> {
        let (program, remedy) = self.task.lang.program();
        if is_in_path(program) {
            return Ok(());
        }
        Err(HarnessError::MissingProgram {
            path: self.path.clone(),
            program: program.to_owned(),
            remedy: remedy.to_owned(),
        })
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
        if self.is_compile(ran) {
            return self.read_compile(ran).map(|()| None);
        }
        let finding = self.launcher.read(ran)?;
        let report = Report::parse(&finding.report);
        if let Some(message) = report.failure() {
            return Err(blame(ran.role, KernelFailure::WrongAnswer, message));
        }
        if finding.code != 0 {
            return Err(exit_failure(ran, self.evaluator(), finding.code));
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
        CUDA_FAILED => {
            blame(ran.role, KernelFailure::Crash, with_stderr(format!("{main} says that a call of CUDA failed"), ran))
        }
        BAD_CASES => no_result(with_stderr(format!("{main} cannot read the cases of the task"), ran)),
        NO_DESCRIPTOR => no_result(with_stderr(format!("{main} found no descriptor to report to"), ran)),
        code => blame(ran.role, KernelFailure::Crash, with_stderr(format!("{main} ended with exit code {code}"), ran)),
    }
}
