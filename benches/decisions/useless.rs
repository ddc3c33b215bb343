//! A night with a model that has nothing to offer: every change it proposes compiles to the same kernel, and it insists on
//! each one as long as it may.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Failed;

const MISSION: &str = "---
kernel: kernel.c
harness: harness.toml
gpu: cpu
target_speedup: 2
min_improvement: 1%
model: replay:replies.jsonl
profiles:
  smoke: { repeats: 5, pairs: 1, timeout_seconds: 60 }
  candidate: { repeats: 60, pairs: 6, timeout_seconds: 60 }
  final: { repeats: 60, pairs: 60, timeout_seconds: 300 }
---
Make the kernel faster.
";

/// Runs a night of so many useless changes, and prints what became of it.
pub(super) fn night(iterations: u32) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/decisions/kernel");
    for name in ["kernel.c", "reference.c", "harness.toml"] {
        fs::copy(kernel.join(name), root.join(name))?;
    }
    fs::write(root.join("mission.md"), MISSION)?;
    fs::write(root.join(".gitignore"), "/artifacts/\n/replies.jsonl\n")?;
    let text = fs::read_to_string(kernel.join("kernel.c"))?;
    let replies: String = (1..=iterations).map(|number| replies(&text, number)).collect();
    fs::write(root.join("replies.jsonl"), replies)?;
    for words in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", "the kernel as found"]] {
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        let ended = Command::new("git").current_dir(root).args(identity).args(words).status()?;
        if !ended.success() {
            return Err(format!("git {words:?} failed").into());
        }
    }
    let limit = iterations.to_string();
    agent(root, &["run", "--mission", "mission.md", "--run-id", "useless", "--max-iterations", &limit, "-q"])?;
    let status: Value = serde_json::from_slice(&agent(root, &["status", "useless", "--json"])?)?;
    println!("{}", String::from_utf8_lossy(&agent(root, &["report", "useless"])?));
    for key in ["iteration", "keeps", "reverts", "refusals", "headline", "noise", "harness_s"] {
        println!("{key}: {}", status.get(key).unwrap_or(&Value::Null));
    }
    Ok(())
}

/// Returns the two answers of an iteration: all steps at once, each with KEEP, and then the REVERT that is left.
fn replies(kernel: &str, number: u32) -> String {
    let analysis = |decision: &str| {
        json!({"tool": "append-analysis", "arguments": {"artifact": "$artifact", "decision": decision,
            "summary": "it must be faster", "feedback": "surely", "next_step": "another name"}})
    };
    let measure = |tool: &str, profile: &str| json!({"tool": tool, "arguments": {"profile": profile}});
    let text = kernel
        .replace("int k ", &format!("int k{number} "))
        .replace("k < 8; k++", &format!("k{number} < 8; k{number}++"));
    let insists = [
        json!({"tool": "edit-kernel", "arguments": {"change": format!("call the counter k{number}"), "text": text}}),
        measure("test-run", "smoke"),
        analysis("KEEP"),
        measure("benchmark-run", "candidate"),
        analysis("KEEP"),
        measure("benchmark-run", "final"),
        analysis("KEEP"),
    ];
    format!("{}\n{}\n", json!({"calls": insists}), json!({"calls": [analysis("REVERT")]}))
}

fn agent(root: &Path, words: &[&str]) -> Result<Vec<u8>, Failed> {
    let ended = Command::new(env!("CARGO_BIN_EXE_agent")).current_dir(root).args(words).output()?;
    // 10: the budget was spent, as it should be.
    match ended.status.code() {
        Some(0 | 10) => Ok(ended.stdout),
        _ => Err(format!("agent {words:?}: {}", String::from_utf8_lossy(&ended.stderr)).into()),
    }
}
