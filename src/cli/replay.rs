//! `agent replay`.

use std::io::Write;

use super::args::ReplayArgs;
use super::error::CliError;
use super::exit::Exit;
use super::world::here;
use crate::replay;
use crate::session::run_folder;

pub(super) fn replay(args: &ReplayArgs) -> Result<Exit, CliError> {
    let folder = run_folder(&here()?, args.run.run.as_deref())?;
    let replayed = replay::replay(&folder)?;
    let text = if args.json {
        serde_json::to_string_pretty(&replayed).map_err(|error| CliError::internal(error.to_string()))?
    } else {
        replayed.text()
    };
    let _ = writeln!(anstream::stdout(), "{}", text.trim_end());
    Ok(if replayed.agrees() { Exit::Ok } else { Exit::Internal })
}
