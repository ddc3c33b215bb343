//! `agent report`.

use std::io::Write;

use jiff::Timestamp;

use super::args::ReportArgs;
use super::error::CliError;
use super::exit::Exit;
use super::status::liveness;
use super::world::here;
use crate::report::Report;
use crate::session::{fold_run, run_folder};

pub(super) fn report(args: &ReportArgs) -> Result<Exit, CliError> {
    let folder = run_folder(&here()?, args.run.run.as_deref())?;
    let liveness = liveness(&folder)?;
    let state = fold_run(&folder)?;
    let report = Report::new(&state, Timestamp::now(), liveness, &folder);
    let mut out = anstream::stdout();
    if let Some(file) = &args.html {
        std::fs::write(file, report.html())
            .map_err(|error| CliError::environment(format!("failed to write {}: {error}", file.display())))?;
        let _ = writeln!(out, "{}", file.display());
    } else if args.json {
        let text =
            serde_json::to_string_pretty(&report.json()).map_err(|error| CliError::internal(error.to_string()))?;
        let _ = writeln!(out, "{text}");
    } else {
        let _ = writeln!(out, "{}", report.text().trim_end());
    }
    Ok(Exit::Ok)
}
