//! A recorded run gives the same refusals, verdicts and decisions again, and whatever was altered in it is found.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;
#[path = "../benches/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use afterhours::journal::{self, Journal, JournalError, Record};
use afterhours::protocol::{Decision, Event, Micros, Outcome, RevertCause, Rule, Verdict};
use afterhours::replay::{Divergence, replay};
use afterhours::report::Quiet;
use scene::{RUN, Scene, eventful};
use serde_json::Value;
use support::canned::of_a_long_night;
use support::stage::{Stage, drive, memory_folder};

fn ran() -> Scene {
    let scene = eventful();
    let ended = scene.run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    scene
}

fn copy(from: &Path, to: &Path) {
    let ended = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(ended.success());
}

/// A copy of the run's folder, to be altered.
fn copy_of(scene: &Scene, name: &str) -> PathBuf {
    let to = scene.outside().join(name);
    copy(&scene.artifacts(), &to);
    to
}

fn divergence(folder: &Path) -> Divergence {
    replay(folder).unwrap().divergence.unwrap()
}

#[test]
fn a_run_agrees_with_the_code_that_made_it() {
    let scene = ran();
    let ended = scene.agent(&["replay", RUN]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("all agree with today's code; stop: target_reached"), "{}", ended.stdout);
    let found = scene.json("replay");
    let (status, events) = (scene.json("status"), scene.events());
    assert_eq!(found["events"], events.len());
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!(found["iterations"], count("iteration_finished"));
    assert_eq!((&found["refusals"], &found["commits"]), (&status["refusals"], &status["keeps"]));
    assert_eq!(found["verdicts"], count("measure_finished"));
    assert!(found["edits"].as_u64().unwrap() >= 5 && found["divergence"].is_null(), "{found:#}");
}

#[test]
fn a_run_that_was_moved_is_replayed_without_its_repository() {
    let scene = ran();
    let moved = copy_of(&scene, "moved");
    fs::remove_dir_all(scene.root()).unwrap();
    let found = replay(&moved).unwrap();
    assert!(found.agrees(), "{found:?}");
    assert_eq!((found.commits, found.commits_out_of_reach), (0, 2));
}

#[test]
fn a_journal_that_is_cut_anywhere_is_replayed_up_to_there() {
    let scene = ran();
    let lines = scene.lines();
    let folder = copy_of(&scene, "cut");
    for events in 1..=lines.len() {
        fs::write(folder.join(journal::FILE), lines[..events].concat()).unwrap();
        let found = replay(&folder).unwrap();
        assert!(found.agrees(), "{events} events: {:?}", found.divergence);
        assert_eq!(found.events, events as u64);
        let torn = &lines[events - 1][..20];
        fs::write(folder.join(journal::FILE), format!("{}{torn}", lines[..events].concat())).unwrap();
        let found = replay(&folder).unwrap();
        assert!(found.agrees() && found.torn_bytes == 20, "{events} events and a torn one: {found:?}");
    }
}

#[test]
fn an_analysis_that_a_crash_has_torn_is_no_forgery() {
    let scene = ran();
    let folder = copy_of(&scene, "torn");
    let lines = scene.lines();
    let begun = lines.iter().rposition(|line| line.contains("analysis_started")).unwrap();
    fs::write(folder.join(journal::FILE), lines[..=begun].concat()).unwrap();
    let event: Value = serde_json::from_str(&lines[begun]).unwrap();
    let artifact = folder.join(event["fields"]["artifact"].as_str().unwrap());
    let (whole, length) = (fs::read(&artifact).unwrap(), event["fields"]["length"].as_u64().unwrap());
    for bytes in usize::try_from(length).unwrap()..=whole.len() {
        fs::write(&artifact, &whole[..bytes]).unwrap();
        let found = replay(&folder).unwrap();
        assert!(found.agrees(), "{bytes} bytes: {:?}", found.divergence);
    }
    fs::write(&artifact, &whole[..usize::try_from(length).unwrap() - 1]).unwrap();
    assert!(divergence(&folder).today.contains("hashes to"));
}

#[test]
fn whatever_was_altered_in_a_run_is_found() {
    type Alter = fn(&Path);
    let table: [(Alter, &str, &str); 10] = [
        (|run| fs::remove_file(run.join("iter-0001/test.txt")).unwrap(), "measure_finished", "it cannot be read"),
        (|run| fs::remove_file(run.join("iter-0001/test.json")).unwrap(), "measure_finished", "its `.json` cannot"),
        (|run| copy(&run.join("iter-0002/test.txt"), &run.join("iter-0001/test.txt")), "measure_finished", "edited"),
        (
            |run| {
                let path = run.join("iter-0001/candidate.txt");
                let text = fs::read_to_string(&path).unwrap().replacen("summary: s", "summary: t", 1);
                fs::write(path, text).unwrap();
            },
            "analysis_finished",
            "the file has another analysis",
        ),
        (
            |run| {
                let path = run.join("iter-0001/final.txt");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(path, format!("{text}\nmore\n")).unwrap();
            },
            "measure_finished",
            "somebody appended to it",
        ),
        (
            |run| {
                let path = run.join("iter-0001/candidate.json");
                let text = fs::read_to_string(&path).unwrap().replacen("80.0", "79.0", 1);
                fs::write(path, text).unwrap();
            },
            "measure_finished",
            "the `.json` beside it has another result",
        ),
        (|run| fs::write(of_kernel(run, "time_us 80"), "time_us 1\n").unwrap(), "edit_started", "is damaged"),
        (|run| fs::remove_file(of_kernel(run, "time_us 80")).unwrap(), "edit_started", "is missing"),
        (|run| fs::remove_file(of_kernel(run, "time_us 100")).unwrap(), "run_started", "is missing"),
        (|run| fs::write(of_kernel(run, "target_us: 50"), "").unwrap(), "run_started", "is damaged"),
    ];
    let scene = ran();
    for (place, (alter, event, says)) in table.into_iter().enumerate() {
        let folder = copy_of(&scene, &format!("altered-{place}"));
        alter(&folder);
        let found = divergence(&folder);
        assert!(found.event == event && found.today.contains(says), "{place}: {found:?}");
    }
    let (journal, end) = (scene.artifacts().join(journal::FILE), r#""decision":"REVERT","cause":"not_improved""#);
    let number = 1 + scene.lines().iter().position(|line| line.contains(end)).unwrap();
    let text = fs::read_to_string(&journal).unwrap().replacen(end, r#""decision":"KEEP","cause":null"#, 1);
    fs::write(journal, text).unwrap();
    let ended = scene.agent(&["replay", RUN]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains(&format!("DIVERGES at event {number} (a damaged line)")), "{}", ended.stdout);
    assert!(ended.stdout.contains("its sum does not match"), "{}", ended.stdout);
}

/// The evidence of a short run is read when it is wanted, that of a long one mostly ahead.
#[test]
fn whatever_was_altered_in_a_long_night_is_found_where_it_stands() {
    const ITERATIONS: u64 = 160;
    let stage = Stage::new(&memory_folder()).unwrap();
    let nobody = Box::new(Quiet::new(std::io::sink(), PathBuf::new()));
    let mut session = stage.session(ITERATIONS as u32, of_a_long_night, Rc::default(), nobody).unwrap();
    drive(&mut session).unwrap();
    let found = replay(session.folder()).unwrap();
    assert!(found.iterations == ITERATIONS && found.divergence.is_none(), "{found:?}");
    for iteration in (1..=ITERATIONS).step_by(13) {
        let path = session.folder().join(format!("iter-{iteration:04}/test.json"));
        let result = fs::read_to_string(&path).unwrap();
        fs::write(&path, result.replacen("_seconds\": 0", "_seconds\": 1", 1)).unwrap();
        let found = replay(session.folder()).unwrap();
        fs::write(&path, result).unwrap();
        let says = found.divergence.unwrap().today;
        assert!(found.iterations == iteration - 1 && says.contains("has another result"), "{iteration}: {says}");
    }
}

/// The kept text that contains `word`.
fn of_kernel(run: &Path, word: &str) -> PathBuf {
    let mut texts = fs::read_dir(run.join("snapshots")).unwrap().map(|entry| entry.unwrap().path());
    texts.find(|path| fs::read_to_string(path).unwrap().starts_with(word) || has_line(path, word)).unwrap()
}

fn has_line(path: &Path, line: &str) -> bool {
    fs::read_to_string(path).unwrap().lines().any(|found| found == line)
}

/// Writes the run's journal anew, each line with its sum, but with the events that `forge` gives for the recorded ones.
fn forge(folder: &Path, forge: impl Fn(Event) -> Option<Event>) {
    let mut records = Vec::new();
    journal::read(folder, |record: Record<Event>| {
        records.push(record);
        Ok::<_, JournalError>(())
    })
    .unwrap();
    fs::remove_file(folder.join(journal::FILE)).unwrap();
    let mut journal = Journal::create(folder).unwrap();
    for record in records {
        if let Some(event) = forge(record.event) {
            journal.append(record.time, &event).unwrap();
        }
    }
}

#[test]
fn a_journal_that_was_forged_with_all_its_sums_is_found() {
    type Forge = fn(Event) -> Option<Event>;
    let table: [(Forge, &str, &str); 8] = [
        (
            |mut event| {
                if let Event::CallRefused { refusal, .. } = &mut event {
                    refusal.rule = Rule::ForbiddenTool;
                }
                Some(event)
            },
            "call_refused",
            "refused (",
        ),
        (
            |event| match event {
                Event::CallRefused { call, tool, refusal } => {
                    Some(Event::CallFailed { call, tool, message: refusal.message })
                }
                other => Some(other),
            },
            "call_failed",
            "refused (",
        ),
        (|event| (!matches!(event, Event::CallRefused { .. })).then_some(event), "turn_started", "the model's call"),
        (
            |mut event| {
                if let Event::MeasureFinished { outcome, .. } = &mut event
                    && let Outcome::Measured { comparison: Some(comparison), .. } = outcome.as_mut()
                {
                    comparison.verdict = Verdict::Ambiguous;
                }
                Some(event)
            },
            "measure_finished",
            "outcome.comparison.verdict is \"",
        ),
        (
            |mut event| {
                if let Event::MeasureFinished { outcome, .. } = &mut event
                    && let Outcome::Measured { candidate, .. } = outcome.as_mut()
                {
                    candidate.us = Micros::new(candidate.us.get() * 0.999).unwrap();
                }
                Some(event)
            },
            "measure_finished",
            "outcome.candidate.us is 100",
        ),
        (
            |mut event| {
                if let Event::IterationFinished { cause, decision: Decision::Revert, .. } = &mut event {
                    *cause = Some(RevertCause::Stuck);
                }
                Some(event)
            },
            "iteration_finished",
            "close the iteration: REVERT, the smoke test failed",
        ),
        (
            |mut event| {
                if let Event::RunStarted(run) = &mut event {
                    run.terms.min_improvement = 0.0;
                }
                Some(event)
            },
            "run_started",
            "terms.min_improvement is 0.01",
        ),
        (
            |mut event| {
                if let Event::MeasureStarted(spec) = &mut event {
                    spec.controls.repeats = Some(1);
                }
                Some(event)
            },
            "measure_started",
            "the test measurement",
        ),
    ];
    let scene = ran();
    for (place, (forged, event, says)) in table.into_iter().enumerate() {
        let folder = copy_of(&scene, &format!("forged-{place}"));
        forge(&folder, forged);
        let found = divergence(&folder);
        assert!(found.event == event && found.today.contains(says), "{place}: {found:?}");
    }
}

#[test]
fn a_commit_that_holds_another_text_is_found() {
    let scene = ran();
    let base = scene.git(&["rev-parse", "main"]).trim().to_owned();
    let folder = copy_of(&scene, "forged");
    forge(&folder, |event| match event {
        Event::CommitFinished { .. } => Some(Event::CommitFinished { sha: base.clone() }),
        other => Some(other),
    });
    let found = divergence(&folder);
    assert!(found.event == "commit_finished" && found.today.contains("it holds "), "{found:?}");
}

#[test]
fn a_journal_of_a_newer_program_is_named_with_its_version() {
    let scene = ran();
    let journal = scene.artifacts().join(journal::FILE);
    let text = fs::read_to_string(&journal).unwrap().replacen("{\"v\":1", "{\"v\":9", 1);
    fs::write(&journal, text).unwrap();
    let ended = scene.agent(&["replay", RUN]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("format version 9"), "{}", ended.stderr);
    assert_eq!(scene.agent(&["replay", "nowhere"]).code, Some(2));
}
