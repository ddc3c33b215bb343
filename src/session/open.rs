//! The beginning of a session: a new run, or one that goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::driver::{Session, now};
use super::error::SessionError;
use super::ground::{load_mission, with_root};
use super::parts::{Opening, Parts};
use super::wish::StopFlag;
use crate::harness;
use crate::journal::Snapshots;
use crate::mission::{self, Mission, ModelChoice, RunnerChoice};
use crate::model::{Model, Replay, Tuner};
use crate::protocol::{Gpu, RunId};
use crate::report::Observer;
use crate::runner::{Local, Runner};
use crate::workspace::Workspace;

/// Makes the one who watches a run, for the run's folder.
pub type MakeObserver = Box<dyn FnOnce(&Path) -> Box<dyn Observer>>;

/// What the command line decides about a session.
pub struct Options {
    /// The `agent` binary, which supervises the harness's processes.
    pub agent: PathBuf,
    /// The variables of the mission's text.
    pub vars: BTreeMap<String, String>,
    /// Instead of the mission's model.
    pub model: Option<ModelChoice>,
    /// Instead of the mission's runner.
    pub runner: Option<RunnerChoice>,
    /// Instead of the mission's number.
    pub max_iterations: Option<u32>,
    /// Instead of a name made from kernel and time.
    pub run_id: Option<RunId>,
    /// Who watches.
    pub observer: MakeObserver,
    /// The user's wish to stop.
    pub stop: StopFlag,
}

impl Session {
    /// Begins a new run of the mission in the file `mission_file`, in the repository around the folder `cwd`.
    ///
    /// # Errors
    /// Where mission, kernel, repository, harness, runner or model do not allow a run; nothing is left behind.
    pub fn start(cwd: &Path, mission_file: &Path, options: Options) -> Result<Self, SessionError> {
        let (root, mut mission) = load_mission(cwd, mission_file, &options.vars)?;
        apply(&mut mission, &options);
        let workspace = Workspace::open(&root, &mission.kernel)?;
        let artifacts = workspace.repo_root().join("artifacts");
        let opening = Opening {
            run_id: match &options.run_id {
                Some(run_id) => run_id.clone(),
                None => free_run_id(&artifacts, workspace.kernel_path()),
            },
            mission_file: mission_file.to_owned(),
            vars: options.vars.clone(),
        };
        let folder = artifacts.join(opening.run_id.as_str());
        Self::begin(opening, parts(mission, workspace, &folder, options)?)
    }

    /// Goes on with the run in `folder`, exactly where its journal ends.
    ///
    /// # Errors
    /// Where another process holds the run, the journal is damaged or newer than this program, or the world has changed so
    /// that the run cannot go on.
    pub fn resume(folder: &Path, options: Options) -> Result<Self, SessionError> {
        Self::go_on(folder, options.max_iterations, |state| {
            let run = &state.run;
            let root = PathBuf::from(&run.repo_root);
            let text = Snapshots::new(folder).get(run.mission_hash)?;
            let text = String::from_utf8_lossy(&text);
            let mut mission = mission::parse(Path::new(&run.mission), &text, &with_root(&run.vars, &root))?;
            mission.model = run.model.parse().unwrap_or(mission.model);
            mission.runner = run.runner.parse().unwrap_or(mission.runner);
            apply(&mut mission, &options);
            let workspace = Workspace::open(&root, Path::new(&run.kernel))?;
            parts(mission, workspace, folder, options)
        })
    }
}

/// Opens what the mission names.
fn parts(mission: Mission, workspace: Workspace, folder: &Path, options: Options) -> Result<Parts, SessionError> {
    let (root, gpu) = (workspace.repo_root(), &mission.terms.gpu);
    let harness = harness::open(&root.join(&mission.harness))?;
    harness.supports(gpu)?;
    Ok(Parts {
        agent: Some(options.agent.clone()),
        harness,
        runner: open_runner(mission.runner, &options.agent, folder, gpu)?,
        model: open_model(&mission.model, root)?,
        observer: (options.observer)(folder),
        stop: options.stop,
        workspace,
        mission,
    })
}

fn apply(mission: &mut Mission, options: &Options) {
    if let Some(model) = &options.model {
        mission.model = model.clone();
    }
    if let Some(runner) = options.runner {
        mission.runner = runner;
    }
    if let Some(iterations) = options.max_iterations {
        mission.terms.budget.iterations = Some(iterations);
    }
}

/// Makes a name from the kernel's and the time; a number keeps two runs of one second apart.
fn free_run_id(artifacts: &Path, kernel: &Path) -> RunId {
    let stem = kernel.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let folder = kernel.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let subject = match folder {
        Some(folder) if stem == "kernel" || stem == "submission" => folder,
        _ => stem,
    };
    let subject: String = subject.chars().filter(|c| c.is_ascii_alphanumeric()).take(24).collect();
    let subject = if subject.is_empty() { "run".to_owned() } else { subject };
    let stamp = now().strftime("%Y%m%d-%H%M%S").to_string();
    let names = std::iter::once(format!("{subject}-{stamp}"))
        .chain((2_u32..).map(|number| format!("{subject}-{stamp}-{number}")));
    names
        .filter_map(|name| name.parse::<RunId>().ok())
        .find(|name| !artifacts.join(name.as_str()).exists())
        .unwrap_or_default()
}

fn open_runner(choice: RunnerChoice, agent: &Path, folder: &Path, gpu: &Gpu) -> Result<Box<dyn Runner>, SessionError> {
    match choice {
        // The result proves which device it is; without any driver the night need not begin.
        RunnerChoice::Local if !gpu.is_cpu() && !Path::new("/dev/nvidiactl").exists() => {
            Err(SessionError::MissingDevice { gpu: gpu.clone() })
        }
        RunnerChoice::Local => Ok(Box::new(Local::new(agent.to_path_buf(), folder.join("stage")))),
        RunnerChoice::Slurm | RunnerChoice::Modal => Err(SessionError::Unsupported(format!(
            "the runner {choice} is not part of this program yet; use `runner: local`"
        ))),
    }
}

fn open_model(choice: &ModelChoice, root: &Path) -> Result<Box<dyn Model>, SessionError> {
    match choice {
        ModelChoice::Tuner => Ok(Box::new(Tuner::new())),
        ModelChoice::Detailed(_) if choice.to_string() == "tuner" => Ok(Box::new(Tuner::new())),
        ModelChoice::Replay(path) => Ok(Box::new(Replay::open(&root.join(path))?)),
        other => Err(SessionError::Unsupported(format!(
            "the model {other} is not part of this program yet; use `model: tuner`, or `replay:` with a recording"
        ))),
    }
}
