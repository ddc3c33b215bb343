//! The native harness: the job that builds and times a kernel in C or CUDA, and what its processes say.

use std::path::{Path, PathBuf};

use super::cuda::build;
use super::problem::Problem;
use super::source::{Side, device_prototype, prototype, shim};
use super::spec::{Secrets, Spec, Target};
use super::turns::TURN_CALLS;
use super::worker::{self, Beside};
use crate::harness::build_log::excerpt;
use crate::harness::open::{bad, is_in_path, read};
use crate::harness::result::{ResultObject, blame, ended_by_itself, no_result, with_stderr};
use crate::harness::{
    BlockResult, Exec, Exit, Failure, Harness, HarnessError, Job, Part, Program, Ran, Request, Role, Stage, duel,
};
use crate::protocol::{ContentHash, Gpu, KernelFailure};

const SPEC: &str = "spec.json";
const RESULT: &str = "result.json";
const REFERENCE_SOURCE: &str = "reference.c";

/// A `harness.toml` with its reference. Both texts are kept: a run measures with what it began with.
pub(in crate::harness) struct Native {
    path: PathBuf,
    text: Vec<u8>,
    reference_path: PathBuf,
    reference: Vec<u8>,
    problem: Problem,
    /// Known to this value and its workers alone: a result without it was not written by a worker.
    nonce: String,
}

impl Native {
    /// Reads the harness at the absolute path `path`, and its reference.
    pub(in crate::harness) fn open(path: &Path) -> Result<Self, HarnessError> {
        let text = read(path)?;
        let problem = Problem::parse(path, &text)?;
        let reference_path = path.with_file_name(&problem.reference);
        let reference =
            read(&reference_path).map_err(|error| bad(path, format!("reference {:?}: {error}", problem.reference)))?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|error| bad(path, format!("no random numbers from the system: {error}")))?;
        let nonce = u128::from_ne_bytes(nonce).to_string();
        Ok(Self { path: path.to_owned(), text, reference_path, reference, problem, nonce })
    }

    fn stage(&self, request: &Request<'_>, role: Role, kernel: &[u8]) -> Result<Stage, HarnessError> {
        let target = if request.gpu.is_cpu() { Target::Host } else { Target::Cuda };
        let spec = Spec {
            harness: self.problem.name.clone(),
            target,
            entry: self.problem.entry.clone(),
            tolerance: self.problem.tolerance,
            imports: self.problem.compile.imports.clone(),
            stage_repeats: duel::stage_repeats(request),
            early_stop_us: request.effort.early_stop_us,
            turn_calls: turn_calls(request),
            cases: self.problem.cases.clone(),
        };
        let spec = serde_json::to_vec(&spec).map_err(|error| bad(&self.path, error.to_string()))?;
        let generated = |text: fn(&Problem, Side) -> String, side| text(&self.problem, side).into_bytes();
        let mut files = vec![
            ("reference_problem.h", generated(prototype, Side::Reference)),
            (REFERENCE_SOURCE, self.reference.clone()),
            ("reference_shim.c", generated(shim, Side::Reference)),
            (SPEC, spec),
        ];
        let optimise = ["-O2".to_owned()];
        let reference = [REFERENCE_SOURCE, "reference_shim.c"];
        let mut build = vec![self.compile(&optimise, "reference_problem.h", reference, worker::REFERENCE)];
        match target {
            Target::Host => {
                files.extend([
                    ("problem.h", generated(prototype, Side::Kernel)),
                    ("kernel.c", kernel.to_vec()),
                    ("shim.c", generated(shim, Side::Kernel)),
                ]);
                let flags = &self.problem.compile.flags;
                build.push(self.compile(flags, "problem.h", ["kernel.c", "shim.c"], worker::KERNEL));
            }
            Target::Cuda => {
                let prototype = device_prototype(&self.problem).into_bytes();
                files.extend([(build::PROTOTYPE, prototype), (build::TEXT, kernel.to_vec())]);
                build.push(own("build", Vec::new(), None));
            }
        }
        Ok(Stage { role, files: files.into_iter().map(|(name, content)| (name.into(), content)).collect(), build })
    }

    fn compile(&self, flags: &[String], header: &str, sources: [&str; 2], library: &str) -> Exec {
        let [text, shim] = sources;
        // Symbols that nobody defines are an error now, and not a crash in the middle of a block.
        let rest = ["-fPIC", "-shared", "-include", header, text, shim, "-o", library, "-lm", "-Wl,-z,defs"];
        Exec {
            program: Program::Named(self.problem.compile.cc.clone()),
            args: flags.iter().cloned().chain(rest.map(str::to_owned)).collect(),
            env: Vec::new(),
            stdin: Vec::new(),
            result: None,
        }
    }

    fn block(&self, seed: u64) -> Result<Exec, HarnessError> {
        let secrets = Secrets { seed, nonce: self.nonce.clone() };
        let mut secrets = serde_json::to_vec(&secrets).map_err(|error| bad(&self.path, error.to_string()))?;
        secrets.push(b'\n');
        Ok(own("worker", secrets, Some(PathBuf::from(RESULT))))
    }

    fn read_block(&self, ran: &Ran) -> Result<BlockResult, Failure> {
        let code = ended_by_itself(ran)?;
        if code == i32::from(worker::UNABLE) {
            return Err(no_result(with_stderr("the worker could not measure", ran)));
        }
        let crash = |message: &str| blame(ran.role, KernelFailure::Crash, with_stderr(message, ran));
        if code == i32::from(worker::NOT_LAUNCHED) {
            return Err(blame(ran.role, KernelFailure::Compile, with_stderr("the kernel cannot be launched", ran)));
        }
        if code == i32::from(worker::CRASHED) {
            return Err(crash("the kernel crashed"));
        }
        let Some(bytes) = &ran.result else {
            return Err(crash(&format!("the kernel ended the process before a result, with exit code {code}")));
        };
        let object = ResultObject::parse(bytes).map_err(no_result)?;
        if object.nonce.as_deref() != Some(self.nonce.as_str()) {
            return Err(crash("the result was not written by the worker, but from within the kernel's code"));
        }
        let mut result = object.judge(ran.role)?;
        if code != 0 {
            return Err(crash(&format!("the process ended with exit code {code} after its result")));
        }
        let expected = self.problem.cases.iter().map(|case| &case.id);
        if !expected.eq(result.cases.iter().map(|case| &case.id)) {
            return Err(no_result("the result's cases are not the harness's"));
        }
        let beside: Beside = serde_json::from_slice(bytes).map_err(|error| no_result(error.to_string()))?;
        result.conditions = beside.conditions;
        Ok(result)
    }
}

/// Returns the process of this program's own that works by the stage's spec.
fn own(command: &str, stdin: Vec<u8>, result: Option<PathBuf>) -> Exec {
    let args = vec![command.to_owned(), SPEC.to_owned()];
    Exec { program: Program::Agent, args, env: Vec::new(), stdin, result }
}

/// Two blocks on the processor take turns; a device runs one after the other.
fn turn_calls(request: &Request<'_>) -> Option<usize> {
    request.gpu.is_cpu().then_some(TURN_CALLS)
}

/// A reference that does not build is the harness's fault, never the kernel's.
fn read_build(ran: &Ran) -> Result<(), Failure> {
    if ran.exit.is_success() {
        return Ok(());
    }
    let log = excerpt(&ran.stderr);
    if ran.command.contains(REFERENCE_SOURCE) {
        return Err(no_result(format!("the harness's reference does not compile:\n{log}")));
    }
    Err(match ran.exit {
        Exit::Code(code) if code == i32::from(worker::UNABLE) => {
            no_result(with_stderr("the kernel could not be compiled, through no fault of its own", ran))
        }
        Exit::Code(_) => blame(ran.role, KernelFailure::Compile, log),
        Exit::Signal(_) => blame(ran.role, KernelFailure::Compile, format!("the compiler crashed\n{log}")),
        Exit::TimedOut => {
            blame(ran.role, KernelFailure::Timeout, "still compiling when the measurement's time was over")
        }
    })
}

impl Harness for Native {
    fn name(&self) -> &str {
        &self.problem.name
    }

    fn hash(&self) -> ContentHash {
        let parts = [ContentHash::of(&self.text), ContentHash::of(&self.reference)];
        ContentHash::of(parts.map(|part| part.to_string()).concat().as_bytes())
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone(), self.reference_path.clone()]
    }

    fn supports(&self, kernel: &Path, gpu: &Gpu) -> Result<(), HarnessError> {
        let is_cuda = kernel.extension().is_some_and(|extension| extension == "cu");
        let kernel = kernel.file_name().unwrap_or_default().display();
        match (is_cuda, gpu.is_cpu()) {
            (true, true) => {
                return Err(bad(
                    &self.path,
                    format!(
                        "{kernel} is CUDA and cannot be measured on the processor; name a device in gpu, or a kernel in C"
                    ),
                ));
            }
            (false, false) => {
                return Err(bad(
                    &self.path,
                    format!(
                        "{kernel} is C for the host's processor and cannot be measured on {gpu}; set gpu: cpu in the \
                         mission, or name a kernel in CUDA, *.cu"
                    ),
                ));
            }
            (true, false) | (false, true) => {}
        }
        if is_in_path(&self.problem.compile.cc) {
            return Ok(());
        }
        Err(HarnessError::MissingProgram {
            path: self.path.clone(),
            program: self.problem.compile.cc.clone(),
            remedy: "install a C compiler (Debian: apt-get install gcc libc6-dev), or name another in compile.cc"
                .to_owned(),
        })
    }

    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError> {
        let job = duel::job(request, |role, kernel| self.stage(request, role, kernel), |_, seed| self.block(seed))?;
        Ok(Job { turn_calls: turn_calls(request), ..job })
    }

    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure> {
        match ran.part {
            Part::Build => read_build(ran).map(|()| None),
            Part::Block(_) => self.read_block(ran).map(Some),
        }
    }
}
