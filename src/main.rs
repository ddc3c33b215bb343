//! The `agent` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    afterhours::cli::main()
}
