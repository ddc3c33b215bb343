//! The ground of a mission: its repository, and its text with the variables that the repository gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::SessionError;
use crate::journal::Snapshots;
use crate::mission::{self, Mission};
use crate::protocol::RunStarted;
use crate::workspace::Workspace;

/// The variable that names the repository.
const REPO_ROOT: &str = "repo_root";

/// Reads the mission in `file`, and returns it with the root of its repository: the one that the variable `repo_root` names,
/// else the one around `cwd`, else the one around the mission.
pub(super) fn load_mission(
    cwd: &Path,
    file: &Path,
    vars: &BTreeMap<String, String>,
) -> Result<(PathBuf, Mission), SessionError> {
    let root = match vars.get(REPO_ROOT) {
        Some(root) => Workspace::root(&cwd.join(root))?,
        None => Workspace::root(cwd).or_else(|error| {
            // The error of the folder that the user stands in is the one to report.
            cwd.join(file).parent().and_then(|folder| Workspace::root(folder).ok()).ok_or(error)
        })?,
    };
    let mission = mission::load(file, &with_root(vars, &root))?;
    Ok((root, mission))
}

/// Reads the mission of the run in `folder` again, from the text that the run keeps.
///
/// # Errors
/// Where the text is missing or damaged, or no mission of this program's any more.
pub fn recorded_mission(folder: &Path, run: &RunStarted) -> Result<Mission, SessionError> {
    let text = Snapshots::new(folder).get(run.mission_hash)?;
    let vars = with_root(&run.vars, Path::new(&run.repo_root));
    Ok(mission::parse(Path::new(&run.mission), &String::from_utf8_lossy(&text), &vars)?)
}

/// Returns the variables with the repository's root among them.
fn with_root(vars: &BTreeMap<String, String>, root: &Path) -> BTreeMap<String, String> {
    let mut vars = vars.clone();
    vars.entry(REPO_ROOT.to_owned()).or_insert_with(|| root.display().to_string());
    vars
}
