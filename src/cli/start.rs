//! From the process's arguments to its exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::args::{Cli, Command};
use super::error::CliError;
use super::exit::Exit;
use super::{deploy, doctor, eval, replay, report, run, status, stop, tool};
use crate::gate;
use crate::harness::{launch, native};
use crate::runner::remote;
use crate::sandbox::supervise;

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    let outcome = match cli.command {
        Command::Run(args) => run::run(args).map(ExitCode::from),
        Command::Resume(args) => run::resume(args).map(ExitCode::from),
        Command::Stop(args) => stop::stop(&args).map(ExitCode::from),
        Command::Status(args) => status::status(&args).map(ExitCode::from),
        Command::Report(args) => report::report(&args).map(ExitCode::from),
        Command::Replay(args) => replay::replay(&args).map(ExitCode::from),
        Command::Tool(args) => tool::tool(args),
        Command::Deploy(args) => deploy::deploy(&args).map(ExitCode::from),
        Command::Doctor(args) => doctor::doctor(args).map(ExitCode::from),
        Command::Eval(args) => eval::eval(&args).map(ExitCode::from),
        Command::Worker { spec } => return native::worker::main(&spec),
        Command::Kernel { library } => return native::host::far::main(&library),
        Command::Build { spec } => return native::cuda::build::main(&spec),
        Command::Compile => return gate::main(),
        Command::Launch { .. } => return launch::main(),
        Command::Job => return remote::main(),
        Command::Supervise { orders, command } => return supervise::main(&orders, command),
    };
    outcome.unwrap_or_else(|error| complain(&error))
}

fn complain(error: &CliError) -> ExitCode {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let mut text = format!("{style}error{style:#}: {}\n", error.message);
    let style = anstyle::AnsiColor::Cyan.on_default();
    for hint in &error.hints {
        text.push_str(&format!("{style}hint{style:#}: {hint}\n"));
    }
    let _ = anstream::stderr().write_all(text.as_bytes());
    error.exit.into()
}
