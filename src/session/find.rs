//! Finding runs, and reading their state without holding them.

use std::path::{Path, PathBuf};

use super::error::SessionError;
use crate::journal;
use crate::protocol::{Event, FoldError, NoStart, RunId, RunState};
use crate::workspace::Workspace;

/// Folds a run's journal without taking its lock: what status and report show.
///
/// # Errors
/// Where the journal is damaged, newer than this program, or does not fold.
pub fn fold_run(folder: &Path) -> Result<RunState, SessionError> {
    let mut state = None;
    journal::read(folder, |record| fold_into(&mut state, folder, &record))?;
    state.ok_or_else(|| SessionError::NoStart { folder: folder.to_path_buf(), source: NoStart })
}

pub(super) fn fold_into(
    state: &mut Option<RunState>,
    folder: &Path,
    record: &journal::Record<Event>,
) -> Result<(), SessionError> {
    match state {
        Some(state) => state
            .apply(record.time, &record.event)
            .map_err(|source: FoldError| SessionError::Fold { folder: folder.to_path_buf(), source }),
        None => {
            *state = Some(
                RunState::start(record.time, &record.event)
                    .map_err(|source| SessionError::NoStart { folder: folder.to_path_buf(), source })?,
            );
            Ok(())
        }
    }
}

/// Finds the folder of a run: by its path, by its name, or the newest where there is no name.
///
/// # Errors
/// Where there is no such run.
pub fn run_folder(cwd: &Path, name: Option<&str>) -> Result<PathBuf, SessionError> {
    let is_run = |folder: &Path| folder.join(journal::FILE).is_file();
    let given = name.map(|name| cwd.join(name)).filter(|folder| is_run(folder));
    if let Some(folder) = given {
        return folder.canonicalize().map_err(SessionError::io("resolve", &folder));
    }
    let artifacts = Workspace::root(cwd)?.join("artifacts");
    let found = match name {
        Some(name) => Some(artifacts.join(name)).filter(|folder| name.parse::<RunId>().is_ok() && is_run(folder)),
        None => newest_run(&artifacts),
    };
    found.ok_or_else(|| match name {
        Some(name) => SessionError::UnknownRun { name: name.to_owned(), folder: artifacts },
        None => SessionError::NoRun { folder: artifacts },
    })
}

/// Returns where the recording lies that is named `path` from the folder `base`: a file, or the folder of a run, which may
/// also be named by its id.
pub fn recording_path(base: &Path, path: &Path) -> PathBuf {
    let file = base.join(path);
    if file.exists() {
        return file;
    }
    path.to_str().and_then(|name| run_folder(base, Some(name)).ok()).unwrap_or(file)
}

fn newest_run(artifacts: &Path) -> Option<PathBuf> {
    std::fs::read_dir(artifacts)
        .ok()?
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let journal = folder.join(journal::FILE).metadata().ok()?;
            // A run that never wrote its first event is none.
            (journal.len() > 0).then_some((journal.modified().ok()?, folder))
        })
        .max()
        .map(|(_, folder)| folder)
}
