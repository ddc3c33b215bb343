//! Modal: the app's own code with Modal's client, and the near side against a stand-in for Modal.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use rustix::process::Signal;
use scene::{Ended, Scene, analysis, candidate, confirm, edit, eventually, skipped, test};
use serde_json::Value;

/// A mission on Modal, in a place where Modal is a folder.
struct Place {
    scene: Scene,
}

impl Place {
    /// A scene whose mission says `extra` besides.
    fn new(extra: &str) -> Self {
        let scene = Scene::new(extra);
        let (client, room) = (scene.outside().join("client"), scene.outside().join("modal"));
        fs::create_dir_all(client.join("modal")).unwrap();
        fs::create_dir_all(&room).unwrap();
        for (name, text) in [
            ("__init__.py", include_str!("fixtures/modal/modal/__init__.py")),
            ("__main__.py", include_str!("fixtures/modal/modal/__main__.py")),
        ] {
            fs::write(client.join("modal").join(name), text).unwrap();
        }
        Self { scene: scene.with_variable("PYTHONPATH", client).with_variable("MODAL_ROOM", room) }
    }

    fn with(self, name: &str, value: impl Into<OsString>) -> Self {
        Self { scene: self.scene.with_variable(name, value) }
    }

    fn room(&self) -> PathBuf {
        self.scene.outside().join("modal")
    }

    /// The folders of the apps that are deployed, the newest last.
    fn apps(&self) -> Vec<PathBuf> {
        let mut apps: Vec<_> = fs::read_dir(self.room()).unwrap().map(|entry| entry.unwrap().path()).collect();
        apps.sort_by_key(|app| fs::metadata(app).unwrap().modified().unwrap());
        apps
    }

    /// What `modal app stop` does.
    fn stop(&self, app: &Path) {
        fs::remove_dir_all(app).unwrap();
    }

    /// A night of one change that reaches the target.
    fn night(&self) -> Ended {
        let turn = [edit("time_us 40\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()];
        self.scene.script(&[&turn, &[analysis("KEEP")]]);
        self.scene.run()
    }

    fn deploy(&self, args: &[&str]) -> Ended {
        self.scene.agent(&[&["deploy", "--mission", "mission.md"], args].concat())
    }

    /// The same program as another build, with `args`.
    fn other_build(&self, args: &[&str]) -> Ended {
        let other = self.scene.outside().join("agent");
        let mut program = fs::read(env!("CARGO_BIN_EXE_agent")).unwrap();
        // The note in which the linker wrote the build's id: 4 bytes of name, 20 of id.
        let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
        let found = program.windows(note.len()).position(|bytes| bytes == note).unwrap();
        program[found + note.len()] ^= 1;
        fs::write(&other, program).unwrap();
        fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self.scene.command(other.to_str().unwrap(), args).output().unwrap().into()
    }
}

const BENCHMARK: [&str; 10] =
    ["tool", "benchmark-run", "--kernel", "kernel.txt", "--harness", "harness.sh", "--gpu", "cpu", "--runner", "modal"];

#[test]
fn the_first_run_deploys_the_app_once_and_measures_through_it() {
    let place = Place::new("runner: modal");
    let ended = place.night();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let events = place.scene.events();
    assert_eq!(events[..4], ["run_started", "deploy_started", "deploy_finished", "measure_started"]);
    assert_eq!(events.iter().filter(|event| *event == "deploy_started").count(), 1);
    let artifact = fs::read_to_string(place.scene.artifacts().join("iter-0001/final.txt")).unwrap();
    assert!(artifact.contains("\nhost: Modal ta-1\n"), "{artifact}");

    let ended = place.scene.agent(&["run", "--mission", "mission.md", "--run-id", "later", "--max-iterations", "1"]);
    assert!(!ended.stdout.contains("deploy"), "{ended:?}");
    assert_eq!(place.scene.agent(&["replay", "night"]).code, Some(0));
}

#[test]
fn the_app_is_deployed_by_hand_where_it_is_not_there() {
    let place = Place::new("");
    let (due, not_due) = ((Some(0), "deployed"), (Some(0), "nothing to deploy"));
    let look = |ended: Ended, (code, word): (Option<i32>, &str)| {
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stdout.contains(word), "{ended:?}");
    };
    let modal = ["--runner", "modal"];
    assert_eq!(place.deploy(&[]).code, Some(2), "a runner that needs nothing, and no step of the mission's own");
    look(place.deploy(&modal), due);
    look(place.deploy(&modal), not_due);
    fs::remove_dir_all(place.scene.root().join("artifacts")).unwrap();
    look(place.deploy(&modal), not_due);
    place.stop(&place.apps()[0]);
    look(place.deploy(&modal), due);
    look(place.deploy(&modal), not_due);
}

#[test]
fn two_builds_on_one_account_have_an_app_each_and_neither_is_in_the_other_s_way() {
    let place = Place::new("runner: modal");
    let deploy = ["deploy", "--mission", "mission.md"];
    for said in ["deployed", "nothing to deploy"] {
        for ended in [place.deploy(&[]), place.other_build(&deploy)] {
            assert!(ended.code == Some(0) && ended.stdout.contains(said), "{ended:?}");
        }
    }
    let [ours, theirs] = &place.apps()[..] else { panic!("{:?}", place.apps()) };
    assert_eq!(fs::read_link(theirs.join("agent")).unwrap(), place.scene.outside().join("agent"));
    let ended = place.night();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!place.scene.events().iter().any(|event| event == "deploy_started"));
    let ended = place.other_build(&BENCHMARK);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The name tells which one is to be deployed.
    place.stop(ours);
    let ended = place.scene.agent(&BENCHMARK);
    let name = ours.file_name().unwrap().to_str().unwrap();
    assert!(ended.code == Some(3) && ended.stderr.contains(name) && ended.stderr.contains("agent deploy"), "{ended:?}");
}

#[test]
fn the_mission_s_own_step_comes_in_the_app_s_place() {
    let place = Place::new(
        "runner: modal\ndeploy: {command: 'echo own && python3 -m modal deploy \"$AFTERHOURS_APP\"', files: [harness.sh]}",
    );
    let ended = place.night();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("own\\ndeployed"), "{ended:?}");
}

#[test]
fn a_deploy_that_fails_twice_blocks_the_run_before_anything_is_measured() {
    let place = Place::new("runner: modal").with("MODAL_REFUSES", "no builder is free");
    let ended = place.night();
    assert_eq!(ended.code, Some(12), "{ended:?}");
    assert_eq!(place.scene.events().iter().filter(|event| *event == "deploy_finished").count(), 2);
    assert!(!place.scene.events().iter().any(|event| event == "measure_started"));
    assert!(ended.stdout.contains("no builder is free"), "{ended:?}");
}

#[test]
fn another_build_in_this_build_s_app_blocks_the_run_until_the_app_is_stopped_and_deployed_anew() {
    let place = Place::new("runner: modal");
    assert_eq!(place.other_build(&["deploy", "--mission", "mission.md"]).code, Some(0));
    let agent = fs::read_link(place.apps()[0].join("agent")).unwrap();
    assert_eq!(place.deploy(&[]).code, Some(0));
    // A deploy of somebody's own put theirs there.
    let ours = place.apps()[1].clone();
    fs::remove_file(ours.join("agent")).unwrap();
    std::os::unix::fs::symlink(agent, ours.join("agent")).unwrap();
    let ended = place.night();
    assert_eq!(ended.code, Some(12), "{ended:?}");
    let remedy = format!("modal app stop {}`, then `agent deploy", ours.file_name().unwrap().to_str().unwrap());
    assert!(ended.stdout.contains("another build") && ended.stdout.contains(&remedy), "{ended:?}");

    place.stop(&ours);
    let ended = place.scene.agent(&["resume", "night"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("agent deploy"), "{ended:?}");
    assert_eq!(place.deploy(&[]).code, Some(0));
    let ended = place.scene.agent(&["resume", "night"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn without_credentials_no_run_begins_and_the_remedy_is_named() {
    let place = Place::new("runner: modal").with("MODAL_CHECK", "fail(AuthError('Token missing'))");
    for ended in [place.night(), place.deploy(&[])] {
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains("modal token new"), "{ended:?}");
    }
    assert!(!place.scene.artifacts().exists());
}

#[test]
fn what_goes_wrong_in_a_call_is_told_apart() {
    for (call, word) in [
        ("fail(AuthError('x'))", "modal token new"),
        ("fail(NotFoundError('x'))", "agent deploy"),
        ("fail(FunctionTimeoutError('x'))", "longer than it may"),
        ("fail(ConnectionError('reset'))", "ConnectionError: reset"),
        ("dict(timed_out=True)", "gave no answer"),
    ] {
        let ended = Place::new("").with("MODAL_CALL", call).scene.agent(&BENCHMARK);
        assert_ne!(ended.code, Some(0), "{call}: {ended:?}");
        assert!(format!("{ended:?}").contains(word), "{call}: {ended:?}");
    }
}

#[test]
fn no_answer_but_a_whole_one_to_what_was_asked_is_a_measurement() {
    let begun = r#"b'{"begun":{"host":"x\\nsandbox: full","protections":null}}\n'"#;
    let ran = |role: &str, part: &str| {
        let result = "eyJkZXZpY2UiOnsibmFtZSI6ImNwdSAoeCkifSwiY2FzZXMiOlt7ImlkIjoib25lIiwicGFzc2VkIjp0cnVlLCJ0aW1lX3VzIjpbMV19XX0=";
        format!(
            r#"b'{{"ran":{{"role":"{role}","part":{part},"command":"x","exit":{{"code":0}},"stdout":"","stderr":"","result":"{result}","elapsed":{{"secs":0,"nanos":1}}}}}}\n'"#
        )
    };
    let (first, done) = (ran("candidate", r#"{"block":0}"#), r#"b'"done"\n'"#);
    let [other_side, another] = [ran("incumbent", r#"{"block":0}"#), ran("candidate", r#"{"block":5}"#)];
    for (answer, word) in [
        (String::new(), "told why"),
        (r#"b'{"begun":'"#.to_owned(), "told why"),
        (r#"b'{"rm": 1}\n'"#.to_owned(), "damaged"),
        ("b'{' * (65 << 20)".to_owned(), "damaged"),
        ("bytes(range(256)) * 5000".to_owned(), "told why"),
        (format!("{begun} + bytes(range(256)) * 5000"), "damaged"),
        (format!("{begun} + {done}"), "says nothing of 6 processes"),
        (format!("{begun} + {first} + {done}"), "says nothing of 5 processes"),
        (format!("{begun} + {first} * 6 + {done}"), "not its turn"),
        (format!("{begun} + {other_side} + {done}"), "not its turn"),
        (format!("{begun} + {another} + {done}"), "not its turn"),
    ] {
        let ended = Place::new("").with("MODAL_CALL", format!("answer({answer})")).scene.agent(&BENCHMARK);
        assert_ne!(ended.code, Some(0), "{answer}: {ended:?}");
        assert!(format!("{ended:?}").contains(word), "{answer}: {ended:?}");
    }
    for call in ["None", "dict(stdout='text')", "answer(7)"] {
        let ended = Place::new("").with("MODAL_CALL", call).scene.agent(&BENCHMARK);
        assert!(ended.code != Some(0) && format!("{ended:?}").contains("torn"), "{call}: {ended:?}");
    }
}

#[test]
fn what_a_kernel_prints_in_the_far_side_s_words_is_no_answer() {
    let place = Place::new("");
    assert_eq!(place.deploy(&["--runner", "modal"]).code, Some(0));
    let harness = fs::read_to_string(place.scene.root().join("harness.sh")).unwrap();
    let prints = "printf '%s\\n' '\"done\"' '{\"failed\":{\"missing\":\"x\"}}' | tee /dev/stderr\n";
    place.scene.write("harness.sh", format!("{prints}{harness}"));
    let ended = place.scene.agent(&BENCHMARK);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("100.0 µs"), "{ended:?}");
}

#[test]
fn a_job_that_is_dropped_or_whose_run_dies_is_cancelled() {
    for ends in [Signal::TERM, Signal::KILL] {
        let place = Place::new("runner: modal").with("MODAL_CALL", "wait()");
        let running = place.scene.start(&["run", "--mission", "mission.md", "--run-id", "night"]);
        eventually("a call", || place.room().join("called").exists());
        running.signal(ends);
        eventually("its cancelling", || place.room().join("cancelled").exists());
        let code = running.end().code;
        assert_eq!(code, (ends == Signal::TERM).then_some(11));
    }
}

/// The Python that has Modal's client; nothing, said loudly, where there is none.
fn python() -> Option<PathBuf> {
    let python = env::var_os("MODAL_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let there = Command::new(&python).args(["-c", "import modal"]).output().is_ok_and(|output| output.status.success());
    if !there {
        skipped("Modal's client: MODAL_PYTHON names no python that has it");
    }
    there.then_some(python)
}

#[test]
fn a_kernel_is_measured_through_the_app_as_it_is_on_this_machine() {
    let Some(python) = python() else { return };
    let place = Place::new("").with("MODAL_PYTHON", python);
    for file in ["kernel.c", "harness.toml", "reference.c"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/grayscale").join(file);
        place.scene.write(file, fs::read(shipped).unwrap());
    }
    assert_eq!(place.deploy(&["--runner", "modal"]).code, Some(0));
    let measure = |runner: &str| -> Value {
        let files = ["--kernel", "kernel.c", "--harness", "harness.toml", "--gpu", "cpu"];
        let rest = ["--stage-repeats", "3", "--json-out", "out.json", "--runner", runner];
        let ended = place.scene.agent(&[&["tool", "test-run"], &files[..], &rest].concat());
        assert_eq!(ended.code, Some(0), "{runner}: {ended:?}");
        serde_json::from_slice(&fs::read(place.scene.root().join("out.json")).unwrap()).unwrap()
    };
    let [here, there] = ["local", "modal"].map(measure);
    let evidence = |result: &Value| -> Vec<Value> {
        let ours = &result["afterhours"];
        let [outcome, block] = [&ours["outcome"], &ours["blocks"][0]];
        let ids = outcome["candidate"]["cases"].as_array().unwrap().iter().map(|case| case["id"].clone()).collect();
        assert!(outcome["candidate"]["us"].as_f64().unwrap() > 0.0, "{outcome}");
        assert_eq!(block["cases"][0]["time_us"].as_array().unwrap().len(), 3, "{block}");
        vec![ids, outcome["candidate"]["kernel"].clone(), outcome["device"].clone(), block["role"].clone()]
    };
    assert_eq!(evidence(&here), evidence(&there));
}

/// Calls the class's method in this process, by Modal's client, with `agent` in the agent's place.
fn local(agent: &Path) -> Option<String> {
    let script = "import sys; sys.path.insert(0, 'tools'); import modal_app; modal_app.SLACK = modal_app.GRACE = 1\n\
                  print(modal_app.Duel().run.local(b'{}\\n', 4.0))";
    let output = Command::new(python()?)
        .args(["-B", "-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("AFTERHOURS_AGENT", agent)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn an_agent_that_dies_or_hangs_is_told_from_one_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    for (script, word) in [
        ("echo timed", "'stdout': b'timed\\n', 'stderr': b'', 'exit_code': 0, 'timed_out': False"),
        ("kill -9 $$", "'exit_code': -9"),
        ("exec sleep 1000", "'timed_out': True"),
        // Somebody holds its output for longer than it lives.
        ("sleep 30 & exec sleep 1000", "'timed_out': True"),
        // One that is told by the end of its input, and tidies up.
        ("cat >/dev/null; exit 7", "'exit_code': 7, 'timed_out': True"),
    ] {
        let agent = folder.path().join("agent");
        fs::write(&agent, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let Some(result) = local(&agent) else { return };
        assert!(result.contains(word), "{result}");
    }
}
