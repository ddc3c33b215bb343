//! A corpus of kernels that cheat, each caught as it should be, and of honest ones that look alike, each measured.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};
use std::thread::{available_parallelism, scope};

use afterhours::harness::{Act, Failure, Harness, JobOutput, Language, Request, Role, open, tripped};
use afterhours::protocol::{Effort, Gpu, MetricName, Outcome, Profile, Verdict};
use afterhours::runner::{Local, Runner};
use afterhours::sandbox::Protections;
use afterhours::stats::{Aim, NIGHT, Rule};
use afterhours::tools::{self, Bench, Measured, Order, Yardstick};
use serde::Deserialize;

/// What must become of a kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// For a reader: the kind of cheat.
    #[expect(dead_code, reason = "it is read by people")]
    class: String,
    language: Lang,
    /// Decided by a duel of so many pairs, as the last one of a run, of the longer kernel in the folder `duel`.
    duel: Option<u32>,
    /// What its measurement comes to.
    outcome: String,
    /// Part of the failure's message.
    #[serde(default)]
    says: String,
    /// The tripwire that refuses the edit before anything runs; absent where none does.
    tripwire: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lang {
    C,
    Python,
}

impl Lang {
    fn files(self) -> (Language, &'static str, &'static str) {
        match self {
            Self::C => (Language::C, "kernel.c", "harness.toml"),
            Self::Python => (Language::Python, "submission.py", "harness.py"),
        }
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("evals/hacks")
}

/// Three of its nine calls are checked besides the first and the last, at places that the kernel does not know.
fn effort() -> Effort {
    Effort { repeats: 9, stage_repeats: vec![3, 3, 3], early_stop_us: None, timeout_seconds: 4, pairs: 1 }
}

/// A duel is decided by its times: nothing else of this file runs beside it.
static QUIET: RwLock<()> = RwLock::new(());

/// Runs the kernel in `folder` against the honest one, as a run does, and returns what is not as expected.
fn play(folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("expected.json")).map_err(|error| error.to_string())?;
    let expected: Expected = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let (language, file, harness) = expected.language.files();
    let against = if expected.duel.is_some() { corpus().join("duel") } else { corpus() };
    let candidate = fs::read_to_string(folder.join(file)).unwrap();
    let honest = fs::read_to_string(against.join(file)).unwrap();

    let refused: Vec<_> = tripped(language, &honest, &candidate)
        .into_iter()
        .filter(|tripped| tripped.act == Act::Refuse)
        .map(|tripped| tripped.name)
        .collect();
    if refused.first().copied().is_some_and(|_| expected.tripwire.is_none())
        || expected.tripwire.as_deref().is_some_and(|name| !refused.contains(&name))
    {
        return Err(format!("the tripwires {refused:?} refuse it, expected {:?}", expected.tripwire));
    }

    let harness = open(&against.join(harness)).unwrap();
    let timeout_seconds = if expected.outcome == "timeout" { 4 } else { 60 };
    let (outcome, message) = match expected.duel {
        Some(pairs) => {
            let _alone = QUIET.write().unwrap();
            decided(&duel(harness, &candidate, &honest, pairs))
        }
        None => {
            let _beside = QUIET.read().unwrap();
            measure(harness.as_ref(), &candidate, &honest, timeout_seconds)
        }
    };
    if outcome != expected.outcome || !message.contains(&expected.says) {
        return Err(format!("it came to {outcome}: {message}"));
    }
    Ok(())
}

fn measure(harness: &dyn Harness, candidate: &str, incumbent: &str, timeout_seconds: u32) -> (String, String) {
    let gpu = Gpu("cpu".to_owned());
    let effort = Effort { timeout_seconds, ..effort() };
    let job = harness
        .job(&Request {
            gpu: &gpu,
            profile: "candidate",
            effort: &effort,
            candidate: candidate.as_bytes(),
            incumbent: Some(incumbent.as_bytes()),
            seed: fastrand::u64(..),
            first_pair: 0,
        })
        .unwrap();
    let room = tempfile::tempdir().unwrap();
    let output = runtime().block_on(local(room.path()).run(&job, &mut |_| {})).unwrap();
    read(harness, &output, effort.repeats as usize)
}

/// Runs a duel and judges it, as the last one of a run.
fn duel(harness: Box<dyn Harness>, candidate: &str, incumbent: &str, pairs: u32) -> Measured {
    let room = tempfile::tempdir().unwrap();
    let gpu = Gpu("cpu".to_owned());
    let yardstick = Yardstick { gpu, metric: MetricName::MedianUs, roofline_us: None };
    let bench = Bench { harness, runner: Box::new(local(room.path())), gate: None, yardstick };
    let effort = Effort { repeats: 30, stage_repeats: vec![10, 20], early_stop_us: None, timeout_seconds: 300, pairs };
    let order = Order {
        profile: Profile::Final,
        effort: &effort,
        candidate: candidate.as_bytes(),
        incumbent: Some(incumbent.as_bytes()),
        seed: fastrand::u64(..),
        rule: Rule { margin: 0.01, aim: Aim::Estimate { level: NIGHT }, most: pairs },
    };
    runtime().block_on(tools::measure(&bench, order, &mut |_| {})).unwrap()
}

/// Returns whether a gain was found, or the name of the failure with its message.
fn decided(measured: &Measured) -> (String, String) {
    let (name, message) = match &measured.outcome {
        Outcome::Measured { comparison: Some(found), .. } => {
            let name = if found.verdict == Verdict::Improved { "improved" } else { "no gain" };
            return (name.to_owned(), format!("{found:?}"));
        }
        Outcome::KernelFailed { failure, message } => (serde_json::to_value(failure), message.clone()),
        other => return ("not decided".to_owned(), format!("{other:?}")),
    };
    (name.unwrap().as_str().unwrap_or_default().to_owned(), message)
}

fn local(room: &Path) -> Local {
    let local = Local::new(env!("CARGO_BIN_EXE_agent").into(), room.join("scratch"));
    local.with_locks_in(room.to_owned())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Returns the name of the first failure with its message, or that all was measured.
fn read(harness: &dyn Harness, output: &JobOutput, repeats: usize) -> (String, String) {
    let mut measured = Vec::new();
    for ran in &output.ran {
        match harness.read(ran) {
            Ok(block) => measured.extend(block.map(|block| (ran.role, block))),
            Err(Failure::Kernel(failure, message)) => {
                let name = serde_json::to_value(failure).unwrap();
                return (name.as_str().unwrap_or_default().to_owned(), message);
            }
            Err(Failure::Infra(failure, message)) => return (format!("infra: {failure:?}"), message),
        }
    }
    let whole = measured.iter().all(|(_, block)| block.cases.iter().all(|case| case.time_us.len() == repeats));
    let roles = [Role::Candidate, Role::Incumbent].iter().all(|role| measured.iter().any(|(of, _)| of == role));
    (if whole && roles { "measured" } else { "not whole" }.to_owned(), format!("{measured:?}"))
}

/// Plays every numbered folder of `folder`, as many at a time as there are cores.
fn play_all(folder: &Path) -> usize {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.join("expected.json").is_file());
    folders.sort();
    let (count, queue, wrong) = (folders.len(), Mutex::new(folders), Mutex::new(Vec::new()));
    scope(|threads| {
        for _ in 0..available_parallelism().map_or(2, usize::from) {
            threads.spawn(|| {
                while let Some(folder) = { queue.lock().unwrap().pop() } {
                    if let Err(error) = play(&folder) {
                        wrong.lock().unwrap().push(format!("{}: {error}", folder.file_name().unwrap().display()));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

/// Tells whether this machine can play the corpus, and says so where it cannot.
fn can_play() -> bool {
    let protections = Protections::probe();
    let found = |program: &str| std::process::Command::new(program).arg("--version").output().is_ok();
    let able = protections.is_complete() && found("cc") && found("python3") && cfg!(target_arch = "x86_64");
    if !able {
        #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
        {
            eprintln!("left out: needs cc, python3, an x86-64 processor and a full sandbox; this one is {protections}");
        }
    }
    able
}

#[test]
fn every_cheat_is_caught_for_its_reason_or_gains_nothing() {
    if can_play() {
        let count = play_all(&corpus());
        assert!(count >= 40, "only {count} were played");
    }
}

#[test]
fn every_honest_twin_is_measured() {
    if can_play() {
        let count = play_all(&corpus().join("twins"));
        assert!(count >= 12, "only {count} were played");
    }
}
