//! Scenarios: finding them, and reading them whole before any is played.

use std::path::{Path, PathBuf};

use super::error::EvalError;
use super::expected::Expected;
use super::measurement::{self, Measurement};
use super::text;
use crate::mission::{self, Mission, ModelChoice};
use crate::model::Recording;

/// The kernel's file, in the scenario and in its repository.
pub(super) const KERNEL: &str = "kernel.txt";
/// The harness's file in the repository; it is never started.
pub(super) const HARNESS: &str = "harness.sh";

pub(super) const MISSION: &str = "mission.md";
pub(super) const REPLIES: &str = "replies.jsonl";
pub(super) const MEASUREMENTS: &str = "measurements.jsonl";
pub(super) const EXPECTED: &str = "expected.json";
/// The folder of more files of the repository.
pub(super) const REPOSITORY: &str = "repository";

/// A scenario, read and checked.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) name: String,
    pub(super) mission: Mission,
    pub(super) kernel: String,
    pub(super) replies: Recording,
    pub(super) measurements: Vec<Measurement>,
    pub(super) expected: Expected,
    /// The folder of the files that the repository has besides, where there is one.
    pub(super) files: Option<PathBuf>,
}

impl Scenario {
    /// Reads the scenario in `folder`.
    ///
    /// # Errors
    /// Where one of its files is missing or says what it may not; the message names file and key.
    pub fn read(folder: &Path) -> Result<Self, EvalError> {
        let replies = folder.join(REPLIES);
        let mut mission = mission::load(&folder.join(MISSION), &std::collections::BTreeMap::new())?;
        check(&folder.join(MISSION), &mission)?;
        mission.model = ModelChoice::Replay(REPLIES.into());
        let files = Some(folder.join(REPOSITORY)).filter(|files| files.is_dir());
        Ok(Self {
            name: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
            kernel: text::read(&folder.join(KERNEL))?,
            replies: Recording::open(&replies)?,
            measurements: measurement::read(&folder.join(MEASUREMENTS))?,
            expected: Expected::read(folder)?,
            mission,
            files,
        })
    }
}

fn check(path: &Path, mission: &Mission) -> Result<(), EvalError> {
    let gpu = mission.terms.gpu.to_string();
    let (kernel, harness) = (mission.kernel.display().to_string(), mission.harness.display().to_string());
    for (key, found, wanted) in [("kernel", kernel, KERNEL), ("harness", harness, HARNESS), ("gpu", gpu, "cpu")] {
        if found != wanted {
            return Err(EvalError::bad(path, format!("{key}: is {found:?}, and a scenario's is {wanted:?}")));
        }
    }
    Ok(())
}

/// Finds the scenarios at `path`: itself, or the folders in it, by name.
///
/// # Errors
/// Where there is none.
pub fn find(path: &Path) -> Result<Vec<PathBuf>, EvalError> {
    if is_scenario(path) {
        return Ok(vec![path.to_owned()]);
    }
    let entries = path.read_dir().map_err(EvalError::io("read", path))?;
    let mut folders = Vec::new();
    for entry in entries {
        let folder = entry.map_err(EvalError::io("read", path))?.path();
        if folder.is_dir() && has_a_file_of_one(&folder) {
            folders.push(folder);
        }
    }
    folders.sort();
    if folders.is_empty() {
        return Err(EvalError::bad(path, format!("there is no scenario here; each is a folder with a {MISSION}")));
    }
    Ok(folders)
}

/// Tells whether a folder among scenarios is meant to be one, however incomplete. Others hold collections of another kind.
fn has_a_file_of_one(folder: &Path) -> bool {
    [MISSION, KERNEL, REPLIES, MEASUREMENTS, EXPECTED].iter().any(|file| folder.join(file).exists())
}

fn is_scenario(path: &Path) -> bool {
    path.join(MISSION).is_file() || path.join(EXPECTED).is_file()
}
