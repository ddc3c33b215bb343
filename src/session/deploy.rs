//! The deploy step: a command that is due when the files it deploys have changed since it last succeeded.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use super::error::SessionError;
use super::ground::load_mission;
use crate::journal::{FileError, atomic_write, create_folder};
use crate::mission;
use crate::protocol::{ContentHash, Deploy};

/// What a deploy command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// 0 is success; 127 where it could not be started.
    pub exit_code: i32,
    /// The end of what it printed.
    pub output: String,
}

/// The most of a deploy's output that is kept, in bytes.
const MOST_OUTPUT: usize = 8 * 1024;

/// What `agent deploy` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// The watched files are as they were.
    NotDue,
    /// The command ran.
    Ran(Deployed),
}

/// Runs the deploy command of the mission in `mission_file`, where it is due.
///
/// # Errors
/// Where the mission has none, or its watched files cannot be read.
pub async fn deploy(
    cwd: &Path,
    mission_file: &Path,
    vars: &BTreeMap<String, String>,
) -> Result<Deployment, SessionError> {
    let (root, mission) = load_mission(cwd, mission_file, vars)?;
    let Some(step) = &mission.terms.deploy else {
        let message = format!("{}: the mission has no `deploy` key, and nothing to deploy", mission_file.display());
        return Err(SessionError::Unsupported(message));
    };
    let artifacts = root.join("artifacts");
    let watched = mission::watched_hash(&root, &step.files)?;
    if !is_due(&artifacts, step, watched) {
        return Ok(Deployment::NotDue);
    }
    let deployed = run(&root, &step.command).await;
    if deployed.exit_code == 0 {
        create_folder(&artifacts)?;
        remember(&artifacts, &step.command, watched)?;
    }
    Ok(Deployment::Ran(deployed))
}

/// Runs the command in the repository's root, with the user's own environment: it is the user's command, and it needs the
/// user's credentials. No model can start or change it.
pub(super) async fn run(root: &Path, command: &str) -> Deployed {
    let finished = tokio::process::Command::new("sh")
        .args(["-c", command])
        .current_dir(root)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    match finished {
        Ok(finished) => {
            let mut output = String::from_utf8_lossy(&finished.stdout).into_owned();
            output.push_str(&String::from_utf8_lossy(&finished.stderr));
            let start = output.ceil_char_boundary(output.len().saturating_sub(MOST_OUTPUT));
            let output = output.get(start..).unwrap_or_default().to_owned();
            Deployed { exit_code: finished.status.code().unwrap_or(128), output }
        }
        Err(error) => Deployed { exit_code: 127, output: format!("sh could not be started: {error}") },
    }
}

/// Tells whether `deploy` is due: its watched files differ from those of its last success.
pub(super) fn is_due(artifacts: &Path, deploy: &Deploy, watched: ContentHash) -> bool {
    read(artifacts).get(&deploy.command) != Some(&watched)
}

/// Remembers a success in the folder of all runs, for the runs that come after.
pub(super) fn remember(artifacts: &Path, command: &str, watched: ContentHash) -> Result<(), FileError> {
    let mut deploys = read(artifacts);
    deploys.insert(command.to_owned(), watched);
    let text = serde_json::to_vec_pretty(&deploys).unwrap_or_default();
    atomic_write(&artifacts.join(FILE), &text)
}

const FILE: &str = "deploys.json";

/// Reads what is remembered. A file that is missing or damaged remembers nothing: the deploy is then due once more.
fn read(artifacts: &Path) -> BTreeMap<String, ContentHash> {
    std::fs::read(artifacts.join(FILE)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
