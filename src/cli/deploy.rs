//! `agent deploy`.

use std::io::Write;

use super::args::DeployArgs;
use super::error::CliError;
use super::exit::Exit;
use super::world::{here, own_path, runtime};
use crate::session::{self, Deployment};

pub(super) fn deploy(args: &DeployArgs) -> Result<Exit, CliError> {
    let vars = args.vars.iter().cloned().collect();
    let (here, agent) = (here()?, own_path()?);
    let deployment = runtime()?.block_on(session::deploy(&here, &args.mission, &vars, args.runner, &agent))?;
    let mut out = anstream::stdout();
    match deployment {
        Deployment::NotDue => {
            let _ = writeln!(out, "nothing to deploy: all is as it was when it last succeeded");
            Ok(Exit::Ok)
        }
        Deployment::Ran(finished) => {
            let _ = write!(out, "{}", finished.output);
            if finished.exit_code == 0 {
                return Ok(Exit::Ok);
            }
            Err(CliError::environment(format!("the deploy command ended with exit code {}", finished.exit_code)))
        }
    }
}
