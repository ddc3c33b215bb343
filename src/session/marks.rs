//! The marks in a run's folder: where the evidence of baseline, best so far and final kernel lies.

use std::path::Path;

use serde::Serialize;

use crate::journal::{FileError, atomic_write};
use crate::protocol::{ArtifactRef, ContentHash, Iteration, Micros, RunState};

/// One mark: `baseline.json`, `best.json` or `final.json`. A view of the journal, written anew whenever it changes.
#[derive(Serialize)]
struct Mark<'a> {
    iteration: Iteration,
    kernel: ContentHash,
    metric: &'static str,
    us: Option<Micros>,
    commit: Option<&'a str>,
    artifacts: Vec<&'a ArtifactRef>,
}

/// Writes the marks that the state knows.
pub(super) fn write(folder: &Path, state: &RunState) -> Result<(), FileError> {
    let metric = state.run.terms.metric.as_str();
    let Some(baseline) = &state.baseline else { return Ok(()) };
    let first = Mark {
        iteration: Iteration::BASELINE,
        kernel: state.run.baseline,
        metric,
        us: Some(baseline.us),
        commit: state.run.base_commit.as_deref(),
        artifacts: baseline.artifacts.iter().collect(),
    };
    put(folder, "baseline.json", &first)?;
    let kept = state.ledger.iter().rev().find_map(|record| record.kept.as_ref().map(|kept| (record.iteration, kept)));
    let best = match kept {
        None => first,
        Some((iteration, kept)) => Mark {
            iteration,
            kernel: state.incumbent,
            metric,
            us: state.best_us,
            commit: Some(&kept.sha),
            artifacts: kept.artifacts.iter().collect(),
        },
    };
    put(folder, "best.json", &best)?;
    if state.stop.is_none() {
        return Ok(());
    }
    let headline = state.headline.as_ref().filter(|headline| headline.result.is_some());
    let last =
        Mark { artifacts: best.artifacts.iter().copied().chain(headline.map(|last| &last.artifact)).collect(), ..best };
    put(folder, "final.json", &last)
}

fn put(folder: &Path, name: &str, mark: &Mark<'_>) -> Result<(), FileError> {
    let mut text = serde_json::to_vec_pretty(mark).unwrap_or_default();
    text.push(b'\n');
    atomic_write(&folder.join(name), &text)
}
