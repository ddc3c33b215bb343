//! The `agent` binary.

use std::path::Path;
use std::process::ExitCode;

use afterhours::harness::native::worker;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("worker"), Some(spec)) => worker::main(Path::new(&spec)),
        _ => ExitCode::from(2),
    }
}
