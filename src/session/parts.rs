//! The parts of a session, and how they become one: the seam for whoever brings a model or a runner of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::claim::Claim;
use super::deploy::Plan;
use super::driver::{Session, now};
use super::error::SessionError;
use super::find::fold_into;
use super::queue::{Impatient, WallEnd};
use super::transcript::Transcript;
use super::wish::StopFlag;
use crate::gate::Gate;
use crate::harness::Harness;
use crate::journal::{self, Journal, JournalError, Snapshots, create_folder};
use crate::mission::Mission;
use crate::model::Model;
use crate::protocol::{
    Budget, ContentHash, Event, Forbidden, Patience, RunId, RunStarted, RunState, StopReason, Terms,
};
use crate::report::Observer;
use crate::runner::Runner;
use crate::tools::{Bench, Readable, Yardstick};
use crate::workspace::Workspace;

/// What a session works with. [`Session::start`] and [`Session::resume`] choose the parts by mission and command line.
pub struct Parts {
    /// Whose compiler looks at each text before it is measured; without it, none does.
    pub gate: Option<Gate>,
    /// What to do.
    pub mission: Mission,
    /// The kernel in its repository.
    pub workspace: Workspace,
    /// What measures: the file that the mission names. It is opened anew before each measurement, to see whether it is still
    /// the one that the run began with.
    pub harness: Box<dyn Harness>,
    /// Where measurements run.
    pub runner: Box<dyn Runner>,
    /// Who proposes.
    pub model: Box<dyn Model>,
    /// How long to wait where the model does not answer.
    pub patience: Patience,
    /// Who watches.
    pub observer: Box<dyn Observer>,
    /// The user's wish to stop.
    pub stop: StopFlag,
}

/// What a new run's journal says beside its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The run's name.
    pub run_id: RunId,
    /// The mission's file, as given.
    pub mission_file: PathBuf,
    /// The variables given on the command line.
    pub vars: BTreeMap<String, String>,
}

impl Session {
    /// Begins a new run with these parts, in `artifacts/<run-id>` below the repository's root.
    ///
    /// Everything that can be checked is checked before the run's folder exists.
    ///
    /// # Errors
    /// Where kernel, repository or harness do not allow a run, or the name is taken; nothing is left behind.
    pub fn begin(opening: Opening, parts: Parts) -> Result<Self, SessionError> {
        let Parts { mission, workspace, harness, runner, .. } = &parts;
        harness.supports(workspace.kernel_path(), &mission.terms.gpu)?;
        let baseline = workspace.read_kernel()?;
        let artifacts = workspace.repo_root().join("artifacts");
        let Opening { run_id, mission_file, vars } = opening;
        let folder = artifacts.join(run_id.as_str());
        if never_began(&folder)? {
            std::fs::remove_dir_all(&folder).map_err(SessionError::io("remove", &folder))?;
        }
        if folder.exists() {
            return Err(SessionError::RunExists { name: run_id.to_string(), folder });
        }
        workspace.branch_free(&run_id)?;
        let deploy = Plan::new(workspace.repo_root(), mission.terms.deploy.as_ref(), runner.deployable().as_ref())?;
        let run = RunStarted {
            program: concat!("afterhours ", env!("CARGO_PKG_VERSION")).to_owned(),
            mission: mission_file.display().to_string(),
            mission_hash: ContentHash::of(mission.text.as_bytes()),
            vars,
            terms: Terms { deploy: deploy.as_ref().map(|plan| plan.step.clone()), ..mission.terms.clone() },
            repo_root: workspace.repo_root().display().to_string(),
            kernel: workspace.kernel_relative().to_owned(),
            harness: mission.harness.display().to_string(),
            harness_hash: harness.hash(),
            model: mission.model.to_string(),
            runner: mission.runner.to_string(),
            baseline: ContentHash::of(&baseline),
            base_commit: workspace.git_hash()?,
            branch: format!("agent/{run_id}"),
            seed: match mission.seed {
                Some(seed) => seed,
                None => getrandom::u64().map_err(|error| SessionError::Random(error.to_string()))?,
            },
            deploy_due: deploy.filter(|plan| plan.is_due).map(|plan| plan.watched),
            run_id,
        };
        let claim = Claim::on(workspace.kernel_path())?;
        let started = now();
        let event = Event::RunStarted(Box::new(run));
        let state = RunState::start(started, &event)
            .map_err(|source| SessionError::NoStart { folder: folder.clone(), source })?;
        let texts = [baseline.as_slice(), mission.text.as_bytes()];
        let (journal, line) =
            create_run(&folder, texts, started, &event).inspect_err(|error| forget(&folder, error))?;
        let mut session = Self::assemble(state, journal, claim, folder, parts)?;
        session.observer.event(&session.state.moment(), &event, &line, &session.state);
        Ok(session)
    }

    /// Goes on with the run in `folder`, exactly where its journal ends, with the parts that `parts` chooses for it.
    /// `iterations`, where given, becomes the run's budget of them.
    ///
    /// # Errors
    /// Where another process holds the run, the journal is damaged or newer than this program, or `parts` fails.
    pub fn go_on(
        folder: &Path,
        iterations: Option<u32>,
        parts: impl FnOnce(&RunState) -> Result<Parts, SessionError>,
    ) -> Result<Self, SessionError> {
        let mut state: Option<RunState> = None;
        let (journal, opened) = Journal::open(folder, |record| fold_into(&mut state, folder, &record))?;
        let state = state
            .ok_or_else(|| SessionError::NoStart { folder: folder.to_path_buf(), source: crate::protocol::NoStart })?;
        let parts = parts(&state)?;
        let budget = iterations.map(|number| Budget { iterations: Some(number), ..state.run.terms.budget });
        // A run that reached its target, or spent its budget, is over; it goes on only where the user gives it more.
        let over = match &state.stop {
            Some(StopReason::TargetReached) => true,
            Some(StopReason::Budget { .. }) => budget.is_none(),
            Some(StopReason::User | StopReason::Blocked { .. }) | None => false,
        };
        let claim = Claim::on(parts.workspace.kernel_path())?;
        let mut session = Self::assemble(state, journal, claim, folder.to_path_buf(), parts)?;
        // A wish that came too late for the process before is not meant for this one.
        session.stop.taken();
        if opened.torn_bytes > 0 {
            session
                .observer
                .note("the last event was unfinished, and is cut off the journal: what it tells of is made again");
        }
        if !over {
            session.record(Event::RunResumed { pid: std::process::id(), budget })?;
        }
        Ok(session)
    }

    fn assemble(
        state: RunState,
        journal: Journal<Event>,
        claim: Claim,
        folder: PathBuf,
        parts: Parts,
    ) -> Result<Self, SessionError> {
        let Parts { gate, mission, workspace, harness, runner, model, patience, observer, stop } = parts;
        let terms = &state.run.terms;
        let (root, kernel) = (workspace.repo_root(), workspace.kernel_path());
        let found = Snapshots::new(&folder).get(state.run.baseline)?;
        let (stop, wall_end) = (stop.watching(&folder), WallEnd::default());
        let runner = Box::new(Impatient { runner, stop: stop.clone(), end: wall_end.clone() });
        let gate = gate.map(|gate| gate.with_reference(Some(found)));
        Ok(Self {
            forbidden: Forbidden::new(&terms.forbidden),
            readable: Readable::new(root, &folder, kernel, &harness.files(), &mission.read),
            bench: Bench { harness, runner, gate, yardstick: Yardstick::of(terms) },
            wall_end,
            snapshots: Snapshots::new(&folder),
            workspace: workspace.with_scratch(&folder),
            transcript: Transcript::open(&folder)?,
            stop,
            results: Vec::new(),
            compiled: None,
            state,
            journal,
            model,
            patience,
            mission,
            folder,
            observer,
            _claim: claim,
        })
    }
}

/// Creates the run's folder, invisible to git by a rule of its own, with its first texts and its first event. Returns that
/// event's line as well.
fn create_run(
    folder: &Path,
    texts: [&[u8]; 2],
    started: Timestamp,
    event: &Event,
) -> Result<(Journal<Event>, String), SessionError> {
    create_folder(folder)?;
    let ignore = folder.join(".gitignore");
    std::fs::write(&ignore, "*\n").map_err(SessionError::io("write", &ignore))?;
    let mut journal = Journal::create(folder)?;
    for text in texts {
        Snapshots::new(folder).put(text)?;
    }
    let appended = journal.append(started, event)?;
    Ok((journal, appended.line))
}

/// Tells whether a process died in `folder` before it had written the run's first event: there is nothing to go on with.
fn never_began(folder: &Path) -> Result<bool, SessionError> {
    let is_empty = std::fs::metadata(folder.join(journal::FILE)).is_ok_and(|journal| journal.len() == 0);
    Ok(is_empty && journal::holder(folder)?.is_none())
}

/// Takes a run away that could not begin, unless its folder turned out to be somebody else's.
fn forget(folder: &Path, error: &SessionError) {
    if !matches!(error, SessionError::Journal(JournalError::Held { .. } | JournalError::Exists { .. })) {
        let _ = std::fs::remove_dir_all(folder);
    }
}
