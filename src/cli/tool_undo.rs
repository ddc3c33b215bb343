//! The one change that `agent tool revert` can take back.

use serde::{Deserialize, Serialize};

use super::error::CliError;
use crate::journal::{Snapshots, atomic_write, create_folder};
use crate::protocol::ContentHash;
use crate::session::SessionError;
use crate::workspace::Workspace;

/// The last change of a kernel by `agent tool edit-kernel`.
#[derive(Serialize, Deserialize)]
struct LastEdit {
    kernel: String,
    before: ContentHash,
    after: ContentHash,
}

fn folder(workspace: &Workspace) -> std::path::PathBuf {
    let name = ContentHash::of(workspace.kernel_relative().as_bytes()).short();
    workspace.repo_root().join("artifacts/tool").join(name)
}

/// Keeps the text from before a change, before the kernel file is touched.
pub(super) fn remember(workspace: &Workspace, before: &[u8], after: &[u8]) -> Result<(), CliError> {
    let folder = folder(workspace);
    create_folder(&folder).map_err(SessionError::from)?;
    let before = Snapshots::new(&folder).put(before).map_err(SessionError::from)?;
    let edit = LastEdit { kernel: workspace.kernel_relative().to_owned(), before, after: ContentHash::of(after) };
    let text = serde_json::to_vec_pretty(&edit).map_err(|error| CliError::internal(error.to_string()))?;
    atomic_write(&folder.join("last-edit.json"), &text).map_err(SessionError::from)?;
    Ok(())
}

/// Puts the text from before the last change back, if the kernel still holds the change: whatever somebody has written since
/// is not ours to overwrite.
pub(super) fn take_back(workspace: &Workspace) -> Result<(), CliError> {
    let folder = folder(workspace);
    let kernel = workspace.kernel_relative();
    let edit = std::fs::read(folder.join("last-edit.json")).ok();
    let Some(edit) = edit.and_then(|text| serde_json::from_slice::<LastEdit>(&text).ok()) else {
        return Err(CliError::usage(format!("{kernel} has no change by `agent tool edit-kernel` to take back")));
    };
    let now = ContentHash::of(&workspace.read_kernel().map_err(SessionError::from)?);
    if now == edit.before {
        return Ok(());
    }
    if now != edit.after {
        return Err(CliError::usage(format!(
            "{kernel} was changed since the last `agent tool edit-kernel`: nothing was taken back"
        )));
    }
    let before = Snapshots::new(&folder).get(edit.before).map_err(SessionError::from)?;
    workspace.write_kernel(&before).map_err(SessionError::from)?;
    Ok(())
}
