//! The `agent` binary.

use std::ffi::OsString;
use std::process::ExitCode;

use afterhours::sandbox::supervise;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(command), Some(_), Some(orders), Some(_)) if command == "supervise" => {
            supervise::main(&orders.to_string_lossy(), words.collect::<Vec<OsString>>())
        }
        _ => ExitCode::from(2),
    }
}
