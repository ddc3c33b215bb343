//! Playing scenarios: each a session of its own on a thread of its own.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::compare::differences;
use super::invariants;
use super::results::{Outcome, Results};
use super::scenario::{HARNESS, KERNEL, Scenario};
use super::scripted::{Script, ScriptedHarness, ScriptedRunner};
use super::stage::Stage;
use crate::harness;
use crate::journal;
use crate::protocol::{Event, Rule, RunId, RunState, StopReason};
use crate::report::Quiet;
use crate::session::{Opening, Parts, Session, SessionError, StopFlag, fold_run};
use crate::workspace::Workspace;

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

/// Runs the session, and returns what it came to with everything that should be otherwise.
fn run(scenario: &Scenario, exit_code: ExitCode) -> Result<(Played, Vec<String>), String> {
    let run_id: RunId = "eval".parse().map_err(|error| format!("the run's name: {error}"))?;
    let branch = format!("agent/{run_id}");
    let stage = Stage::new(scenario)?;
    let before = stage.rest(&branch)?;
    let script = Script::new(scenario.measurements.clone());
    let ended = |error: SessionError| format!("the session failed: {error}");
    let mut mission = scenario.mission.clone();
    mission.seed.get_or_insert(1);
    let parts = Parts {
        agent: None,
        workspace: Workspace::open(stage.root(), &mission.kernel).map_err(|error| error.to_string())?,
        harness: Box::new(ScriptedHarness(
            harness::open(&stage.root().join(HARNESS)).map_err(|error| error.to_string())?,
        )),
        runner: Box::new(ScriptedRunner(script.clone())),
        model: Box::new(scenario.replies.clone()),
        observer: Box::new(Quiet::new(std::io::sink(), PathBuf::new())),
        stop: StopFlag::default(),
        mission,
    };
    let opening = Opening { run_id, mission_file: "mission.md".into(), vars: BTreeMap::new() };
    let mut session = Session::begin(opening, parts).map_err(ended)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(session.run()).map_err(ended)?;

    let folder = session.folder().to_owned();
    let mut events = Vec::new();
    let collect = |record: journal::Record<Event>| {
        events.push(record.event);
        Ok::<_, journal::JournalError>(())
    };
    journal::read(&folder, collect).map_err(|error| error.to_string())?;
    let base = session.state().run.base_commit.as_deref();
    let changed = stage.commits(&branch, base).map_err(|error| format!("the run's branch: {error}"))?;
    let kernel = std::fs::read(stage.root().join(KERNEL)).map_err(|error| format!("the kernel file: {error}"))?;
    let played = Played {
        state: session.state().clone(),
        folded: fold_run(&folder).map_err(|error| error.to_string())?,
        events,
        kernel: String::from_utf8_lossy(&kernel).into_owned(),
        commits: changed.len(),
        changed,
    };
    let script = script.borrow();
    // A script that does not fit the run explains every difference that follows from it.
    let mut failures = match script.fault() {
        Some(fault) => vec![fault.to_owned()],
        None => differences(&scenario.expected, &played, exit_code),
    };
    if script.unused() > 0 {
        failures.push(format!("measurements.jsonl: the last {} were never asked for", script.unused()));
    }
    failures.extend(invariants::broken(&played, &folder, &before, &stage.rest(&branch)?));
    Ok((played, failures))
}
