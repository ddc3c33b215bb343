//! A run becomes a scenario that passes, and its transcript a model that says the same again.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;

use std::fs;

use scene::{KERNEL, RUN, Scene, analysis, any, candidate, confirm, edit, eventful, read, revert, test};
use serde_json::{Value, json};

/// Records the scene's run, and returns the scenario's expectations.
fn record(scene: &Scene) -> Value {
    let ended = scene.agent(&["eval", "--record", RUN, "--to", "recorded"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("1 passed, 0 failed"), "{ended:?}");
    serde_json::from_slice(&fs::read(scene.root().join("recorded/expected.json")).unwrap()).unwrap()
}

#[test]
fn a_run_in_which_everything_happens_becomes_a_scenario_that_passes() {
    let scene = eventful();
    assert_eq!(scene.run().code, Some(0));
    let expected = record(&scene);
    let status = scene.json("status");
    assert_eq!(expected["stop"], status["stop_reason"]);
    assert_eq!(expected["commits"], status["keeps"]);
    assert_eq!(expected["refusals"].as_array().unwrap().len() as u64, status["refusals"].as_u64().unwrap());
    assert_eq!(expected["events"].as_array().unwrap().len(), scene.events().len());
    let mission = fs::read_to_string(scene.root().join("recorded/mission.md")).unwrap();
    assert!(
        mission.contains("deploy: {\"command\":\"exit 0\""),
        "what a run deployed is not deployed again: {mission}"
    );
    let again = scene.agent(&["eval", "--record", RUN, "--to", "recorded"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("it exists already"), "{again:?}");
}

#[test]
fn faults_bad_answers_forbidden_edits_reads_and_a_failure_for_good_are_recorded() {
    let scene = Scene::new("read: [notes.txt]\nforbidden: [clock]");
    scene.write("notes.txt", "a note\n");
    let turn = |calls: &[Value]| json!({"calls": calls}).to_string();
    let lines = [
        json!({"fault": "server"}).to_string(),
        json!({"calls": [], "problem": "refusal"}).to_string(),
        turn(&[read("notes.txt"), read("kernel"), read("/etc/passwd")]),
        turn(&[edit("time_us 80\nclock 1\n")]),
        turn(&[any("edit-kernel", json!({"change": "c", "edits": [{"search": "absent", "replace": ""}]}))]),
        turn(&[edit("time_us 80\nflaky x\n"), test(), analysis("KEEP")]),
        turn(&[any(
            "append-analysis",
            json!({"artifact": "artifacts/night/iter-0001/test-2.txt", "decision": "KEEP",
            "summary": "s", "feedback": "f", "next_step": "n"}),
        )]),
        turn(&[candidate(), analysis("KEEP"), confirm()]),
        turn(&[analysis("KEEP")]),
        turn(&[edit("time_us 79\nwrong x\n"), test()]),
        json!({"failed": "no credit"}).to_string(),
    ];
    scene.write("script.jsonl", lines.join("\n"));
    assert_eq!(scene.run().code, Some(12));
    let expected = record(&scene);
    let replies = fs::read_to_string(scene.root().join("recorded/replies.jsonl")).unwrap();
    assert!(
        replies.starts_with("{\"fault\":\"server\"}\n") && replies.contains("\"problem\":\"refusal\""),
        "{replies}"
    );
    let measured = fs::read_to_string(scene.root().join("recorded/measurements.jsonl")).unwrap();
    assert!(measured.contains("\"infra\":\"no_result\"") && measured.contains("\"fail\":\"wrong\""), "{measured}");
    assert_eq!(expected["stop"], "blocked");
    for rule in ["read-scope", "forbidden-tool"] {
        assert!(expected["refusals"].as_array().unwrap().contains(&json!(rule)), "{expected:#}");
    }
    fs::write(scene.root().join("recorded/replies.jsonl"), format!("{replies}{{\"calls\":[]}}\n")).unwrap();
    let ended = scene.agent(&["eval", "recorded"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("replies.jsonl: the last 1 were never asked for"), "{ended:?}");
}

#[test]
fn a_run_that_is_not_over_is_no_scenario() {
    let scene = eventful();
    assert_eq!(scene.run().code, Some(0));
    let (journal, lines) = (scene.artifacts().join("journal.jsonl"), scene.lines());
    fs::write(journal, lines[..lines.len() - 1].concat()).unwrap();
    let ended = scene.agent(&["eval", "--record", RUN, "--to", "recorded"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("the run is not over"), "{ended:?}");
    assert!(!scene.root().join("recorded").exists());
}

#[test]
fn a_transcript_is_played_by_the_run_s_id_and_by_its_folder() {
    let scene = Scene::new("budget: {iterations: 2}");
    scene.script(&[
        &[edit("time_us 80\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
        &[any(
            "append-analysis",
            json!({"artifact": "artifacts/night/iter-0001/final.txt", "decision": "KEEP",
            "summary": "s", "feedback": "f", "next_step": "n"}),
        )],
        &[edit("time_us 10\n"), revert(), test()],
    ]);
    assert_eq!(scene.run().code, Some(10));
    let ledger = |scene: &Scene, run: &str| {
        let ended = scene.agent(&["report", run, "--json"]);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        report["iterations"].as_array().unwrap().iter().map(|row| row["decision"].clone()).collect::<Vec<_>>()
    };
    for (id, model) in [("by-id", "replay:night"), ("by-folder", "replay:artifacts/night")] {
        scene.git(&["checkout", "-q", KERNEL]);
        let ended = scene.agent(&["run", "--mission", "mission.md", "--model", model, "--run-id", id, "-q"]);
        assert_eq!(ended.code, Some(10), "{ended:?}");
        assert_eq!(ledger(&scene, id), ledger(&scene, RUN));
    }
    scene.git(&["checkout", "-q", KERNEL]);
    let transcript = scene.artifacts().join("transcript.jsonl");
    let text = fs::read_to_string(&transcript).unwrap();
    let rest: Vec<_> = text.lines().skip(1).collect();
    fs::write(&transcript, rest.join("\n")).unwrap();
    let ended = scene.agent(&["run", "--mission", "mission.md", "--model", "replay:night", "--run-id", "gap", "-q"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("line 1 is turn 1, and turn 0 is missing"), "{ended:?}");
    assert!(!scene.root().join("artifacts/gap").exists(), "nothing was begun");
}
