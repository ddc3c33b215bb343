//! `agent stop`.

use std::io::Write;

use super::args::RunName;
use super::error::CliError;
use super::exit::Exit;
use super::world::here;
use crate::journal::{atomic_write, holder};
use crate::session::{SessionError, StopFlag, fold_run, run_folder};

pub(super) fn stop(args: &RunName) -> Result<Exit, CliError> {
    let folder = run_folder(&here()?, args.run.as_deref())?;
    let state = fold_run(&folder)?;
    let name = &state.run.run_id;
    let mut out = anstream::stdout();
    if let Some(reason) = &state.stop {
        let _ = writeln!(out, "{name} is over already: {reason}");
        return Ok(Exit::Ok);
    }
    if holder(&folder).map_err(SessionError::from)?.is_none() {
        return Err(CliError {
            hints: vec![format!("`agent resume {name}` goes on with it; its kernel file is put right then")],
            ..CliError::usage(format!("{name} is not running: its process is gone, and there is nothing to stop"))
        });
    }
    atomic_write(&folder.join(StopFlag::FILE), b"").map_err(SessionError::from)?;
    let _ = writeln!(out, "{name} stops after the step under way");
    Ok(Exit::Ok)
}
