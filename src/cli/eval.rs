//! `agent eval`.

use std::io::Write;

use super::args::EvalArgs;
use super::error::CliError;
use super::exit::Exit;
use super::world::here;
use crate::eval::{Scenario, find, play, record};
use crate::protocol::StopReason;
use crate::session::{SessionError, run_folder};
use crate::workspace::Workspace;

pub(super) fn eval(args: &EvalArgs) -> Result<Exit, CliError> {
    let bad = |error: crate::eval::EvalError| CliError::usage(super::error::chain(&error));
    let here = here()?;
    let evals = || Ok::<_, CliError>(Workspace::root(&here).map_err(SessionError::from)?.join("evals"));
    let paths = match &args.record {
        Some(run) => {
            let run = run_folder(&here, Some(run))?;
            let to = match &args.to {
                Some(to) => here.join(to),
                None => evals()?.join(run.file_name().unwrap_or_default()),
            };
            record(&run, &to, exit_code).map_err(bad)?;
            vec![to]
        }
        None if args.paths.is_empty() => vec![evals()?],
        None => args.paths.clone(),
    };
    // All are read before any is played: a mistake in the last is not found after minutes.
    let mut scenarios = Vec::new();
    for path in &paths {
        for folder in find(path).map_err(bad)? {
            scenarios.push(Scenario::read(&folder).map_err(bad)?);
        }
    }
    let results = play(&scenarios, exit_code);
    if let Some(file) = &args.junit {
        std::fs::write(file, results.junit())
            .map_err(|error| CliError::environment(format!("failed to write {}: {error}", file.display())))?;
    }
    let text = if args.json {
        serde_json::to_string_pretty(&results).map_err(|error| CliError::internal(error.to_string()))?
    } else {
        results.text()
    };
    let _ = writeln!(anstream::stdout(), "{}", text.trim_end());
    Ok(if results.failed == 0 { Exit::Ok } else { Exit::Internal })
}

fn exit_code(reason: &StopReason) -> u8 {
    Exit::from(reason) as u8
}
