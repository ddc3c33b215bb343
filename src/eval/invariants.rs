//! What must hold after every run, whatever a scenario expects.

use std::path::Path;

use super::play::Played;
use super::scenario::KERNEL;
use super::stage::Rest;
use crate::protocol::{ContentHash, Decision, Finding, IterationRecord, Verdict};
use crate::replay;

/// Returns a line for each promise that the run broke.
pub(super) fn broken(played: &Played, folder: &Path, before: &Rest, after: &Rest) -> Vec<String> {
    let mut broken = Vec::new();
    if played.folded != played.state {
        broken.push("the journal folds to another state than the session's".to_owned());
    }
    if ContentHash::of(played.kernel.as_bytes()) != played.state.incumbent {
        broken.push("the kernel file is not the incumbent".to_owned());
    }
    if before.files != after.files {
        broken.push(format!("files beside the kernel changed: {}", changed(before, after)));
    }
    if before.index != after.index || before.head != after.head || before.refs != after.refs {
        broken.push("git's index, HEAD or another branch than the run's changed".to_owned());
    }
    if played.changed.iter().any(|files| files != &[KERNEL]) {
        broken.push(format!("a commit changes more than the kernel: {:?}", played.changed));
    }
    let keeps = played.state.ledger.iter().filter(|record| record.decision == Decision::Keep);
    if keeps.clone().count() != played.commits {
        broken.push(format!("{} KEEPs, and {} commits", keeps.clone().count(), played.commits));
    }
    match replay::replay(folder) {
        Ok(replayed) if replayed.agrees() => {}
        Ok(replayed) => broken.push(format!("the run replays otherwise: {:?}", replayed.divergence)),
        Err(error) => broken.push(format!("the run cannot be replayed: {error}")),
    }
    broken.extend(keeps.filter_map(|record| unproved(record, folder)));
    broken
}

fn changed(before: &Rest, after: &Rest) -> String {
    let paths =
        before.files.keys().chain(after.files.keys()).filter(|path| before.files.get(*path) != after.files.get(*path));
    let names: std::collections::BTreeSet<_> = paths.map(|path| path.display().to_string()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Returns what a KEEP lacks: test, candidate, final benchmark and recheck, each passed, with its artifact as the journal has
/// it.
fn unproved(record: &IterationRecord, folder: &Path) -> Option<String> {
    let passed = |finding: &Option<Finding>| matches!(finding, Some(Finding::Passed(_)));
    let confirmed = match &record.confirmation {
        Some(Finding::Passed(figure)) => {
            figure.comparison.as_ref().is_some_and(|found| found.verdict == Verdict::Improved)
        }
        Some(Finding::Failed { .. }) | None => false,
    };
    let artifacts = record.kept.as_ref().map(|kept| kept.artifacts.as_slice()).unwrap_or_default();
    let lacks = if !passed(&record.test) || !passed(&record.candidate) || !confirmed || !passed(&record.recheck) {
        "the evidence of test, candidate, final benchmark and recheck".to_owned()
    } else if artifacts.len() != 4 {
        format!("four artifacts, and has {}", artifacts.len())
    } else {
        let is_whole =
            |path: &str, hash| std::fs::read(folder.join(path)).is_ok_and(|text| ContentHash::of(&text) == hash);
        let torn = artifacts.iter().find(|artifact| !is_whole(&artifact.path, artifact.hash))?;
        format!("the artifact {} as the journal has it", torn.path)
    };
    Some(format!("the KEEP of {} lacks {lacks}", record.iteration))
}
