//! A disk that is full or read-only: the run stops with a remedy, and goes on once there is one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;

use scene::{BEGIN, Ended, Scene, analysis, candidate, confirm, edit, revert, skipped, test};

/// Runs `script` with a disk of `size` under `artifacts/`, in a namespace where nobody else sees it. `$begin` and `$resume`
/// are the command lines. Returns nothing on a machine where this cannot be done.
fn with_disk(scene: &Scene, size: &str, script: &str) -> Option<Ended> {
    let agent = env!("CARGO_BIN_EXE_agent");
    let script = format!(
        "begin='{agent} {}' resume='{agent} resume night --quiet'\n\
         mkdir -p artifacts && mount -t tmpfs -o {size} none artifacts || exit 99\n{script}",
        BEGIN.join(" ").replace("--json", "--quiet")
    );
    let ended = scene.command("unshare", &["-m", "sh", "-c", &script]).output();
    let ended = ended.ok().map(Ended::from).filter(|ended| ended.code == Some(0));
    if ended.is_none() {
        skipped("this test mounts a disk of its own, and needs root with namespaces for it");
    }
    ended
}

/// A night that reaches its target, also where the harness suffers from a full disk first: a change is tried anew.
fn persistent() -> Scene {
    let scene = Scene::new("");
    let round: [&[_]; 4] = [
        &[edit("time_us 40\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
        &[analysis("KEEP")],
        &[analysis("REVERT")],
        &[revert()],
    ];
    scene.script(&[round; 8].concat());
    scene
}

#[test]
fn a_full_disk_stops_the_run_wherever_it_is_and_more_space_lets_it_go_on() {
    for size in ["24k", "32k", "48k", "64k", "80k", "96k", "128k"] {
        let scene = persistent();
        let script = "$begin; echo $?; mount -o remount,size=16m artifacts; $resume; echo $?";
        let Some(ended) = with_disk(&scene, &format!("size={size}"), script) else { return };
        let codes: Vec<_> = ended.stdout.lines().filter(|line| line.len() <= 2).collect();
        assert_eq!(codes, ["3", "0"], "{size}: {ended:?}");
        assert!(ended.stderr.contains("No space left on device"), "{size}: {}", ended.stderr);
        assert!(ended.stderr.contains("free some space, then go on with `agent resume`"), "{size}: {}", ended.stderr);
        assert_eq!(scene.kernel(), "time_us 40\n", "{size}");
        assert_eq!(scene.git(&["show", "agent/night:kernel.txt"]), "time_us 40\n", "{size}");
        assert_eq!(scene.git(&["rev-list", "--count", "main..agent/night"]), "1\n", "{size}");
    }
}

#[test]
fn a_run_that_cannot_begin_for_want_of_space_leaves_nothing_behind() {
    let scene = persistent();
    for size in ["4k", "8k", "12k"] {
        let Some(ended) = with_disk(&scene, &format!("size={size}"), "$begin; echo $?; ls -A artifacts") else {
            return;
        };
        assert_eq!(ended.stdout, "3\n", "{size}: {ended:?}");
        assert!(ended.stderr.contains("free space on that disk and try again"), "{size}: {}", ended.stderr);
    }
    assert_eq!(scene.kernel(), "time_us 100\n");
}

#[test]
fn a_read_only_folder_is_named_before_anything_happens() {
    let scene = persistent();
    let Some(ended) = with_disk(&scene, "ro", "$begin; echo $?; ls -A artifacts") else { return };
    assert_eq!(ended.stdout, "3\n", "{ended:?}");
    assert!(ended.stderr.contains("artifacts/night: Read-only file system"), "{}", ended.stderr);
    assert!(ended.stderr.contains("a run writes below `artifacts/` of the repository"), "{}", ended.stderr);
    assert_eq!(
        (scene.kernel().as_str(), scene.git(&["for-each-ref", "refs/heads/agent"]).as_str()),
        ("time_us 100\n", "")
    );
}
