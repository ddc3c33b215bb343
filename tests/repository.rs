//! Long runs in repositories as people leave them in the evening: nothing of theirs changes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/repository.rs"]
mod repository;
#[path = "support/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use repository::{KERNEL, Repository};
use scene::{BEGIN, Ended, RUN, Scene, analysis, any, candidate, confirm, edit, mission, revert, script, test};
use serde_json::{Value, json};

/// Begins the night in `root`, whose harness, mission and script are already there.
fn begin(root: &Path, scratch: &Path) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.args(BEGIN).current_dir(root).env("HOME", scratch).env("TMPDIR", scratch);
    let output: Output = command.output().unwrap();
    output.into()
}

/// A hundred iterations: three in four are given up at once, some by the model and some for a wrong answer, a few gain a
/// little, and each of them is kept.
fn hundred() -> String {
    let keeps = |time: f64| {
        let text = format!("time_us {time}\r\n");
        vec![
            vec![edit(&text), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
            vec![analysis("KEEP")],
        ]
    };
    let turns = (0..100_u32).flat_map(|iteration| match iteration {
        20 | 40 | 60 | 80 | 99 => keeps(100.0 - f64::from(iteration) / 2.0),
        _ if iteration % 2 == 0 => vec![vec![edit(&format!("time_us 1\nodd {iteration}\n")), revert()]],
        _ => vec![vec![edit(&format!("wrong x\nodd {iteration}\n")), test(), analysis("REVERT")]],
    });
    script(&turns.collect::<Vec<Vec<Value>>>())
}

fn assert_unchanged(before: &BTreeMap<String, (u32, Vec<u8>)>, after: &BTreeMap<String, (u32, Vec<u8>)>) {
    for (path, content) in before {
        assert_eq!(after.get(path), Some(content), "{path}");
    }
    let own = |path: &&String| {
        let run = format!("artifacts/{RUN}");
        path.ends_with("artifacts") || path.contains(&run) || ".git/logs/refs/heads/agent".starts_with(path.as_str())
    };
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path) && !own(path)).collect();
    assert!(new.is_empty(), "{new:?}");
}

/// Runs a hundred iterations in `root`, a work tree of `repository`, and holds everything against what it was.
fn assert_untouched_by_a_hundred(repository: &Repository, root: &Path) {
    for (name, text) in [
        ("harness.sh", scene::harness(root)),
        (
            "mission.md",
            mission(KERNEL, "harness.sh", "budget: {iterations: 100}").replace("target_us: 50", "target_us: 1"),
        ),
        ("script.jsonl", hundred()),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
    fs::write(root.join(KERNEL), "time_us 100\r\n").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let status = repository.git(&["status", "--porcelain=v2", "--branch"]);
    let before = repository.snapshot();
    let ended = begin(root, scratch.path());
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    assert_unchanged(&before, &repository.snapshot());
    assert_eq!(repository.git(&["status", "--porcelain=v2", "--branch"]), status);
    assert!(!repository.root().join("hook-ran").exists());
    assert_eq!(fs::read_to_string(root.join(KERNEL)).unwrap(), "time_us 50.5\r\n");

    let fsck = repository.git(&["fsck", "--full", "--strict"]);
    assert!(fsck.lines().all(|line| line.starts_with("dangling")), "{fsck}");
    let names = ["-c", "core.quotePath=false", "log", "-m", "--first-parent", "--name-only", "--format="];
    let touched = repository.git(&[&names[..], &["agent/night", "--not", "HEAD"]].concat());
    let touched: Vec<_> = touched.lines().filter(|line| !line.is_empty()).collect();
    // The first commit holds the kernel as found, which nobody had committed.
    assert_eq!(touched, [KERNEL; 6]);
}

#[test]
fn a_hundred_iterations_amid_a_conflicted_merge_with_hooks_stash_and_submodule_change_nothing_else() {
    let repository = Repository::messy();
    assert_untouched_by_a_hundred(&repository, repository.root());
}

#[test]
fn a_hundred_iterations_on_a_detached_head_change_nothing_else() {
    let repository = Repository::simple();
    repository.git(&["checkout", "-q", "--detach"]);
    assert_untouched_by_a_hundred(&repository, repository.root());
}

#[test]
fn a_hundred_iterations_in_a_linked_worktree_change_nothing_else() {
    let repository = Repository::simple();
    let linked = repository.root().join("linked tree");
    repository.git(&["worktree", "add", "-q", "-b", "side", "linked tree"]);
    assert_untouched_by_a_hundred(&repository, &linked);
}

#[test]
fn a_kernel_that_is_edited_in_the_middle_of_the_night_is_rescued_and_the_night_goes_on() {
    let scene = Scene::new("");
    let kernel = scene.root().join(scene::KERNEL);
    let mine = "mine: half a thought \u{1f41a}\n";
    // Somebody saves the file during each candidate benchmark: the baseline's, and the change's.
    let harness = format!(
        "if [ \"$AFTERHOURS_PROFILE\" = candidate ]; then printf %s '{mine}' >'{}'; fi\n{}",
        kernel.display(),
        scene::harness(&scene.root())
    );
    scene.write("harness.sh", harness);
    scene.write(
        "script.jsonl",
        script(&[
            vec![edit("time_us 40\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
            vec![analysis("KEEP"), any("read-file", json!({"path": "kernel"}))],
        ]),
    );
    let ended = scene.run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(scene.events().iter().filter(|event| *event == "outside_edit").count(), 2);
    assert_eq!(scene.json("status")["outside_edits"], 2);
    let line = scene.lines().into_iter().find(|line| line.contains("\"outside_edit\"")).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    let rescued = scene.artifacts().join(event["fields"]["rescued"].as_str().unwrap());
    assert_eq!(fs::read_to_string(rescued).unwrap(), mine);
    assert_eq!(scene.kernel(), "time_us 40\n");
    assert_eq!(scene.git(&["show", "agent/night:kernel.txt"]), "time_us 40\n");
}
