//! Logs: warnings to standard error, everything from `info` on to the run's `run.log`. `AFTERHOURS_LOG` widens the former.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Where the run's log goes.
enum RunLog {
    /// The run has no folder yet: what is said while it is opened waits here.
    Early(Vec<u8>),
    File(File),
    /// No file can be written: standard error alone gets the logs.
    Nowhere,
}

static RUN_LOG: Mutex<RunLog> = Mutex::new(RunLog::Early(Vec::new()));

/// Begins logging. A second run in one process, as tests have it, keeps the first's logs.
pub(super) fn begin() {
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .without_time()
        .with_target(false)
        .with_filter(quiet(EnvFilter::try_from_env("AFTERHOURS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"))));
    let run = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(|| Handle)
        .with_filter(quiet(EnvFilter::new("info")));
    let _ = tracing_subscriber::registry().with(stderr).with(run).try_init();
}

/// Puts what was logged so far, and everything from now on, into the log of the run in `folder`.
pub(super) fn keep_in(folder: &Path) {
    let mut log = run_log();
    let file = File::options().create(true).append(true).open(folder.join("run.log"));
    let kept = file.and_then(|mut file| match &*log {
        RunLog::Early(said) => file.write_all(said).map(|()| file),
        RunLog::File(_) | RunLog::Nowhere => Ok(file),
    });
    *log = kept.map_or(RunLog::Nowhere, RunLog::File);
}

fn run_log() -> MutexGuard<'static, RunLog> {
    RUN_LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to the run's log, wherever it is by then.
struct Handle;

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *run_log() {
            RunLog::Early(said) => said.write(bytes),
            RunLog::File(file) => file.write(bytes),
            RunLog::Nowhere => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Silences the libraries that ask models: they log whole answers and headers, and both may hold the key.
fn quiet(filter: EnvFilter) -> EnvFilter {
    ["async_openai", "reqwest", "hyper", "hyper_util", "h2", "rustls"]
        .iter()
        .filter_map(|library| format!("{library}=off").parse().ok())
        .fold(filter, EnvFilter::add_directive)
}
