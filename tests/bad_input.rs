//! Every input that cannot be worked with: its exit code, a message that names it and the remedy, and nothing left behind.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;

use std::fs;
use std::path::Path;

use scene::{BEGIN, Ended, KERNEL, RUN, Scene, analysis, candidate, edit, mission, skipped, test};

/// One bad input: how the scene comes about, and what the program must say.
struct Bad {
    what: &'static str,
    arrange: fn(&Scene),
    code: i32,
    says: &'static [&'static str],
}

/// Returns an input that is an error of usage.
const fn bad(what: &'static str, arrange: fn(&Scene), says: &'static [&'static str]) -> Bad {
    Bad { what, arrange, code: 2, says }
}

fn set(scene: &Scene, from: &str, to: &str) {
    let text = fs::read_to_string(scene.root().join("mission.md")).unwrap();
    assert!(text.contains(from));
    scene.write("mission.md", text.replace(from, to));
}

const AT_THE_START: &[Bad] = &[
    bad(
        "no mission file",
        |scene| fs::remove_file(scene.root().join("mission.md")).unwrap(),
        &["failed to read mission mission.md"],
    ),
    bad("an empty mission", |scene| scene.write("mission.md", ""), &["mission.md", "the mission is empty; begin with"]),
    bad(
        "a mission of NUL bytes",
        |scene| scene.write("mission.md", "a\0b"),
        &["mission.md", "NUL byte at byte offset 1"],
    ),
    bad(
        "a mission in another encoding",
        |scene| scene.write("mission.md", b"caf\xe9"),
        &["mission.md", "invalid UTF-8 at byte offset 3; save it as UTF-8"],
    ),
    bad(
        "no front matter",
        |scene| scene.write("mission.md", "Make it fast.\n"),
        &["mission.md: kernel is missing; begin the file with front matter such as"],
    ),
    bad(
        "front matter that never ends",
        |scene| scene.write("mission.md", "---\nkernel: kernel.txt\n"),
        &["mission.md:1: front matter: it is opened by `---` but never closed"],
    ),
    bad("front matter that is no YAML", |scene| set(scene, "gpu: cpu", "gpu: [cpu"), &["mission.md", "front matter"]),
    bad("a misspelt key", |scene| set(scene, "gpu:", "gppu:"), &["mission.md:4: unknown key gppu; did you mean gpu?"]),
    bad(
        "a target that is no number",
        |scene| set(scene, "target_us: 50", "target_us: fast"),
        &["mission.md:5: target_us:", "write a number of microseconds above 0"],
    ),
    bad("no target", |scene| set(scene, "target_us: 50\n", ""), &["mission.md: no target; add target_us"]),
    bad(
        "a variable without a value",
        |scene| set(scene, "Make it fast.", "Make <thing> fast."),
        &["mission.md", "variable <thing> has no value", "--var thing="],
    ),
    bad(
        "a kernel that is not there",
        |scene| set(scene, KERNEL, "absent.txt"),
        &["kernel absent.txt: no such file under", "paths are relative to the repository's root"],
    ),
    bad(
        "a kernel outside the repository",
        |scene| {
            fs::write(scene.outside().join("outside.txt"), "time_us 1\n").unwrap();
            set(scene, KERNEL, "../outside.txt");
        },
        &["kernel ../outside.txt: leads to", "only a file of the repository can be optimised"],
    ),
    bad(
        "no repository",
        |scene| fs::remove_dir_all(scene.root().join(".git")).unwrap(),
        &["not inside a git repository; run `git init` there"],
    ),
    bad(
        "a harness that is not there",
        |scene| set(scene, "harness.sh", "absent.sh"),
        &["absent.sh", "cannot be read", "check the path"],
    ),
    bad(
        "a harness of no known kind",
        |scene| set(scene, "harness.sh", KERNEL),
        &[
            "kernel.txt",
            "its name tells no kind of harness; known are *.toml (native), task.yml (GPU MODE), *.py and *.sh",
        ],
    ),
    bad(
        "a kernel of ten megabytes",
        |scene| scene.write(KERNEL, vec![b'a'; 10 << 20]),
        &["kernel.txt: larger than 1048576 bytes"],
    ),
    bad(
        "a kernel with a NUL byte",
        |scene| scene.write(KERNEL, "time_us 1\n\0"),
        &["kernel.txt: NUL byte at byte offset 10"],
    ),
    bad(
        "a kernel in another encoding",
        |scene| scene.write(KERNEL, b"time_us 1 # \xb5s\n"),
        &["kernel.txt: invalid UTF-8 at byte offset 12; save it as UTF-8"],
    ),
    bad(
        "a recording that is not there",
        |scene| fs::remove_file(scene.root().join("script.jsonl")).unwrap(),
        &["cannot read the recording", "script.jsonl"],
    ),
    bad(
        "a recording with a torn line",
        |scene| scene.write("script.jsonl", "{\"calls\":[]}\n{\"calls\":["),
        &["line 2 of the recording", "script.jsonl is no turn", "a turn is an object such as"],
    ),
    bad(
        "a branch in the way",
        |scene| drop(scene.git(&["branch", "agent"])),
        &["cannot create branch agent/night: branch agent is in its way; rename that one with"],
    ),
    Bad {
        what: "a GPU on a machine without one",
        arrange: |scene| set(scene, "gpu: cpu", "gpu: B200"),
        code: 3,
        says: &["this machine has no B200: no NVIDIA driver is loaded", "`gpu: cpu`"],
    },
    Bad {
        what: "a native harness on a machine without a compiler",
        arrange: |scene| {
            let problem = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/softmax");
            for name in ["kernel.c", "harness.toml", "reference.c"] {
                scene.write(name, fs::read(problem.join(name)).unwrap());
            }
            scene.write("mission.md", mission("kernel.c", "harness.toml", ""));
        },
        code: 3,
        says: &["harness.toml", "install a C compiler"],
    },
];

#[test]
fn what_cannot_be_worked_with_is_named_with_a_remedy_and_nothing_is_left_behind() {
    for Bad { what, arrange, code, says } in AT_THE_START {
        if what.starts_with("a GPU") && Path::new("/dev/nvidiactl").exists() {
            skipped("a GPU on a machine without one: this machine has one");
            continue;
        }
        let scene = Scene::new("");
        scene.script(&[]);
        arrange(&scene);
        let repository = scene.root().join(".git").exists();
        let refs = || if repository { scene.git(&["for-each-ref"]) } else { String::new() };
        let (before, branches) = (everything(&scene.root()), refs());
        // Nothing that the program starts before the run can be found in an empty folder.
        let empty = scene.outside().join("tmp");
        let ended: Ended =
            scene.command(env!("CARGO_BIN_EXE_agent"), &BEGIN).env("PATH", empty).output().unwrap().into();
        assert_eq!(ended.code, Some(*code), "{what}: {ended:?}");
        for part in *says {
            assert!(ended.stderr.contains(part), "{what}: {part:?} is not in\n{}", ended.stderr);
        }
        assert_eq!(ended.stdout, "", "{what}");
        assert!(everything(&scene.root()) == before && refs() == branches, "{what}: something is left behind");
    }
}

/// Every file of the work tree, with its bytes.
fn everything(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_name_that_is_taken_or_cannot_be_one_is_refused() {
    let scene = Scene::new("");
    scene.script(&[]);
    for name in ["../night", "a/b", "-x", "", ".", "night.lock"] {
        let ended = scene.agent(&["run", "--mission", "mission.md", &format!("--run-id={name}")]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("cannot name a run"), "{}", ended.stderr);
    }
    assert_eq!(scene.run().code, Some(12), "the recording is empty");
    let lines = scene.lines();
    let again = scene.run();
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("the run night exists already"), "{}", again.stderr);
    assert!(again.stderr.contains("`agent resume night`"), "{}", again.stderr);
    assert_eq!(scene.lines(), lines);
}

#[test]
fn a_run_that_is_not_there_is_named() {
    let scene = Scene::new("");
    for command in ["resume", "stop", "status", "report"] {
        for name in ["tomorrow", "../tomorrow", "/nowhere/tomorrow"] {
            let ended = scene.agent(&[command, name]);
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert!(ended.stderr.contains(&format!("there is no run {name:?} in")), "{}", ended.stderr);
        }
    }
    assert!(!scene.root().join("artifacts").exists());
}

/// A run in the middle, and its journal's path.
fn interrupted() -> (Scene, std::path::PathBuf) {
    let scene = Scene::new("");
    scene.script(&[&[edit("time_us 90\n"), test(), analysis("KEEP"), candidate()]]);
    let mut held = scene.hold(&BEGIN);
    held.until(18).unwrap();
    held.kill();
    let journal = scene.artifacts().join("journal.jsonl");
    (scene, journal)
}

#[test]
fn a_journal_that_cannot_be_followed_is_left_as_it_is() {
    let (scene, journal) = interrupted();
    let kernel = scene.kernel();
    let whole = fs::read_to_string(&journal).unwrap();
    let newer = whole.replacen("{\"v\":1,", "{\"v\":7,", 1);
    let damaged = whole.replacen("\"purpose\":\"candidate\"", "\"purpose\":\"Candidate\"", 1);
    let gap: String =
        whole.split_inclusive('\n').enumerate().filter(|(at, _)| *at != 4).map(|(_, line)| line).collect();
    let place = journal.display();
    for (text, says) in [
        (newer, format!("{place} has format version 7, and this program reads up to version 1; use a newer program")),
        (damaged, format!("{place} line 6 is damaged: its sum does not match")),
        (
            gap,
            format!(
                "{place} line 5 is damaged: its sum does not match its text and the line before; nothing was changed"
            ),
        ),
        (String::new(), "the run never began, start it anew".to_owned()),
    ] {
        assert_ne!(text, whole);
        fs::write(&journal, &text).unwrap();
        for command in ["resume", "stop", "status", "report"] {
            let ended = scene.agent(&[command, RUN]);
            assert_eq!(ended.code, Some(2), "{command}: {ended:?}");
            assert!(ended.stderr.contains(&says), "{command}: {says}\n{}", ended.stderr);
            assert_eq!(fs::read_to_string(&journal).unwrap(), text);
            assert_eq!(scene.kernel(), kernel);
        }
    }
}

#[test]
fn what_a_run_needs_and_somebody_took_away_is_named_when_it_is_resumed() {
    for (gone, code, says) in [
        ("harness.sh", 2, "check the path"),
        ("script.jsonl", 2, "cannot read the recording"),
        (".git", 2, "not inside a git repository"),
    ] {
        let (scene, _) = interrupted();
        let (path, aside) = (scene.root().join(gone), scene.outside().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let lines = scene.lines();
        let ended = scene.agent(&["resume", &format!("artifacts/{RUN}")]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
        assert_eq!(scene.lines(), lines, "the journal is as it was");
        fs::rename(&aside, &path).unwrap();
        assert_eq!(scene.agent(&["resume", RUN]).code, Some(12), "to the end of the recording");
    }
}
