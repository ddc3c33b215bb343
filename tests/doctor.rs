//! The doctor says what is here and what is missing, and whether a mission can run; it never shows a key.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A repository with a kernel, a harness and a mission of these keys.
fn repository(keys: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/grayscale");
    for name in ["kernel.c", "reference.c", "harness.toml"] {
        fs::copy(source.join(name), root.join(name)).unwrap();
    }
    let mission = format!("---\nkernel: kernel.c\nharness: harness.toml\ntarget_speedup: 2\n{keys}\n---\nFaster.\n");
    fs::write(root.join("mission.md"), mission).unwrap();
    assert!(Command::new("git").args(["init", "-q"]).current_dir(root).status().unwrap().success());
    folder
}

fn doctor(root: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.current_dir(root).arg("doctor").args(words).env_remove("OPENAI_API_KEY");
    command.envs(variables.iter().copied()).output().unwrap()
}

fn findings(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check<'a>(findings: &'a Value, name: &str) -> &'a Value {
    let checks = findings["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

#[test]
fn a_mission_for_the_processor_can_run_here_and_nothing_is_begun() {
    let folder = repository("gpu: cpu");
    let ended = doctor(folder.path(), &["--mission", "mission.md", "--json"], &[]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let found = findings(&ended);
    assert_eq!(found["mission"], Value::Array(Vec::new()));
    assert_eq!(check(&found, "C compiler")["state"], "here");
    assert_eq!(check(&found, "files")["area"], "sandbox");
    assert!(!folder.path().join("artifacts").exists());
}

#[test]
fn a_mission_for_a_device_that_is_not_here_is_refused_with_the_device_s_name() {
    let folder = repository("gpu: cpu");
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/template");
    for name in ["harness.py", "submission.py"] {
        fs::copy(template.join(name), folder.path().join(name)).unwrap();
    }
    let mission = "---\nkernel: submission.py\nharness: harness.py\ntarget_speedup: 2\ngpu: Voodoo2\n---\nFaster.\n";
    fs::write(folder.path().join("mission.md"), mission).unwrap();
    let ended = doctor(folder.path(), &["--mission", "mission.md"], &[]);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("the mission cannot run here") && text.contains("Voodoo2"), "{text}");
}

#[test]
fn what_is_missing_is_named_with_a_remedy() {
    let folder = repository("gpu: cpu");
    let ended = doctor(folder.path(), &["--mission", "mission.md", "--json"], &[("PATH", "/nowhere")]);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let found = findings(&ended);
    assert!(found["mission"][0].as_str().unwrap().contains("it needs C compiler: there is no cc in PATH"), "{found:#}");
    for name in ["C compiler", "Python", "nvcc", "Slurm", "Modal", "OPENAI_API_KEY"] {
        let check = check(&found, name);
        assert!(check["state"] == "missing" && check["remedy"].is_string(), "{check:#}");
    }
}

#[test]
fn a_key_is_told_of_and_never_shown() {
    let folder = repository("gpu: cpu");
    let secrets = [
        ("OPENAI_API_KEY", "sk-night-0123456789"),
        ("MODAL_TOKEN_ID", "ak-night-0123456789"),
        ("MODAL_TOKEN_SECRET", "as-night-0123456789"),
    ];
    for words in [&["--json"][..], &[]] {
        let ended = doctor(folder.path(), words, &secrets);
        let said = format!("{ended:?}");
        assert!(!said.contains("night-0123456789"), "{said}");
    }
    let ended = doctor(folder.path(), &["--json"], &secrets);
    assert_eq!(check(&findings(&ended), "OPENAI_API_KEY")["state"], "here");
}

#[test]
fn a_mission_that_is_wrong_everywhere_is_a_mistake_and_not_a_lack() {
    let folder = repository("gpu: cpu\nbudgett: {}");
    let ended = doctor(folder.path(), &["--mission", "mission.md"], &[]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(String::from_utf8(ended.stderr).unwrap().contains("budgett"));
    let ended = doctor(folder.path(), &["--mission", "nowhere.md"], &[]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
}
