//! `agent status`.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use super::args::StatusArgs;
use super::error::CliError;
use super::exit::Exit;
use super::world::here;
use crate::journal::holder;
use crate::report::{Liveness, Status};
use crate::session::{SessionError, fold_run, run_folder};

pub(super) fn status(args: &StatusArgs) -> Result<Exit, CliError> {
    let folder = run_folder(&here()?, args.run.run.as_deref())?;
    let liveness = liveness(&folder)?;
    let state = fold_run(&folder)?;
    let status = Status::of(&state, Timestamp::now(), liveness);
    let mut out = anstream::stdout();
    let text = if args.json {
        serde_json::to_string_pretty(&status).map_err(|error| CliError::internal(error.to_string()))?
    } else {
        status.text()
    };
    let _ = writeln!(out, "{}", text.trim_end());
    Ok(Exit::Ok)
}

/// Tells whether a process holds the run in `folder`.
pub(super) fn liveness(folder: &Path) -> Result<Liveness, CliError> {
    let holder = holder(folder).map_err(SessionError::from)?;
    Ok(if holder.is_some() { Liveness::Live } else { Liveness::Gone })
}
