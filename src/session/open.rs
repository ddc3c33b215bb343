//! The beginning of a session: a new run, or one that goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::driver::{Session, now};
use super::error::SessionError;
use super::find::{fold_run, recording_path};
use super::ground::{load_mission, recorded_mission};
use super::parts::{Opening, Parts};
use super::wish::StopFlag;
use crate::gate::Gate;
use crate::harness;
use crate::mission::{Mission, ModelChoice, RunnerChoice};
use crate::model::{
    Ledgered, Limits, Model, OpenAi, OpenAiError, Recording, Replay, Settings, Surroundings, Tuner, with_tuner,
};
use crate::protocol::{Patience, Phase, RunId, Tool};
use crate::report::Observer;
use crate::runner::{Local, Modal, Presence, Runner, RunnerError, Slurm};
use crate::tools;
use crate::workspace::Workspace;

/// The waits between the first questions to an endpoint that does not answer: somebody sits before the screen.
const PROBING: Patience = Patience { base_ms: 500, cap_ms: 4000 };

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

impl Options {
    /// Opens the mission in the file `mission_file`, and the place of its kernel in the repository around `cwd`.
    fn open(&self, cwd: &Path, mission_file: &Path) -> Result<(Mission, Workspace), SessionError> {
        let (root, mut mission) = load_mission(cwd, mission_file, &self.vars)?;
        self.apply(&mut mission);
        let workspace = Workspace::open(&root, &mission.kernel)?;
        Ok((mission, workspace))
    }

    /// Lays what the command line decides over the mission.
    fn apply(&self, mission: &mut Mission) {
        if let Some(model) = &self.model {
            mission.model = model.clone();
        }
        if let Some(runner) = self.runner {
            mission.runner = runner;
        }
        if let Some(iterations) = self.max_iterations {
            mission.terms.budget.iterations = Some(iterations);
        }
    }
}

impl Session {
    /// Begins a new run of the mission in the file `mission_file`, in the repository around the folder `cwd`.
    ///
    /// # Errors
    /// Where mission, kernel, repository, harness, runner or model do not allow a run; nothing is left behind.
    pub fn start(cwd: &Path, mission_file: &Path, options: Options) -> Result<Self, SessionError> {
        let (mission, workspace) = options.open(cwd, mission_file)?;
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
        Self::begin(opening, parts(mission, workspace, &folder, options, Asking::First)?)
    }

    /// Opens everything that a run of the mission would need, and begins none. Returns the mission, and what kept a run from
    /// beginning.
    ///
    /// # Errors
    /// Where the mission cannot be read, or its kernel has no place in a repository.
    pub fn rehearse(
        cwd: &Path,
        mission_file: &Path,
        options: Options,
    ) -> Result<(Mission, Result<(), SessionError>), SessionError> {
        let (mission, workspace) = options.open(cwd, mission_file)?;
        let folder = workspace.repo_root().join("artifacts");
        let opened = parts(mission.clone(), workspace, &folder, options, Asking::First);
        Ok((mission, opened.map(drop)))
    }

    /// Goes on with the run in `folder`, exactly where its journal ends.
    ///
    /// # Errors
    /// Where another process holds the run, the journal is damaged or newer than this program, or the world has changed so
    /// that the run cannot go on.
    pub fn resume(folder: &Path, options: Options) -> Result<Self, SessionError> {
        Self::go_on(folder, options.max_iterations, |state| {
            let run = &state.run;
            let mut mission = recorded_mission(folder, run)?;
            // The journal holds a model's name alone: a map in the mission's text says more of the same model.
            if mission.model.to_string() != run.model {
                mission.model = run.model.parse().unwrap_or(mission.model);
            }
            mission.runner = run.runner.parse().unwrap_or(mission.runner);
            options.apply(&mut mission);
            let workspace = Workspace::open(Path::new(&run.repo_root), Path::new(&run.kernel))?;
            let parts = parts(mission, workspace, folder, options, Asking::Again)?;
            match parts.runner.deployable().map(|needed| needed.presence) {
                // The run's own deploy is over.
                Some(Presence::Absent(absent)) if state.phase != Phase::Deploy => {
                    Err(RunnerError::Missing(absent).into())
                }
                _ => Ok(parts),
            }
        })
    }
}

/// Whether the model has been asked in this run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// Not yet: what is wrong with its settings is better found now than by night.
    First,
    /// It has: an endpoint that is out of reach for now does not keep the run from going on.
    Again,
}

/// Opens what the mission names.
fn parts(
    mission: Mission,
    workspace: Workspace,
    folder: &Path,
    options: Options,
    asking: Asking,
) -> Result<Parts, SessionError> {
    let (root, gpu) = (workspace.repo_root(), &mission.terms.gpu);
    let harness = harness::open(&root.join(&mission.harness))?;
    harness.supports(workspace.kernel_path(), gpu)?;
    if mission.runner == RunnerChoice::Local {
        harness.equipped()?;
    }
    let gate = Gate::new(options.agent.clone(), workspace.kernel_path(), gpu).beside(harness.builds());
    Ok(Parts {
        gate: Some(gate.confined(mission.sandbox)?),
        harness,
        runner: open_runner(&mission, &options.agent, folder)?,
        model: open_model(&mission, root, asking)?,
        patience: Patience::default(),
        observer: (options.observer)(folder),
        stop: options.stop,
        workspace,
        mission,
    })
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

fn open_runner(mission: &Mission, agent: &Path, folder: &Path) -> Result<Box<dyn Runner>, SessionError> {
    let gpu = &mission.terms.gpu;
    match mission.runner {
        // The result proves which device it is; without any driver the night need not begin.
        RunnerChoice::Local if !gpu.is_cpu() && !Path::new("/dev/nvidiactl").exists() => {
            Err(SessionError::MissingDevice { gpu: gpu.clone() })
        }
        RunnerChoice::Local => {
            let local = Local::new(agent.to_path_buf(), folder.join("stage"));
            Ok(Box::new(local.confined(mission.sandbox)?))
        }
        RunnerChoice::Slurm => {
            let slurm = Slurm::new(agent.to_path_buf(), mission.slurm.clone(), mission.sandbox, folder)?;
            slurm.check(gpu)?;
            Ok(Box::new(slurm))
        }
        RunnerChoice::Modal => Ok(Box::new(Modal::new(agent, mission.sandbox)?.checked()?)),
    }
}

fn open_model(mission: &Mission, root: &Path, asking: Asking) -> Result<Box<dyn Model>, SessionError> {
    let surroundings = Surroundings { variable: &|name| std::env::var(name).ok(), root };
    let provider = |map: &Map<String, Value>| map.get("provider").and_then(Value::as_str).map(str::to_owned);
    match &mission.model {
        ModelChoice::Tuner => Ok(Box::new(Tuner::new())),
        ModelChoice::Replay(path) => open_replay(&recording_path(root, path), mission.tune),
        ModelChoice::OpenAi(name) => open_openai(&Settings::named(name, surroundings)?, mission, asking),
        ModelChoice::Detailed(map) => match provider(map).as_deref() {
            Some("openai") => open_openai(&Settings::read(map, surroundings)?, mission, asking),
            Some("tuner") if map.len() == 1 => Ok(Box::new(Tuner::new())),
            _ => Err(SessionError::Unsupported(format!(
                "a map of settings is for `provider: openai`; write `model: {}` in one word",
                mission.model
            ))),
        },
    }
}

/// Opens a language model; before the first question of a run everything that can be checked of it is.
fn open_openai(settings: &Settings, mission: &Mission, asking: Asking) -> Result<Box<dyn Model>, SessionError> {
    settings.check_budget(&mission.terms.budget)?;
    for told in settings.all().filter_map(Settings::listed_price) {
        tracing::info!("{told}");
    }
    let schemas = Tool::ALL.map(tools::schema).to_vec();
    let limits = Limits::for_context(settings.smallest_context());
    if asking == Asking::First {
        limits.too_long(&mission.prompt).map_or(Ok(()), |problem| Err(OpenAiError::Settings(problem)))?;
        OpenAi::probe(settings, &schemas, PROBING)?;
    }
    Ok(with_tuner(Box::new(OpenAi::open(settings, schemas, Box::new(Ledgered::new(limits)))?), mission.tune))
}

/// Opens a recording. That of a run is held against the requests that today's code would send to the run's model.
fn open_replay(path: &Path, tune: u32) -> Result<Box<dyn Model>, SessionError> {
    let recording = Recording::open(path)?;
    let tune = if recording.has_tuner() { 0 } else { tune };
    let mut replay = Replay::from(recording);
    if path.is_dir() {
        let run = fold_run(path)?.run;
        let window = match recorded_mission(path, &run)?.model {
            ModelChoice::Detailed(map) => smallest_context(&map),
            ModelChoice::Tuner | ModelChoice::OpenAi(_) | ModelChoice::Replay(_) => None,
        };
        replay = replay.with_context(Box::new(move || Box::new(Ledgered::new(Limits::for_context(window)))));
    }
    Ok(with_tuner(Box::new(replay), tune))
}

/// Returns what [`Settings::smallest_context`] does, without the keys that a recording needs no more.
fn smallest_context(map: &Map<String, Value>) -> Option<u64> {
    let fallback = map.get("fallback").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    std::iter::once(map).chain(fallback).filter_map(|model| model.get("context_tokens")?.as_u64()).min()
}
