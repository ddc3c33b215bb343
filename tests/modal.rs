//! Modal: the app's own code with Modal's client, and the near side against a stand-in for that client.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use scene::{Ended, Scene, skipped};

/// A stand-in for Modal's client: `FAKE` takes the place of what Modal would do.
const CLIENT: &str = r#"
import types, sys
class AuthError(Exception): pass
class NotFoundError(Exception): pass
class TooLong(Exception): pass
class FunctionTimeoutError(TooLong): pass
exception = types.ModuleType("modal.exception")
exception.AuthError, exception.NotFoundError = AuthError, NotFoundError
exception.TimeoutError, exception.FunctionTimeoutError = TooLong, FunctionTimeoutError
sys.modules["modal.exception"] = exception
class Call:
    def get(self): return FAKE()
    def cancel(self): pass
class Cls:
    @staticmethod
    def from_name(app, name): return Cls()
    def hydrate(self): CHECK()
    def with_options(self, **options): return self
    def __call__(self): return self
    @property
    def run(self): return self
    def spawn(self, orders, seconds): return Call()
"#;

/// Runs `agent ARGS` where Modal's client does `check` when asked for the app, and `call` when called.
fn agent(check: &str, call: &str, args: &[&str]) -> Ended {
    let scene = Scene::new("runner: modal\n");
    let raise = "\ndef fail(error): raise error\n";
    scene.write("client/modal/__init__.py", format!("{CLIENT}{raise}CHECK = lambda: {check}\nFAKE = lambda: {call}\n"));
    let client = scene.root().join("client");
    scene.with_variable("PYTHONPATH", client).agent(args)
}

const RUN: [&str; 5] = ["run", "--mission", "mission.md", "--run-id", "night"];

#[test]
fn without_credentials_or_an_app_no_run_begins_and_the_remedy_is_named() {
    for (error, remedy) in
        [("AuthError('Token missing')", "modal token new"), ("NotFoundError('no app')", "agent deploy")]
    {
        let ended = agent(&format!("fail({error})"), "None", &RUN);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains(remedy), "{ended:?}");
    }
}

#[test]
fn what_goes_wrong_in_a_call_is_told_apart() {
    let answer = |stdout: &str| format!("dict(stdout=b'{stdout}', stderr=b'told why', exit_code=9, timed_out=False)");
    let tool = [
        "tool",
        "benchmark-run",
        "--kernel",
        "kernel.txt",
        "--harness",
        "harness.sh",
        "--gpu",
        "cpu",
        "--runner",
        "modal",
    ];
    for (call, word) in [
        ("fail(AuthError('x'))".to_owned(), "modal token new"),
        ("fail(NotFoundError('x'))".to_owned(), "agent deploy"),
        ("fail(FunctionTimeoutError('x'))".to_owned(), "longer than it may"),
        ("fail(ConnectionError('reset'))".to_owned(), "ConnectionError: reset"),
        ("dict(timed_out=True)".to_owned(), "gave no answer"),
        (answer(""), "told why"),
        (answer("{\"begun\":"), "told why"),
        (answer("{\"rm\": 1}\\n"), "damaged"),
    ] {
        let ended = agent("None", &call, &tool);
        assert_ne!(ended.code, Some(0), "{call}: {ended:?}");
        assert!(format!("{ended:?}").contains(word), "{call}: {ended:?}");
    }
}

/// Calls the class's method in this process, by Modal's client, with `agent` in the agent's place.
fn local(agent: &str, orders: &str) -> Option<String> {
    let python = env::var_os("MODAL_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let there = Command::new(&python).args(["-c", "import modal"]).output().is_ok_and(|output| output.status.success());
    if !there {
        skipped("Modal's client: MODAL_PYTHON names no python that has it");
        return None;
    }
    let script = "import sys; sys.path.insert(0, 'tools'); import modal_app; modal_app.SLACK = modal_app.GRACE = 1\n\
                  r = modal_app.Duel().run.local(sys.argv[1].encode() + b'\\n', 4.0); print(r)";
    let output = Command::new(python)
        .args(["-c", script, orders])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("AFTERHOURS_AGENT", agent)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_job_goes_through_the_class_of_the_app() {
    let exec = r#"{"program":{"named":"sh"},"args":["-c","echo timed"],"env":[],"stdin":"","result":null}"#;
    let job = format!(
        r#"{{"gpu":"cpu","stages":[{{"role":"candidate","files":[],"build":[]}}],"blocks":[{{"role":"candidate","exec":{exec}}}],"first_pair":0,"timeout":{{"secs":3,"nanos":0}}}}"#
    );
    let program = concat!("afterhours ", env!("CARGO_PKG_VERSION"));
    let orders = format!(r#"{{"form":1,"program":"{program}","same":"version","sandbox":"best_effort","job":{job}}}"#);
    let Some(result) = local(env!("CARGO_BIN_EXE_agent"), &orders) else { return };
    assert!(result.contains("timed") && result.contains("\"done\"") && result.contains("'exit_code': 0"), "{result}");
}

#[test]
fn an_agent_that_dies_or_hangs_is_told_from_one_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    for (script, word) in [
        ("kill -9 $$", "'exit_code': -9"),
        ("exec sleep 1000", "'timed_out': True"),
        // Somebody holds its output for longer than it lives.
        ("sleep 30 & exec sleep 1000", "'timed_out': True"),
        // One that is told by the end of its input, and tidies up.
        ("cat >/dev/null; exit 7", "'exit_code': 7, 'timed_out': True"),
    ] {
        let agent = folder.path().join("agent");
        fs::write(&agent, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&agent, mode).unwrap();
        let Some(result) = local(agent.to_str().unwrap(), "{}") else { return };
        assert!(result.contains(word), "{result}");
    }
}
