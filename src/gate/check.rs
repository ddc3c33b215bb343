//! The near side: which compiler looks at a text, and what follows from what it says.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::log::{excerpt, resources};
use super::nvrtc;
use crate::harness::arch;
use crate::harness::nvrtc::Nvrtc;
use crate::harness::{self, Exec, Exit, Job, Program, Ran, Role, Stage};
use crate::mission::SandboxChoice;
use crate::protocol::Gpu;
use crate::runner::{Local, Runner, RunnerError};
use crate::sandbox::Protections;

/// Longer than any single kernel takes to compile.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Characters of a reason that are shown.
const MAX_REASON: usize = 300;

/// Compiles a Python text and runs nothing of it.
const PYTHON: &str = "\
import sys, traceback
try:
    with open(sys.argv[1], 'rb') as file:
        compile(file.read(), sys.argv[1], 'exec', dont_inherit=True)
except (SyntaxError, ValueError) as error:
    sys.exit(''.join(traceback.format_exception_only(type(error), error)))
except Exception as error:
    print(repr(error), file=sys.stderr)
    sys.exit(74)
";

/// What a compiler says of a text.
#[derive(Debug)]
pub enum Checked {
    /// It compiles: what the compiler tells of its registers and spills, empty where it tells nothing.
    Passed(String),
    /// It does not compile.
    Rejected {
        /// What is wrong with it.
        errors: String,
        /// The process that found that.
        ran: Ran,
        /// What kept that process from everything else.
        protections: Option<Protections>,
    },
    /// Nobody could look at it, for this reason; empty for texts that no compiler here knows.
    Aside(String),
}

/// Looks at texts before a device is occupied for them.
pub struct Gate {
    compiler: Compiler,
    agent: PathBuf,
    sandbox: SandboxChoice,
    /// The kernel as found: where this is rejected too, the compiler is not the one it is written for.
    reference: Option<Vec<u8>>,
    fits: OnceCell<bool>,
}

enum Compiler {
    /// For a processor, whose harness compiles by itself, and for names that tell no language.
    None,
    /// None here can look, for this reason.
    Missing(String),
    Python,
    Nvrtc {
        arch: &'static str,
        nvrtc: Nvrtc,
    },
}

impl Gate {
    /// Returns the gate for the kernel in the file `kernel`. Compilers are started through `agent`, the agent binary, and confined
    /// as far as this system can.
    pub fn new(agent: PathBuf, kernel: &Path, gpu: &Gpu) -> Self {
        let compiler = Compiler::of(kernel, gpu);
        Self { compiler, agent, sandbox: SandboxChoice::default(), reference: None, fits: OnceCell::new() }
    }

    /// Returns the gate that knows the kernel's text before any change.
    #[must_use]
    pub fn with_reference(self, text: Option<Vec<u8>>) -> Self {
        Self { reference: text, fits: OnceCell::new(), ..self }
    }

    /// Returns the gate beside a harness whose own build alone can judge a text, for this reason: it then says so, and no more.
    #[must_use]
    pub fn beside(self, builds: Option<&str>) -> Self {
        match builds {
            Some(reason) => Self { compiler: Compiler::Missing(reason.to_owned()), ..self },
            None => self,
        }
    }

    /// Returns the gate with its compilers confined as the mission has it.
    ///
    /// # Errors
    /// Where the mission requires what this system lacks, and the gate has a compiler to start.
    pub fn confined(self, sandbox: SandboxChoice) -> Result<Self, RunnerError> {
        let gate = Self { sandbox, ..self };
        match gate.compiler {
            Compiler::None | Compiler::Missing(_) => {}
            Compiler::Python | Compiler::Nvrtc { .. } => drop(gate.runner(Path::new(""))?),
        }
        Ok(gate)
    }

    /// Has the compiler look at `text`.
    pub async fn check(&self, text: &[u8]) -> Checked {
        match self.look(text).await {
            Checked::Rejected { errors, .. } if !self.fits().await => Checked::Aside(format!(
                "the kernel as found does not compile by itself either, so this says nothing: {errors}"
            )),
            checked => checked,
        }
    }

    /// Tells whether the kernel as found passes; without one, what Python rejects is wrong all the same.
    async fn fits(&self) -> bool {
        if let Some(fits) = self.fits.get() {
            return *fits;
        }
        let fits = match &self.reference {
            Some(reference) => matches!(self.look(reference).await, Checked::Passed(_)),
            None => matches!(self.compiler, Compiler::Python),
        };
        *self.fits.get_or_init(|| fits)
    }

    async fn look(&self, text: &[u8]) -> Checked {
        let (file, exec) = match self.compiler.exec() {
            Ok(found) => found,
            Err(reason) => return Checked::Aside(reason),
        };
        let room = match tempfile::tempdir() {
            Ok(room) => room,
            Err(error) => return Checked::Aside(format!("no folder for the compiler: {error}")),
        };
        let runner = match self.runner(room.path()) {
            Ok(runner) => runner,
            Err(error) => return Checked::Aside(error.to_string()),
        };
        let job = Job {
            turn_calls: None,
            first_pair: 0,
            gpu: Gpu("cpu".to_owned()),
            stages: vec![Stage { role: Role::Candidate, files: vec![(file.into(), text.to_vec())], build: vec![exec] }],
            blocks: Vec::new(),
            timeout: TIMEOUT,
        };
        match runner.run(&job, &mut |_| {}).await.map(|output| output.ran.into_iter().next()) {
            Ok(Some(ran)) => verdict(ran, runner.protections()),
            Ok(None) => Checked::Aside("the compiler was not started".to_owned()),
            Err(error) => Checked::Aside(error.to_string()),
        }
    }

    /// Returns what starts the compiler: the runner of builds, which with its locks in this `room` waits for no device.
    fn runner(&self, room: &Path) -> Result<Local, RunnerError> {
        let local = Local::new(self.agent.clone(), room.join("stage")).with_locks_in(room.to_owned());
        local.confined(self.sandbox)
    }
}

fn verdict(ran: Ran, protections: Option<Protections>) -> Checked {
    let errors = match ran.exit {
        Exit::Code(0) => return Checked::Passed(resources(&ran.stdout)),
        Exit::Code(code) if code == i32::from(nvrtc::REJECTED) => excerpt(&ran.stderr),
        Exit::Code(_) => return Checked::Aside(excerpt(&ran.stderr).chars().take(MAX_REASON).collect()),
        Exit::Signal(signal) => format!("the compiler crashed at it, by signal {signal}"),
        Exit::TimedOut => format!("still compiling after {} s", TIMEOUT.as_secs()),
    };
    Checked::Rejected { errors, ran, protections }
}

impl Compiler {
    fn of(kernel: &Path, gpu: &Gpu) -> Self {
        match kernel.extension().and_then(OsStr::to_str) {
            Some("py") => Self::Python,
            Some("cu") if !gpu.is_cpu() => match (arch::of(gpu), harness::nvrtc::nvrtc()) {
                (Some(arch), Some(nvrtc)) => Self::Nvrtc { arch, nvrtc },
                (None, _) => Self::Missing(format!("no architecture is known for {gpu}")),
                (_, None) => Self::Missing(
                    "libnvrtc was not found; `pip install nvidia-cuda-nvrtc nvidia-cuda-runtime`, or name its folder in \
                     LD_LIBRARY_PATH"
                        .to_owned(),
                ),
            },
            _ => Self::None,
        }
    }

    /// Returns the name of the text's file, and the process that compiles it; or why there is none.
    fn exec(&self) -> Result<(&'static str, Exec), String> {
        let exec = |program, args, env, stdin| Exec { program, args, env, stdin, result: None };
        match self {
            Self::None => Err(String::new()),
            Self::Missing(reason) => Err(reason.clone()),
            Self::Python => {
                let file = "submission.py";
                let args = ["-I", "-S", "-c", PYTHON, file].map(str::to_owned).into();
                Ok((file, exec(Program::Named("python3".to_owned()), args, Vec::new(), Vec::new())))
            }
            Self::Nvrtc { arch, nvrtc } => {
                let file = "kernel.cu";
                let orders = nvrtc::Orders {
                    file: file.to_owned(),
                    library: nvrtc.library.clone(),
                    arch: (*arch).to_owned(),
                    includes: nvrtc.includes.clone(),
                };
                let stdin = serde_json::to_vec(&orders).map_err(|error| error.to_string())?;
                // NVRTC finds its own parts beside it, and whoever confines the process what it has to read.
                let folder = |path: &Path| path.display().to_string();
                let libraries = nvrtc.library.parent().map(folder).unwrap_or_default();
                let includes: Vec<String> = nvrtc.includes.iter().map(|path| folder(path)).collect();
                let env = vec![("LD_LIBRARY_PATH".to_owned(), libraries), ("CPATH".to_owned(), includes.join(":"))];
                Ok((file, exec(Program::Agent, vec!["compile".to_owned()], env, stdin)))
            }
        }
    }
}
