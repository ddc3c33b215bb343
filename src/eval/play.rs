//! Playing scenarios: each a session of its own on a thread of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::compare::differences;
use super::invariants;
use super::results::{Outcome, Results};
use super::scenario::{HARNESS, KERNEL, MEASUREMENTS, MISSION, REPLIES, Scenario};
use super::scripted::{Script, ScriptedHarness, ScriptedRunner};
use super::stage::Stage;
use super::watch::{Asked, Died, Watch};
use crate::harness;
use crate::journal;
use crate::model::{Replay, with_tuner};
use crate::protocol::{Event, Patience, Rule, RunState, StopReason};
use crate::session::{Opening, Parts, Session, SessionError, fold_run};
use crate::workspace::Workspace;

/// The name of every scenario's run.
const RUN: &str = "eval";

/// Gives the exit code of `agent run` for a stop.
pub type ExitCode = fn(&StopReason) -> u8;

/// What a run came to.
pub(super) struct Played {
    pub(super) state: RunState,
    pub(super) folded: RunState,
    pub(super) events: Vec<Event>,
    pub(super) kernel: String,
    pub(super) commits: usize,
    /// The files that each commit changes.
    pub(super) changed: Vec<Vec<String>>,
}

impl Played {
    /// Returns the rules of the refusals, in order.
    pub(super) fn refusals(&self) -> impl Iterator<Item = Rule> {
        self.events.iter().filter_map(|event| match event {
            Event::CallRefused { refusal, .. } => Some(refusal.rule),
            _ => None,
        })
    }
}

/// Plays the scenarios, as many at a time as the machine has processors, and returns their outcomes in the same order.
pub fn play(scenarios: &[Scenario], exit_code: ExitCode) -> Results {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(scenarios.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(place) else { break };
                    let outcome = one(scenario, exit_code);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(place, outcome);
                }
            });
        }
    });
    Results::new(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

fn one(scenario: &Scenario, exit_code: ExitCode) -> Outcome {
    let begun = Instant::now();
    let mut outcome = Outcome::new(&scenario.name);
    match run(scenario, exit_code) {
        Ok((played, failures)) => {
            outcome.iterations = played.state.ledger.len();
            outcome.keeps = played.commits;
            outcome.refusals = played.refusals().count();
            outcome.failures = failures;
        }
        Err(failure) => outcome.failures.push(failure),
    }
    outcome.ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    outcome
}

/// One scenario on its stage, over all the processes of its run.
struct Playing<'a> {
    scenario: &'a Scenario,
    stage: &'a Stage,
    script: Rc<RefCell<Script>>,
    turns: Rc<Cell<usize>>,
    watch: Watch,
    folder: PathBuf,
}

impl Playing<'_> {
    fn parts(&self) -> Result<Parts, String> {
        let mut mission = self.scenario.mission.clone();
        mission.seed.get_or_insert(1);
        let tune = if self.scenario.replies.has_tuner() { 0 } else { mission.tune };
        let replay = Replay::from(self.scenario.replies.clone());
        Ok(Parts {
            gate: None,
            workspace: Workspace::open(self.stage.root(), &mission.kernel).map_err(|error| error.to_string())?,
            harness: Box::new(ScriptedHarness {
                file: harness::open(&self.stage.root().join(HARNESS)).map_err(|error| error.to_string())?,
                ranking: self.script.borrow().ranking(),
                in_turns: self.script.borrow().in_turns(),
            }),
            runner: Box::new(ScriptedRunner(Rc::clone(&self.script))),
            model: with_tuner(Box::new(Asked { replay, turns: Rc::clone(&self.turns) }), tune),
            patience: Patience::NONE,
            observer: Box::new(self.watch.clone()),
            stop: self.watch.stop.clone(),
            mission,
        })
    }

    /// Lets one process after the other go on until the run is over, and returns its state.
    fn to_the_end(&self) -> Result<RunState, String> {
        let mut ended = catch_unwind(AssertUnwindSafe(|| self.process(None)));
        loop {
            match ended {
                Ok(state) => return state,
                Err(died) if died.is::<Died>() => {
                    ended = catch_unwind(AssertUnwindSafe(|| self.process(Some(&self.folder))));
                }
                Err(panic) => resume_unwind(panic),
            }
        }
    }

    /// Begins the run, or goes on with the one in the folder.
    fn process(&self, goes_on: Option<&Path>) -> Result<RunState, String> {
        let failed = |error: SessionError| format!("the session failed: {error}");
        let parts = self.parts()?;
        let mut session = match goes_on {
            Some(folder) => Session::go_on(folder, None, |_| Ok(parts)),
            None => {
                let run_id = RUN.parse().map_err(|error| format!("the run's name: {error}"))?;
                Session::begin(Opening { run_id, mission_file: MISSION.into(), vars: BTreeMap::new() }, parts)
            }
        }
        .map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("the runtime cannot be started: {error}"))?;
        runtime.block_on(session.run()).map_err(failed)?;
        Ok(session.state().clone())
    }

    /// Returns what the scenario has and the run never came to.
    fn unused(&self) -> impl Iterator<Item = String> {
        let never = |file: &'static str, number: usize| {
            (number > 0).then(|| format!("{file}: the last {number} were never asked for"))
        };
        let replies = self.scenario.replies.len().saturating_sub(self.turns.get());
        let measurements = self.script.borrow().unused();
        [never(MEASUREMENTS, measurements), never(REPLIES, replies), self.watch.missed()].into_iter().flatten()
    }
}

/// Runs the scenario, and returns what it came to with everything that should be otherwise.
fn run(scenario: &Scenario, exit_code: ExitCode) -> Result<(Played, Vec<String>), String> {
    let branch = format!("agent/{RUN}");
    let stage = Stage::new(scenario)?;
    let before = stage.rest(&branch)?;
    let playing = Playing {
        scenario,
        stage: &stage,
        script: Script::new(scenario.measurements.clone()),
        turns: Rc::default(),
        watch: Watch::new(&scenario.expected),
        folder: stage.root().join("artifacts").join(RUN),
    };
    let state = playing.to_the_end()?;
    let folder = &playing.folder;
    let mut events = Vec::new();
    let collect = |record: journal::Record<Event>| {
        events.push(record.event);
        Ok::<_, journal::JournalError>(())
    };
    journal::read(folder, collect).map_err(|error| error.to_string())?;
    let changed = stage
        .commits(&branch, state.run.base_commit.as_deref())
        .map_err(|error| format!("the run's branch: {error}"))?;
    let kernel = std::fs::read(stage.root().join(KERNEL)).map_err(|error| format!("the kernel file: {error}"))?;
    let played = Played {
        state,
        folded: fold_run(folder).map_err(|error| error.to_string())?,
        events,
        kernel: String::from_utf8_lossy(&kernel).into_owned(),
        commits: changed.len(),
        changed,
    };
    // A script that does not fit the run explains every difference that follows from it.
    let mut failures = match playing.script.borrow().fault() {
        Some(fault) => vec![fault.to_owned()],
        None => differences(&scenario.expected, &played, exit_code),
    };
    failures.extend(playing.unused());
    failures.extend(invariants::broken(&played, folder, &before, &stage.rest(&branch)?));
    Ok((played, failures))
}
