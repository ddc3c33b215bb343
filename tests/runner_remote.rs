//! The far side by hand: what `agent job` does with orders, and when nobody waits for it any more.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use afterhours::harness::{Block, Exec, Job, Program, Role, Stage};
use afterhours::protocol::Gpu;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

fn orders(script: &str) -> Value {
    let exec = Exec {
        program: Program::Named("sh".to_owned()),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: Vec::new(),
        stdin: Vec::new(),
        result: Some("result.json".into()),
    };
    let stage =
        Stage { role: Role::Candidate, files: vec![("kernel.txt".into(), b"text".to_vec())], build: Vec::new() };
    let job = Job {
        gpu: Gpu("cpu".to_owned()),
        stages: vec![stage],
        blocks: vec![Block { role: Role::Candidate, exec }],
        turn_calls: None,
        first_pair: 0,
        timeout: Duration::from_secs(100),
    };
    let program = concat!("afterhours ", env!("CARGO_PKG_VERSION"));
    json!({"form": 1, "program": program, "same": "version", "sandbox": "best_effort", "job": job})
}

/// A far side at work, whose temporary folders are its own.
struct Far {
    child: Child,
    room: TempDir,
}

impl Far {
    fn start(orders: &Value) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), orders)
    }

    fn start_in(room: TempDir, orders: &Value) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_agent"))
            .arg("job")
            .env("TMPDIR", room.path())
            .env("SLURM_MEM_PER_NODE", "64")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{orders}").unwrap();
        Self { child, room }
    }

    /// Reads its answers to the end, and checks that it leaves nothing behind.
    fn answers(mut self) -> Vec<Value> {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        assert_eq!(fs::read_dir(self.room.path()).unwrap().count(), 0, "no folder may stay");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn wait_until_it_sleeps(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds_ready(self.room.path()) {
            assert!(Instant::now() < end, "it never began");
            sleep(Duration::from_millis(5));
        }
    }
}

/// Returns the folder of the job that has its place in `room`.
fn job_in(room: &Path) -> Option<PathBuf> {
    fs::read_dir(room).unwrap().next().map(|job| job.unwrap().path())
}

fn holds_ready(room: &Path) -> bool {
    job_in(room).is_some_and(|job| job.join("stage/candidate/ready").exists())
}

#[test]
fn a_job_is_run_in_a_private_folder_and_its_output_comes_back_whole() {
    let waits =
        "touch ready; until [ -e go ]; do sleep 0.01; done; cat kernel.txt && printf '\\377\\n' >$AFTERHOURS_RESULT";
    let far = Far::start(&orders(waits));
    far.wait_until_it_sleeps();
    let job = job_in(far.room.path()).unwrap();
    assert_eq!(fs::metadata(&job).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(job.join("stage/candidate/go"), "").unwrap();
    let answers = far.answers();
    assert!(answers.first().unwrap()["begun"]["host"].is_string(), "{answers:?}");
    assert_eq!(answers.last().unwrap(), "done");
    let ran = &answers[answers.len() - 2]["ran"];
    assert_eq!((&ran["stdout"], &ran["result"]), (&"text".into(), &"/wo=".into()), "{ran}");
}

#[test]
fn orders_of_another_version_another_build_or_none_are_answered_with_what_is_wrong() {
    let mut version = orders("true");
    version["program"] = "afterhours 99.0.0".into();
    let mut build = orders("true");
    build["same"] = json!({"build": "0".repeat(64)});
    for (orders, word) in [(version, "one version"), (build, "another build"), (json!("hello"), "one version")] {
        let answers = Far::start(&orders).answers();
        let message = answers.last().unwrap()["failed"]["missing"].to_string();
        assert!(answers.len() == 1 && message.contains(word), "{answers:?}");
    }
}

#[test]
fn a_far_side_that_nobody_waits_for_ends_and_leaves_no_process_and_no_folder() {
    let ends: [fn(&mut Child); 2] =
        [|child| drop(child.stdin.take()), |child| kill_process(Pid::from_child(child), Signal::TERM).unwrap()];
    for end in ends {
        let mut far = Far::start(&orders("setsid sleep 1000 & touch ready; sleep 1000"));
        far.wait_until_it_sleeps();
        end(&mut far.child);
        let answers = far.answers();
        assert!(answers.iter().all(|answer| answer != "done"), "{answers:?}");
    }
}

#[test]
fn a_killed_far_side_s_folder_is_removed_by_the_next_one() {
    let mut far = Far::start(&orders("touch ready; sleep 1000"));
    far.wait_until_it_sleeps();
    far.child.kill().unwrap();
    far.child.wait().unwrap();
    assert!(holds_ready(far.room.path()), "nobody was left to remove it");
    let answers = Far::start_in(far.room, &orders("true")).answers();
    assert_eq!(answers.last().unwrap(), "done");
}

#[test]
fn a_process_has_three_quarters_of_the_memory_that_slurm_gives_its_job() {
    let answers = Far::start(&orders("ulimit -d")).answers();
    let ran = &answers[answers.len() - 2]["ran"];
    assert_eq!(ran["stdout"], "49152\n", "{ran}");
}
