//! Logs: warnings to standard error, everything from `info` on to the run's `run.log`. `AFTERHOURS_LOG` widens the former.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Begins logging. Without a run's folder, or where its log cannot be opened, standard error alone gets the logs.
pub(super) fn begin(folder: Option<&Path>) {
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_filter(quiet(EnvFilter::try_from_env("AFTERHOURS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"))));
    let file = folder.and_then(|folder| File::options().create(true).append(true).open(folder.join("run.log")).ok());
    let file = file.map(|file| {
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Mutex::new(file))
            .with_filter(quiet(EnvFilter::new("info")))
    });
    // A second run in one process, as tests have it, keeps the first's logs.
    let _ = tracing_subscriber::registry().with(stderr).with(file).try_init();
}

/// Silences the libraries that ask models: they log whole answers and headers, and both may hold the key.
fn quiet(filter: EnvFilter) -> EnvFilter {
    ["async_openai", "reqwest", "hyper", "hyper_util", "h2", "rustls"]
        .iter()
        .filter_map(|library| format!("{library}=off").parse().ok())
        .fold(filter, EnvFilter::add_directive)
}
