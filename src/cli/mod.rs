//! The command line: one small file a command; error kinds, hints and exit codes stand here, at the edge.

mod args;
mod deploy;
mod doctor;
mod error;
mod eval;
mod exit;
mod logging;
mod replay;
mod report;
mod run;
mod start;
mod status;
mod stop;
mod tool;
mod tool_args;
mod tool_undo;
mod world;

pub use args::Cli;
pub use exit::Exit;
pub use start::main;
