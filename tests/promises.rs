//! What the README's table promises of a whole run, by the real program in a real repository.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use afterhours::artifact;
use afterhours::protocol::ContentHash;
use serde_json::{Value, json};

/// Believes what the kernel's text says of its own time.
const HARNESS: &str = r#"read -r word time <submission
printf '{"device":{"name":"DEVICE"},"cases":[{"id":"one","passed":true,"time_us":[%s]}]}' "$time" >"$AFTERHOURS_RESULT"
"#;

struct Night {
    folder: tempfile::TempDir,
}

impl Night {
    /// A kernel of 100 µs whose mission wants 50, and what the model will say, one list of calls a turn.
    fn new(extra: &str, turns: &[Value]) -> Self {
        let night = Self { folder: tempfile::tempdir().unwrap() };
        let mission = format!(
            "---\nkernel: kernel.txt\nharness: harness.sh\ntarget_us: 50\ngpu: cpu\nmodel: replay:turns.jsonl\n{extra}\n---\n"
        );
        let turns: Vec<_> = turns.iter().map(|calls| json!({ "calls": calls }).to_string()).collect();
        night.write("kernel.txt", "us 100\n");
        night.write("harness.sh", &HARNESS.replace("DEVICE", "cpu (test)"));
        night.write("mission.md", &mission);
        night.write("turns.jsonl", &turns.join("\n"));
        night.write("notes.txt", "first\n");
        night.git(&["init", "-q"]);
        night.git(&["add", "-A"]);
        night.git(&["commit", "-q", "-m", "the kernel as found"]);
        night
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn run_folder(&self) -> PathBuf {
        self.path("artifacts/night")
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn command(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        command.output().unwrap()
    }

    fn git(&self, args: &[&str]) -> String {
        let output = self.command("git", args);
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the exit code and what was printed.
    fn agent(&self, args: &[&str]) -> (i32, String) {
        let output = self.command(env!("CARGO_BIN_EXE_agent"), args);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    fn run(&self) -> (i32, String) {
        self.agent(&["run", "--mission", "mission.md", "--run-id", "night"])
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.agent(&["status", "night", "--json"]).1).unwrap()
    }

    fn events(&self) -> Vec<Value> {
        let journal = fs::read_to_string(self.run_folder().join("journal.jsonl")).unwrap();
        journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn edit(text: &str) -> Value {
    json!({"tool": "edit-kernel", "arguments": {"change": "a change", "text": text}})
}

fn test() -> Value {
    json!({"tool": "test-run"})
}

fn benchmark(profile: &str) -> Value {
    json!({"tool": "benchmark-run", "arguments": {"profile": profile}})
}

fn analysis(decision: &str) -> Value {
    json!({"tool": "append-analysis", "arguments": {
        "artifact": "$artifact", "decision": decision, "summary": "s", "feedback": "f", "next_step": "another change",
    }})
}

/// Turns that make the change to `text` and keep it.
fn keeping(text: &str) -> Vec<Value> {
    vec![
        json!([edit(text), test()]),
        json!([analysis("KEEP"), benchmark("candidate")]),
        json!([analysis("KEEP"), benchmark("final")]),
        json!([analysis("KEEP")]),
    ]
}

/// Turns that make the change to `text` and put it back.
fn reverting(text: &str) -> Vec<Value> {
    vec![json!([edit(text), test()]), json!([analysis("REVERT")])]
}

fn hash_of(path: &Path) -> String {
    ContentHash::of(&fs::read(path).unwrap()).to_string()
}

#[test]
fn a_kept_change_is_committed_with_its_artifacts_and_nothing_else_is_touched() {
    let night = Night::new("", &keeping("us 50\n"));
    night.write("notes.txt", "staged\n");
    night.git(&["add", "notes.txt"]);
    night.write("notes.txt", "not staged\n");
    let before = (night.git(&["rev-parse", "HEAD"]), night.git(&["diff", "--cached"]), night.git(&["stash", "list"]));

    let (code, _) = night.run();

    assert_eq!(code, 0);
    let after = (night.git(&["rev-parse", "HEAD"]), night.git(&["diff", "--cached"]), night.git(&["stash", "list"]));
    assert_eq!(after, before);
    assert_eq!(night.read("notes.txt"), "not staged\n");
    assert_eq!(night.git(&["diff", "--name-only", "HEAD", "agent/night"]), "kernel.txt\n");
    assert_eq!(night.git(&["show", "agent/night:kernel.txt"]), "us 50\n", "the measured text is the committed one");
    let message = night.git(&["show", "-s", "--format=%B", "agent/night"]);
    let named: Vec<_> = message.lines().filter_map(|line| line.strip_prefix("Afterhours-Artifact: ")).collect();
    assert_eq!(named.len(), 4, "{message}");
    for artifact in named {
        let (path, hash) = artifact.split_once(' ').unwrap();
        assert_eq!(hash_of(&night.run_folder().join(path)), hash, "{path}");
    }
}

#[test]
fn the_marks_lead_to_the_evidence_of_baseline_best_and_final_kernel() {
    let night = Night::new("", &keeping("us 50\n"));
    night.run();
    for (name, us, artifacts) in [("baseline", 100.0, 2), ("best", 50.0, 4), ("final", 50.0, 5)] {
        let mark: Value = serde_json::from_str(&night.read(&format!("artifacts/night/{name}.json"))).unwrap();
        assert_eq!(mark["us"], us, "{name}");
        let named = mark["artifacts"].as_array().unwrap();
        assert_eq!(named.len(), artifacts, "{name}");
        for reference in named {
            let path = night.run_folder().join(reference["path"].as_str().unwrap());
            assert_eq!(hash_of(&path), reference["hash"]);
        }
        // The figure is the one that the artifact's `json_result` has.
        let scored = &named[artifacts.min(3) - 1]["path"];
        let artifact = artifact::read(&night.run_folder().join(scored.as_str().unwrap())).unwrap();
        assert_eq!(artifact.json_result["afterhours"]["outcome"]["candidate"]["us"], us, "{name}");
    }
}

#[test]
fn each_iteration_is_reported_in_the_order_that_was_asked_for() {
    let night = Night::new("", &keeping("us 50\n"));
    let (_, shown) = night.run();
    let report = shown.split("iteration 1: KEEP").nth(1).unwrap();
    let rows = [
        "Change tried",
        "Smoke/test result",
        "Candidate benchmark result",
        "Final benchmark result",
        "Parsed median_us",
        "Decision",
        "Next single change",
    ];
    let places: Vec<_> = rows.iter().map(|row| report.find(row)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{report}");
}

#[test]
fn a_line_with_a_forbidden_tool_never_reaches_the_kernel() {
    let night = Night::new("", &[json!([edit("us 50\nsystem(\"popcorn-cli submit\")\n"), test()])]);
    assert_eq!(night.run().0, 12, "the recording ends");
    let events = night.events();
    let refused: Vec<_> = events.iter().filter(|event| event["type"] == "call_refused").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["fields"]["refusal"]["rule"], "forbidden-tool");
    assert!(!events.iter().any(|event| event["type"] == "edit_started"));
    assert_eq!(night.read("kernel.txt"), "us 100\n");
}

#[test]
fn a_result_from_another_device_is_no_measurement() {
    let night = Night::new("", &[]);
    night.write("harness.sh", &HARNESS.replace("DEVICE", "NVIDIA B200"));
    assert_eq!(night.run().0, 12);
    let status = night.status();
    assert!(status["baseline_us"].is_null());
    assert_eq!(status["infra_failures"], 2, "it is repeated once");
    assert!(status["stop_detail"].as_str().unwrap().contains("a result came from NVIDIA B200"), "{status}");
}

#[test]
fn a_text_of_somebody_else_s_is_saved_before_the_kernel_is_put_right() {
    let night = Night::new("budget: { iterations: 1 }", &reverting("us 60\n"));
    assert_eq!(night.run().0, 10);
    night.write("kernel.txt", "us 7, by hand\n");
    assert_eq!(night.agent(&["resume", "night", "--max-iterations", "2"]).0, 12, "the recording ends");
    assert_eq!(night.read("kernel.txt"), "us 100\n");
    let rescued: Vec<_> = fs::read_dir(night.run_folder().join("rescued")).unwrap().collect();
    assert_eq!(rescued.len(), 1);
    assert_eq!(fs::read_to_string(rescued[0].as_ref().unwrap().path()).unwrap(), "us 7, by hand\n");
}

#[test]
fn a_harness_that_changed_during_the_run_measures_nothing_more() {
    let turns = [reverting("us 60\n"), vec![json!([edit("us 50\n"), test()])]].concat();
    let night = Night::new("budget: { iterations: 1 }", &turns);
    assert_eq!(night.run().0, 10);
    night.write("harness.sh", "exit 0\n");
    assert_eq!(night.agent(&["resume", "night", "--max-iterations", "2"]).0, 12);
    assert!(night.status()["stop_detail"].as_str().unwrap().contains("changed during the run"));
    assert_eq!(night.read("kernel.txt"), "us 100\n", "the change in flight was put back");
}

#[test]
fn a_deploy_runs_once_before_the_loop_and_again_only_when_its_files_change() {
    let night = Night::new("deploy: { command: 'echo deployed >> log.txt', files: [app.txt] }", &[]);
    night.write("app.txt", "first\n");
    let deploys_after = |run: &str| {
        night.agent(&["run", "--mission", "mission.md", "--run-id", run]);
        night.read("log.txt").lines().count()
    };
    assert_eq!(deploys_after("one"), 1);
    assert_eq!(deploys_after("two"), 1);
    night.write("app.txt", "second\n");
    assert_eq!(deploys_after("three"), 2);
}
