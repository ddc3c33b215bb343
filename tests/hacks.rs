//! A corpus of kernels that cheat, each caught as it should be, and of honest ones that look alike, each measured.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{available_parallelism, scope};

use afterhours::harness::{Act, Failure, Harness, JobOutput, Language, Request, Role, open, tripped};
use afterhours::protocol::{Effort, Gpu};
use afterhours::runner::{Local, Runner};
use afterhours::sandbox::Protections;
use serde::Deserialize;

/// What must become of a kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// For a reader: the kind of cheat.
    #[expect(dead_code, reason = "it is read by people")]
    class: String,
    language: Lang,
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

/// Runs the kernel in `folder` against the honest one, as a run does, and returns what is not as expected.
fn play(folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("expected.json")).map_err(|error| error.to_string())?;
    let expected: Expected = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let (language, file, harness) = expected.language.files();
    let candidate = fs::read_to_string(folder.join(file)).unwrap();
    let honest = fs::read_to_string(corpus().join(file)).unwrap();

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

    let harness = open(&corpus().join(harness)).unwrap();
    let timeout_seconds = if expected.outcome == "timeout" { 4 } else { 60 };
    let (outcome, message) = measure(harness.as_ref(), &candidate, &honest, timeout_seconds);
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
    let local = Local::new(env!("CARGO_BIN_EXE_agent").into(), room.path().join("scratch"));
    let local = local.with_locks_in(room.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let output = runtime.block_on(local.run(&job, &mut |_| {})).unwrap();
    read(harness, &output, effort.repeats as usize)
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
