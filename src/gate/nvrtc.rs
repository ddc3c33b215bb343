//! The far side: `agent compile`, a process in which NVRTC may crash.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::harness::nvrtc::{Nvrtc, NvrtcFault, Verdict, compile};

/// The exit code where the text was rejected; its errors are on standard error.
pub(super) const REJECTED: u8 = 1;

/// The exit code where nobody could look at the text.
pub(super) const UNABLE: u8 = 74;

/// Orders are a few paths.
const MAX_ORDERS: u64 = 64 << 10;

/// What to compile, and how. It comes on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// The file with the text, which is also its name in messages.
    pub(super) file: String,
    /// NVRTC itself.
    pub(super) library: PathBuf,
    /// Such as `sm_100a`.
    pub(super) arch: String,
    /// Folders of headers.
    pub(super) includes: Vec<PathBuf>,
}

/// Why nobody could look at the text.
#[derive(Debug, Error)]
enum CompileError {
    #[error("standard input has no orders: {0}")]
    Orders(#[from] serde_json::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Nvrtc(#[from] NvrtcFault),
}

/// Compiles a text by the orders on standard input. Exit code 0 stands for a text that compiles, with `ptxas`' account of it on
/// standard output; 1 for one that does not, with its errors on standard error; 74 where that could not be found out.
pub fn main() -> ExitCode {
    let told = |text: &str| {
        // Nobody is left to tell if this fails; the exit code still says it.
        let _ = writeln!(io::stderr(), "{text}");
    };
    match run() {
        Ok(Verdict::Compiled { log, .. }) => {
            let _ = writeln!(io::stdout(), "{log}");
            ExitCode::SUCCESS
        }
        Ok(Verdict::Rejected(log)) => {
            told(&log);
            ExitCode::from(REJECTED)
        }
        Err(error) => {
            told(&format!("compile: {error}"));
            ExitCode::from(UNABLE)
        }
    }
}

fn run() -> Result<Verdict, CompileError> {
    let mut text = Vec::new();
    io::stdin().take(MAX_ORDERS).read_to_end(&mut text)?;
    let orders: Orders = serde_json::from_slice(&text)?;
    let nvrtc = Nvrtc { library: orders.library, includes: orders.includes };
    Ok(compile(&nvrtc, &orders.file, &fs::read(&orders.file)?, &orders.arch, &[])?)
}
