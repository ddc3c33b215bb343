//! A run that is killed goes on, and comes to the same end as one that was left in peace.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use afterhours::protocol::ContentHash;
use rustix::process::Signal;
use scene::{BEGIN, KERNEL, RUN, Scene, edit, eventful, eventually, test};
use serde_json::{Value, json};

const RESUME: [&str; 3] = ["resume", RUN, "--json"];

/// What must be the same at the end, however often the run was killed: everything but times, and what depends on them.
fn end_of(scene: &Scene) -> String {
    let (mut status, mut report) = (scene.json("status"), scene.json("report"));
    assert_evidence_stands(scene, &status);
    for value in [&mut status, &mut report] {
        forget_times(value);
    }
    let commits = scene.git(&["log", "--raw", "--no-abbrev", "--format=%s", &format!("main..agent/{RUN}")]);
    let (kernel, files) = (scene.kernel(), files(scene));
    format!("{status:#}\n{report:#}\nkernel:\n{kernel}\ncommits:\n{commits}\n{files:#?}")
}

/// Every artifact that a commit names is the one on disk, and stands in the commit's message.
fn assert_evidence_stands(scene: &Scene, status: &Value) {
    for commit in status["commits"].as_array().unwrap() {
        let message = scene.git(&["log", "-1", "--format=%B", commit["sha"].as_str().unwrap()]);
        for artifact in commit["artifacts"].as_array().unwrap() {
            let (path, hash) = (artifact["path"].as_str().unwrap(), artifact["hash"].as_str().unwrap());
            assert_eq!(ContentHash::of(&fs::read(scene.artifacts().join(path)).unwrap()).to_string(), hash);
            assert!(message.contains(&format!("Afterhours-Artifact: {path} {hash}")), "{message}");
        }
    }
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in ["sha", "hash", "wall_s", "harness_s", "model_s", "overhead_ms", "resumes"] {
                map.remove(key);
            }
            map.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        _ => {}
    }
}

fn files(scene: &Scene) -> BTreeMap<String, usize> {
    let mut files = BTreeMap::new();
    let mut pending = vec![scene.artifacts()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(scene.artifacts()).unwrap().to_str().unwrap().to_owned();
            // These two tell of every process and every exchange, the interrupted ones included.
            let lines = match name.as_str() {
                "journal.jsonl" | "transcript.jsonl" | "run.log" => 0,
                _ => fs::read(&path).unwrap().split(|byte| *byte == b'\n').count(),
            };
            files.insert(name, lines);
        }
    }
    files
}

/// The end of a night in peace, and how many events it has.
fn undisturbed() -> (String, usize) {
    let scene = eventful();
    let ended = scene.run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let events = scene.events();
    for kind in [
        "deploy_finished",
        "call_refused",
        "call_failed",
        "file_read",
        "revert_finished",
        "commit_finished",
        "closing",
        "run_stopped",
    ] {
        assert!(events.iter().any(|event| event == kind), "{kind}");
    }
    assert_eq!(scene.kernel(), "time_us 40\n");
    let (status, counts) = (scene.json("status"), ["keeps", "reverts", "refusals", "infra_failures", "failed_calls"]);
    assert_eq!(counts.map(|key| status[key].as_u64().unwrap()), [2, 3, 2, 1, 1]);
    assert_eq!(status["tokens"], json!({"prompt": 1100, "cached": 0, "completion": 110}));
    (end_of(&scene), events.len())
}

/// Compares the run that has come to its end with the one in peace.
fn assert_same(scene: &Scene, peace: &str, what: &str) {
    let end = end_of(scene);
    let differ = end.lines().zip(peace.lines()).find(|(line, other)| line != other);
    assert!(end == peace, "{what}: {differ:?}");
    let finished = scene.events().iter().filter(|event| *event == "iteration_finished").count();
    assert_eq!(finished, 5, "{what}: no iteration is lost or counted twice");
}

#[test]
fn killed_behind_any_event_it_comes_to_the_same_end() {
    let (peace, events) = undisturbed();
    let next = AtomicUsize::new(1);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from).min(8) {
            scope.spawn(|| {
                loop {
                    let event = next.fetch_add(1, Ordering::Relaxed);
                    if event > events {
                        break;
                    }
                    let scene = eventful();
                    let mut held = scene.hold(&BEGIN);
                    held.until(event).unwrap();
                    held.kill();
                    let ended = scene.agent(&RESUME);
                    assert_eq!(ended.code, Some(0), "killed behind event {event}: {ended:?}");
                    assert_same(&scene, &peace, &format!("killed behind event {event}"));
                }
            });
        }
    });
}

/// Kills the run behind each of its events in turn, and whoever resumes it behind the next one. `cut` is what the machine
/// loses of the journal each time.
fn kill_again_and_again(step: usize, cut: impl Fn(&Scene)) {
    let (peace, _) = undisturbed();
    let scene = eventful();
    let mut held = scene.hold(&BEGIN);
    held.until(2).unwrap();
    held.kill();
    let code = loop {
        let events = scene.events();
        // A question to the model that was not answered is asked anew.
        let asked = usize::from(events.last().is_some_and(|event| event == "turn_started"));
        let mut held = scene.hold(&RESUME);
        if let Err(code) = held.until(events.len() + step + asked) {
            break code;
        }
        held.kill();
        cut(&scene);
    };
    assert_eq!(code, Some(0));
    assert_same(&scene, &peace, "killed again and again");
}

#[test]
fn killed_behind_every_event_in_a_row_it_comes_to_the_same_end() {
    // Each process writes that it goes on, and one event more.
    kill_again_and_again(2, |_| {});
}

#[test]
fn killed_in_the_middle_of_every_event_in_a_row_it_comes_to_the_same_end() {
    // What an event tells of is done, and the event is not on the disk: half of its line is.
    kill_again_and_again(3, |scene| {
        let path = scene.artifacts().join("journal.jsonl");
        let half = scene.lines().last().unwrap().len() as u64 / 2;
        let journal = File::options().write(true).open(path).unwrap();
        journal.set_len(journal.metadata().unwrap().len() - half).unwrap();
    });
}

#[test]
fn killed_in_the_middle_of_a_measurement_it_leaves_no_process_of_the_harness() {
    let scene = Scene::new("");
    scene.write(KERNEL, "sleep 1000\ntime_us 100\n");
    scene.script(&[]);
    for args in [&BEGIN[..], &RESUME, &RESUME] {
        let running = scene.start(args);
        eventually("the harness sleeps", || scene.harness_processes().len() >= 2);
        running.signal(Signal::KILL);
        assert_eq!(running.end().code, None);
        eventually("the harness is gone", || scene.harness_processes().is_empty());
    }
    assert_eq!(scene.json("status")["live"], false);
}

#[test]
fn a_run_that_died_before_its_first_event_is_no_run_and_its_name_is_free() {
    let scene = Scene::new("");
    scene.script(&[&[edit("time_us 40\n"), test()]]);
    fs::create_dir_all(scene.artifacts()).unwrap();
    fs::write(scene.artifacts().join("journal.jsonl"), "").unwrap();
    let status = scene.agent(&["status"]);
    assert_eq!(status.code, Some(2));
    assert!(
        status.stderr.contains("there is no run in") && status.stderr.contains("agent run --mission"),
        "{status:?}"
    );
    let ended = scene.run();
    assert_eq!(ended.code, Some(12), "the recording ends: {ended:?}");
    assert!(scene.lines().len() > 1);
}
