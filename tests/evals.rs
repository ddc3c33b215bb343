//! The shipped scenarios, and scenarios that cannot be played.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use afterhours::cli::Exit;
use afterhours::eval::{Scenario, find, play};

const GOOD: [(&str, &str); 5] = [
    ("mission.md", "---\nkernel: kernel.txt\nharness: harness.sh\ngpu: cpu\ntarget_us: 50\n---\nMake it fast.\n"),
    ("kernel.txt", "step 1\n"),
    ("replies.jsonl", ""),
    ("measurements.jsonl", "{\"us\":100}\n{\"us\":100}\n"),
    ("expected.json", "{\"stop\": \"blocked\", \"exit\": 12}"),
];

/// Writes a good scenario in which `file` holds `text` instead.
fn scenario(folder: &Path, file: &str, text: &str) {
    fs::create_dir_all(folder).unwrap();
    for (name, good) in GOOD {
        fs::write(folder.join(name), good).unwrap();
    }
    fs::write(folder.join(file), text).unwrap();
}

fn eval(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agent")).arg("eval").args(args).current_dir(folder).output().unwrap()
}

#[test]
fn every_shipped_scenario_passes() {
    let folders = find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("evals")).unwrap();
    let scenarios: Vec<_> = folders.iter().map(|folder| Scenario::read(folder).unwrap()).collect();
    let results = play(&scenarios, |reason| Exit::from(reason) as u8);
    assert!(scenarios.len() >= 40);
    assert_eq!(results.failed, 0, "{}", results.text());
}

#[test]
fn a_scenario_that_cannot_be_played_is_named_with_its_file_and_key() {
    let table = [
        ("expected.json", "{}", "expected.json: nothing is expected"),
        ("expected.json", "{\"stpo\": \"user\"}", "unknown field `stpo`"),
        ("expected.json", "{\"stop\": \"asleep\"}", "expected.json: stop: \"asleep\" is no way to stop"),
        ("expected.json", "{\"exit\": 1}", "expected.json: exit: a run does not end with 1"),
        ("expected.json", "{\"events\": [\"run_started\", \"run_begun\"]}", "events[1]: unknown variant `run_begun`"),
        ("expected.json", "{\"refusals\": [\"two-changes\"]}", "refusals[0]: unknown variant `two-changes`"),
        ("expected.json", "{\"iterations\": [{\"decision\": \"KEEP\", \"cause\": \"stuck\"}]}", "a KEEP has no cause"),
        ("expected.json", "{\"iterations\": [{\"decision\": \"MAYBE\"}]}", "iterations[0].decision: unknown variant"),
        ("expected.json", "{\"commits\": 0} {}", "trailing characters"),
        ("expected.json", "{\"stop_after\": 3}", "nothing is expected"),
        ("expected.json", "{\"exit\": 12, \"stop_after\": 0}", "events count from 1"),
        ("expected.json", "{\"exit\": 12, \"resume_after\": [5, 5]}", "each after the one before"),
        ("measurements.jsonl", "{\"blocks\":[\"x\"]}", "line 1: blocks: blocks are pairs"),
        ("replies.jsonl", "{\"fault\":\"tired\"}", "unknown variant `tired`"),
        (
            "measurements.jsonl",
            "{\"us\":1}\n\n{\"us\":1,\"fail\":\"crash\"}",
            "measurements.jsonl: line 3: a measurement has",
        ),
        ("measurements.jsonl", "{\"fail\":\"slow\"}", "line 1: fail: unknown variant `slow`"),
        ("measurements.jsonl", "{\"us\":-1}", "-1 is not a time"),
        ("measurements.jsonl", "{\"us\":1,\"spread\":2}", "spread: 2 is not from 0"),
        ("measurements.jsonl", "{\"blocks\":[]}", "there is no pair"),
        ("replies.jsonl", "{\"call\":[]}", "line 1 of the recording"),
        (
            "mission.md",
            "---\nkernel: k.c\nharness: harness.sh\ngpu: cpu\ntarget_us: 5\n---\n",
            "mission.md: kernel: is \"k.c\"",
        ),
        ("mission.md", "---\nkernel: kernel.txt\nharness: harness.sh\ntarget_us: 5\n---\n", "gpu: is \"B200\""),
        ("mission.md", "---\nkernel: kernel.txt\nharness: harness.sh\n---\n", "no target"),
    ];
    let folder = tempfile::tempdir().unwrap();
    scenario(&folder.path().join("001_good"), "kernel.txt", "step 1\n");
    for (file, text, says) in table {
        scenario(&folder.path().join("002_bad"), file, text);
        let ended = eval(&["."], folder.path());
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{text}: {stderr}");
        assert!(stderr.contains(says), "{text}: {stderr}");
        assert!(ended.stdout.is_empty(), "nothing is played before all are read");
    }
    let ended = eval(&["nowhere"], folder.path());
    assert_eq!(ended.status.code(), Some(2));
}

#[test]
fn a_failure_shows_the_difference_in_every_output() {
    let table = [
        ("expected.json", "{\"exit\": 10}", "exit: expected 10, found 12"),
        ("expected.json", "{\"commits\": 1}", "commits: expected 1, found 0"),
        ("expected.json", "{\"kernel\": \"step 2\\n\"}", "kernel: expected \"step 2\\n\", found \"step 1\\n\""),
        (
            "expected.json",
            "{\"events\": [\"blocked\", \"run_started\"]}",
            "events[1]: there is no run_started after those",
        ),
        ("expected.json", "{\"exit\": 12, \"stop_after\": 99}", "stop_after: there is no event 99; the run has 12"),
        ("expected.json", "{\"exit\": 12, \"resume_after\": [2, 98]}", "resume_after: there is no event 98"),
        ("expected.json", "{\"blocked\": \"no credit\"}", "does not say \"no credit\""),
        ("replies.jsonl", "{\"failed\":\"gone\"}\n{\"calls\":[]}\n", "replies.jsonl: the last 1 were never asked for"),
        (
            "measurements.jsonl",
            "{\"us\":100}\n{\"recorded\":{\"cases\":[\"a\"],\"candidate\":[[[99,100]]]}}\n",
            "measurement 2 ends after 1 blocks of a side, and the run wants more",
        ),
        ("measurements.jsonl", "{\"us\":100}\n", "the run asks for measurement 2, and there is none"),
        (
            "measurements.jsonl",
            "{\"us\":1,\"incumbent_us\":2}\n",
            "measurement 1 is a duel, and the run measures one side",
        ),
        ("measurements.jsonl", "{\"us\":100}\n{\"us\":100}\n{\"us\":100}\n", "the last 1 were never asked for"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (file, text, says) in table {
        scenario(&folder.path().join("001_it"), file, text);
        let ended = eval(&["001_it", "--junit", "out.xml"], folder.path());
        let stdout = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{text}: {stdout}");
        assert!(stdout.contains(says) && stdout.contains("001_it    FAILED"), "{text}: {stdout}");
        assert!(fs::read_to_string(folder.path().join("out.xml")).unwrap().contains("failures=\"1\""));
        let json: serde_json::Value =
            serde_json::from_slice(&eval(&["001_it", "--json"], folder.path()).stdout).unwrap();
        let failures = json.pointer("/scenarios/0/failures").unwrap().as_array().unwrap();
        assert!(failures.iter().any(|failure| failure.as_str().unwrap().contains(says)), "{json:#}");
    }
}

#[test]
fn a_folder_of_another_collection_among_scenarios_is_none_and_a_torn_scenario_is_named() {
    let folder = tempfile::tempdir().unwrap();
    scenario(&folder.path().join("001_good"), "kernel.txt", "step 1\n");
    fs::create_dir_all(folder.path().join("hacks/clock")).unwrap();
    fs::write(folder.path().join("hacks/README.md"), "not a scenario").unwrap();
    assert_eq!(find(folder.path()).unwrap().len(), 1);
    fs::create_dir_all(folder.path().join("002_torn")).unwrap();
    fs::write(folder.path().join("002_torn/kernel.txt"), "step 1\n").unwrap();
    let ended = eval(&["."], folder.path());
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("002_torn"), "it is named");
}
