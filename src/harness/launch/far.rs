//! The far side: `agent launch`, started by a runner.

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use thiserror::Error;

use super::attend::{Heard, attend};
use super::folder::{Fresh, fresh};
use super::made;
use super::orders::{Answer, DeviceKind, Ending, Orders, Origin, RESULT_VARIABLE, UNABLE};
use crate::harness::device;

/// Orders are short: files are named in them, not carried.
const MAX_ORDERS: u64 = 1 << 20;

/// Why the launcher could not do its work.
#[derive(Debug, Error)]
enum LaunchError {
    #[error("AFTERHOURS_RESULT is not set: a runner starts this command, not a person")]
    NoResultPath,
    #[error("standard input has no orders: {0}")]
    Orders(#[from] serde_json::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Runs one block by the orders on standard input, and writes the answer to the path in `AFTERHOURS_RESULT`.
///
/// The exit code is the program's, so that a runner stops after a failure; 128 plus its signal, 124 where its time was over,
/// and 74 for a failure of the launcher's own, which is told on standard error.
pub fn main() -> ExitCode {
    match run() {
        Ok(Ending::Code(code)) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Ok(Ending::Signal(signal)) => ExitCode::from(u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX)),
        Ok(Ending::TimedOut(_)) => ExitCode::from(124),
        Ok(Ending::Tampered(_) | Ending::Overlong) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell if this fails too; the exit code still says it.
            let _ = writeln!(io::stderr(), "launch: {error}");
            ExitCode::from(UNABLE)
        }
    }
}

fn run() -> Result<Ending, LaunchError> {
    // No kernel under this user may read the nonce out of this process, or write to its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    let result = env::var_os(RESULT_VARIABLE).map(PathBuf::from).ok_or(LaunchError::NoResultPath)?;
    let mut text = Vec::new();
    io::stdin().take(MAX_ORDERS).read_to_end(&mut text)?;
    let orders: Orders = serde_json::from_slice(&text)?;
    let device = match orders.device {
        DeviceKind::Host => Ok(device::host()),
        DeviceKind::Cuda => device::cuda().map_err(|error| error.to_string()),
    };
    let heard = launch(&orders)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let answer = Answer {
        nonce: orders.nonce,
        device,
        args: orders.args,
        ending: heard.ending.clone(),
        report: text(&heard.report),
        printed: text(&heard.printed),
    };
    fs::write(&result, serde_json::to_vec(&answer)?)?;
    Ok(heard.ending)
}

/// Runs the program in a folder of its own, whose files are what the runner and the launches before this one have left for it.
fn launch(orders: &Orders) -> io::Result<Heard> {
    let tampered =
        |file: &str| Ok(Heard { ending: Ending::Tampered(file.to_owned()), report: Vec::new(), printed: Vec::new() });
    let stage = env::current_dir()?;
    let folder = match fresh(&orders.files)? {
        Fresh::Folder(folder) => folder,
        Fresh::Tampered(file) => return tampered(&file),
    };
    if let Origin::Made(name) = &orders.program
        && !made::bring(&orders.nonce, &stage, name, folder.path())?
    {
        return tampered(name);
    }
    let heard = attend(orders, folder.path())?;
    if let Some(name) = &orders.makes
        && heard.ending == Ending::Code(0)
    {
        made::keep(&orders.nonce, &stage, name, folder.path())?;
    }
    Ok(heard)
}
