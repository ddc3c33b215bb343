//! The deploy step: a command that is due when what it deploys has changed since it last succeeded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{fs, io};

use tempfile::TempDir;

use super::error::SessionError;
use super::ground::load_mission;
use crate::journal::{FileError, atomic_write, create_folder};
use crate::mission::{self, RunnerChoice};
use crate::protocol::{ContentHash, Deploy};
use crate::runner::{Deployable, Modal, Presence, Runner as _};

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
    /// What it deploys is as it was.
    NotDue,
    /// The command ran.
    Ran(Deployed),
}

/// Runs the deploy step of the mission in `mission_file`, where it is due: the mission's own, else that of its runner, which
/// is `runner` where that is given. `agent` is the agent binary.
///
/// # Errors
/// Where there is no such step, its watched files cannot be read, or the runner lacks something.
pub async fn deploy(
    cwd: &Path,
    mission_file: &Path,
    vars: &BTreeMap<String, String>,
    runner: Option<RunnerChoice>,
    agent: &Path,
) -> Result<Deployment, SessionError> {
    let (root, mission) = load_mission(cwd, mission_file, vars)?;
    let needed = match runner.unwrap_or(mission.runner) {
        RunnerChoice::Modal => Modal::new(agent, mission.sandbox)?.checked()?.deployable(),
        RunnerChoice::Local | RunnerChoice::Slurm => None,
    };
    let Some(plan) = Plan::new(&root, mission.terms.deploy.as_ref(), needed.as_ref())? else {
        let message = format!(
            "{}: the mission has no `deploy` key, its runner needs nothing, and there is nothing to deploy",
            mission_file.display()
        );
        return Err(SessionError::Unsupported(message));
    };
    if !plan.is_due {
        return Ok(Deployment::NotDue);
    }
    let deployed = run(&root, &plan.step.command, needed.as_ref()).await;
    if deployed.exit_code == 0 {
        let artifacts = root.join("artifacts");
        create_folder(&artifacts)?;
        remember(&artifacts, &plan.step.command, plan.watched)?;
    }
    Ok(Deployment::Ran(deployed))
}

/// What is to be deployed before a run.
pub(super) struct Plan {
    /// How. What a runner needs has no files of the repository's.
    pub(super) step: Deploy,
    /// The hash of what is deployed.
    pub(super) watched: ContentHash,
    /// Whether it is not there, or differs from what the last success deployed.
    pub(super) is_due: bool,
}

impl Plan {
    /// Plans the mission's `own` step, else that of what its runner needs; nothing where there is neither.
    pub(super) fn new(
        root: &Path,
        own: Option<&Deploy>,
        needed: Option<&Deployable>,
    ) -> Result<Option<Self>, SessionError> {
        let (step, watched) = match (own, needed) {
            (Some(own), _) => (own.clone(), mission::watched_hash(root, &own.files)?),
            (None, Some(needed)) => (needed.step.clone(), needed.hash),
            (None, None) => return Ok(None),
        };
        let is_due = match needed.map(|needed| &needed.presence) {
            Some(Presence::Absent(_)) => true,
            // A step of the mission's own may deploy more than that.
            Some(Presence::There) if own.is_none() => false,
            _ => read(&root.join("artifacts")).get(&step.command) != Some(&watched),
        };
        Ok(Some(Self { step, watched, is_due }))
    }
}

/// Runs the command in the repository's root, with the user's own environment: it is the user's command or this program's,
/// and it needs the user's credentials. No model can start or change it. It finds what the runner needs by two variables.
pub(super) async fn run(root: &Path, command: &str, needed: Option<&Deployable>) -> Deployed {
    let mut child = tokio::process::Command::new("sh");
    child.args(["-c", command]).current_dir(root).stdin(Stdio::null()).kill_on_drop(true);
    let unpacked = needed.map(unpack).transpose();
    let finished = match unpacked.as_ref() {
        Ok(Some((_folder, app, agent))) => {
            child.env("AFTERHOURS_APP", app).env("AFTERHOURS_AGENT", agent).output().await
        }
        Ok(None) => child.output().await,
        Err(error) => {
            return Deployed {
                exit_code: 127,
                output: format!("what is to be deployed could not be written: {error}"),
            };
        }
    };
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

/// Writes the file that is deployed into a folder of its own, and returns folder, file and agent binary.
fn unpack(needed: &Deployable) -> io::Result<(TempDir, PathBuf, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let (name, text) = &needed.app;
    let app = folder.path().join(name);
    fs::write(&app, text)?;
    Ok((folder, app, std::path::absolute(&needed.agent)?))
}

/// Remembers a success in the folder of all runs, for the runs that come after.
pub(super) fn remember(artifacts: &Path, command: &str, watched: ContentHash) -> Result<(), FileError> {
    change(artifacts, |deploys| {
        deploys.insert(command.to_owned(), watched);
    })
}

/// Forgets a success: what was deployed has turned out to be something else, or to be gone.
pub(super) fn forget(artifacts: &Path, command: &str) -> Result<(), FileError> {
    change(artifacts, |deploys| {
        deploys.remove(command);
    })
}

const FILE: &str = "deploys.json";

fn change(artifacts: &Path, change: impl FnOnce(&mut BTreeMap<String, ContentHash>)) -> Result<(), FileError> {
    let mut deploys = read(artifacts);
    change(&mut deploys);
    let text = serde_json::to_vec_pretty(&deploys).unwrap_or_default();
    atomic_write(&artifacts.join(FILE), &text)
}

/// Reads what is remembered. A file that is missing or damaged remembers nothing: the deploy is then due once more.
fn read(artifacts: &Path) -> BTreeMap<String, ContentHash> {
    fs::read(artifacts.join(FILE)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
