//! Sessions whose parts are brought along: the seam for scripted models and measurements.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::future::ready;
use std::path::{Path, PathBuf};

use afterhours::harness::{
    self, BlockResult, Exit, Failure, Harness, HarnessError, Job, JobOutput, Part, Ran, Request,
};
use afterhours::mission;
use afterhours::model::{Fault, Model, ModelError, TurnFuture, View};
use afterhours::protocol::{BudgetKind, ContentHash, FaultKind, Gpu, Patience, StopReason};
use afterhours::report::Quiet;
use afterhours::runner::{LocalFuture, Progress, Runner, RunnerError};
use afterhours::session::{Opening, Parts, Session, SessionError, StopFlag};
use afterhours::workspace::Workspace;

const MISSION: &str =
    "---\nkernel: kernel.c\nharness: harness.sh\ntarget_speedup: 2\ngpu: cpu\nseed: 1\n---\nMake it fast.\n";

/// Answers every block at once.
struct Instant;

impl Runner for Instant {
    fn name(&self) -> &str {
        "instant"
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        _progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        let result = br#"{"device":{"name":"cpu (none)"},"cases":[{"id":"a","passed":true,"time_us":[7.0]}]}"#;
        let ran = job.blocks.iter().enumerate().map(|(place, block)| Ran {
            role: block.role,
            part: Part::Block(place),
            command: "sh harness.sh".to_owned(),
            exit: Exit::Code(0),
            stdout: String::new(),
            stderr: String::new(),
            result: Some(result.to_vec()),
            elapsed: std::time::Duration::ZERO,
        });
        Box::pin(ready(Ok(JobOutput { ran: ran.collect() })))
    }
}

/// Has nothing to say.
struct Mute;

impl Model for Mute {
    fn name(&self) -> String {
        "mute".to_owned()
    }

    fn turn<'a>(&'a mut self, _view: View<'a>) -> TurnFuture<'a> {
        Box::pin(ready(Err(ModelError::Exhausted("nothing to say".to_owned()))))
    }
}

fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git2::Repository::init(folder.path()).unwrap();
    std::fs::write(folder.path().join("kernel.c"), "int k;\n").unwrap();
    std::fs::write(folder.path().join("harness.sh"), "exit 1\n").unwrap();
    folder
}

fn parts(root: &Path) -> Parts {
    let mission = mission::parse(Path::new("mission.md"), MISSION, &BTreeMap::new()).unwrap();
    Parts {
        gate: None,
        workspace: Workspace::open(root, &mission.kernel).unwrap(),
        harness: harness::open(&root.join(&mission.harness)).unwrap(),
        runner: Box::new(Instant),
        model: Box::new(Mute),
        patience: Patience::NONE,
        observer: Box::new(Quiet::new(std::io::sink(), PathBuf::new())),
        stop: StopFlag::default(),
        mission,
    }
}

fn opening(run_id: &str) -> Opening {
    Opening { run_id: run_id.parse().unwrap(), mission_file: "mission.md".into(), vars: BTreeMap::new() }
}

fn drive(session: &mut Session) -> StopReason {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(session.run()).unwrap()
}

#[test]
fn a_run_with_brought_parts_measures_asks_stops_and_goes_on() {
    let repository = repository();
    let mut session = Session::begin(opening("mine"), parts(repository.path())).unwrap();
    assert_eq!(drive(&mut session), StopReason::Blocked { message: "nothing to say".to_owned() });
    assert_eq!(session.state().baseline.as_ref().unwrap().us.get(), 7.0);
    let folder = session.folder().to_owned();
    drop(session);
    let mut session = Session::go_on(&folder, None, |state| Ok(parts(Path::new(&state.run.repo_root)))).unwrap();
    assert_eq!(session.state().counters.resumes, 1);
    assert_eq!(drive(&mut session).code(), "blocked");
}

/// A harness that says what its problem is.
struct Described(Box<dyn Harness>);

impl Harness for Described {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn hash(&self) -> ContentHash {
        self.0.hash()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.0.files()
    }

    fn description(&self) -> Option<&str> {
        Some("Sort the numbers.")
    }

    fn supports(&self, kernel: &Path, gpu: &Gpu) -> Result<(), HarnessError> {
        self.0.supports(kernel, gpu)
    }

    fn job(&self, request: &Request<'_>) -> Result<Job, HarnessError> {
        self.0.job(request)
    }

    fn read(&self, ran: &Ran) -> Result<Option<BlockResult>, Failure> {
        self.0.read(ran)
    }
}

/// Says what it is told of the problem.
struct Echo;

impl Model for Echo {
    fn name(&self) -> String {
        "echo".to_owned()
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        Box::pin(ready(Err(ModelError::Exhausted(format!("{:?}", view.description)))))
    }
}

#[test]
fn a_model_is_told_what_the_harness_says_of_its_problem() {
    let repository = repository();
    let told = |describe: fn(Box<dyn Harness>) -> Box<dyn Harness>, name| {
        let mut brought = parts(repository.path());
        brought.harness = describe(brought.harness);
        brought.model = Box::new(Echo);
        drive(&mut Session::begin(opening(name), brought).unwrap())
    };
    let message = "Some(\"Sort the numbers.\")".to_owned();
    assert_eq!(told(|harness| Box::new(Described(harness)), "told"), StopReason::Blocked { message });
    assert_eq!(told(|harness| harness, "untold"), StopReason::Blocked { message: "None".to_owned() });
}

#[test]
fn a_run_whose_budget_is_spent_goes_on_only_with_a_larger_one() {
    let repository = repository();
    let mut brought = parts(repository.path());
    brought.mission.terms.budget.wall_ms = Some(0);
    let mut session = Session::begin(opening("mine"), brought).unwrap();
    let spent = StopReason::Budget { budget: BudgetKind::Wall };
    assert_eq!(drive(&mut session), spent);
    let folder = session.folder().to_owned();
    drop(session);
    let go_on = |iterations| Session::go_on(&folder, iterations, |_| Ok(parts(repository.path()))).unwrap();
    assert_eq!(go_on(None).state().stop, Some(spent));
    let raised = go_on(Some(3));
    assert_eq!((raised.state().stop.as_ref(), raised.state().run.terms.budget.iterations), (None, Some(3)));
}

#[test]
fn a_taken_name_is_refused_and_the_run_that_has_it_stays_as_it_is() {
    let repository = repository();
    let session = Session::begin(opening("mine"), parts(repository.path())).unwrap();
    let journal = session.folder().join("journal.jsonl");
    let before = std::fs::read(&journal).unwrap();
    let Err(error) = Session::begin(opening("mine"), parts(repository.path())) else { panic!("begun twice") };
    assert!(matches!(&error, SessionError::RunExists { name, .. } if name == "mine"), "{error}");
    assert_eq!(std::fs::read(&journal).unwrap(), before);
}

/// Never answers: with a fault after each attempt, or not even that.
struct Dead(Option<FaultKind>);

impl Model for Dead {
    fn name(&self) -> String {
        "dead".to_owned()
    }

    fn turn<'a>(&'a mut self, _view: View<'a>) -> TurnFuture<'a> {
        match self.0 {
            None => Box::pin(std::future::pending()),
            Some(kind) => {
                let (model, message) = (self.name(), "down for the night".to_owned());
                Box::pin(ready(Err(ModelError::Fault(Fault { model, kind, message, retry_after_ms: None }))))
            }
        }
    }
}

#[test]
fn an_endpoint_that_is_down_for_the_night_spends_its_time_and_no_iteration() {
    for (kind, wait_ms) in [(None, 0), (Some(FaultKind::Unreachable), 20), (Some(FaultKind::Server), 3_600_000)] {
        let repository = repository();
        let mut brought = parts(repository.path());
        brought.model = Box::new(Dead(kind));
        brought.patience = Patience { base_ms: wait_ms, cap_ms: wait_ms };
        brought.mission.terms.budget.wall_ms = Some(400);
        let mut session = Session::begin(opening("mine"), brought).unwrap();
        assert_eq!(drive(&mut session), StopReason::Budget { budget: BudgetKind::Wall }, "{kind:?}");
        let state = session.state();
        assert_eq!((state.ledger.len(), state.counters.round_trips, state.iteration.0), (0, 0, 1));
        assert_eq!(state.counters.model_faults > 0, kind.is_some());
    }
}

#[test]
fn the_user_need_not_wait_for_an_endpoint_that_is_down() {
    for kind in [None, Some(FaultKind::Server)] {
        let repository = repository();
        let stop = StopFlag::default();
        let mut brought = parts(repository.path());
        brought.model = Box::new(Dead(kind));
        brought.patience = Patience { base_ms: 3_600_000, cap_ms: 3_600_000 };
        brought.stop = stop.clone();
        let mut session = Session::begin(opening("mine"), brought).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let stopped = runtime.block_on(async {
            let wish = async {
                tokio::time::sleep(std::time::Duration::from_millis(150)).await;
                stop.signal();
            };
            tokio::join!(session.run(), wish).0.unwrap()
        });
        assert_eq!(stopped, StopReason::User, "{kind:?}");
    }
}
