//! `agent report`.

use std::io::Write;

use jiff::Timestamp;

use super::args::ReportArgs;
use super::error::CliError;
use super::exit::Exit;
use super::start::here;
use crate::journal::holder;
use crate::report;
use crate::session::{SessionError, fold_run, run_folder};

pub(super) fn report(args: &ReportArgs) -> Result<Exit, CliError> {
    let folder = run_folder(&here()?, args.run.run.as_deref())?;
    let live = holder(&folder).map_err(SessionError::from)?.is_some();
    let state = fold_run(&folder)?;
    let now = Timestamp::now();
    let mut out = anstream::stdout();
    if let Some(file) = &args.html {
        std::fs::write(file, report::html(&state, now, live))
            .map_err(|error| CliError::environment(format!("failed to write {}: {error}", file.display())))?;
        let _ = writeln!(out, "{}", file.display());
    } else if args.json {
        let value = report::run_json(&state, now, live);
        let text = serde_json::to_string_pretty(&value).map_err(|error| CliError::internal(error.to_string()))?;
        let _ = writeln!(out, "{text}");
    } else {
        let _ = writeln!(out, "{}", report::run_text(&state, now, live).trim_end());
    }
    Ok(Exit::Ok)
}
