//! `agent doctor`.

use std::io::Write;

use super::args::{DoctorArgs, ViewArgs};
use super::error::CliError;
use super::exit::Exit;
use super::logging;
use super::run;
use super::world::{here, runtime};
use crate::doctor::examine;
use crate::harness::HarnessError;
use crate::session::{Session, SessionError};

pub(super) fn doctor(args: DoctorArgs) -> Result<Exit, CliError> {
    let (mut mission, mut refused) = (None, None);
    if let Some(file) = &args.mission {
        logging::begin();
        let mut options = run::options(args.choices, ViewArgs { json: false, quiet: true })?;
        options.vars = args.vars.into_iter().collect();
        let (found, opened) = Session::rehearse(&here()?, file, options)?;
        mission = Some(found);
        // Only what the surroundings lack is the doctor's: a mission that is wrong is wrong everywhere.
        if let Err(error) = opened {
            let program = match &error {
                SessionError::Harness(HarnessError::MissingProgram { program, .. }) => Some(program.clone()),
                _ => None,
            };
            match CliError::from(error) {
                error if error.exit == Exit::Environment => refused = Some((error.message, program)),
                error => return Err(error),
            }
        }
    }
    let mut findings = runtime()?.block_on(examine(mission.as_ref()));
    if let (Some(lacks), Some((refused, program))) = (&mut findings.mission, refused) {
        let is_told = match program {
            Some(program) => lacks.iter().any(|lack| lack.contains(&program)),
            None => !lacks.is_empty(),
        };
        if !is_told {
            lacks.insert(0, refused);
        }
    }
    let text = if args.json {
        serde_json::to_string_pretty(&findings).map_err(|error| CliError::internal(error.to_string()))?
    } else {
        findings.text()
    };
    let _ = writeln!(anstream::stdout(), "{}", text.trim_end());
    let can_run = findings.mission.is_none_or(|lacks| lacks.is_empty());
    Ok(if can_run { Exit::Ok } else { Exit::Environment })
}
