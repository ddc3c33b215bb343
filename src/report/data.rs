//! The report of a run, as an object for programs.

use serde::Serialize;

use crate::protocol::{ArtifactRef, Budget, ContentHash, Figure, IterationRecord};

use super::run::Report;
use super::status::Status;
use super::words;

/// The report for programs: [`Report::json`].
#[derive(Clone, Debug, Serialize)]
pub struct ReportData<'a> {
    /// The same object that `agent status --json` prints.
    pub status: &'a Status,
    /// What may be spent.
    pub budget: &'a Budget,
    /// The duel of the best kernel against the one found, where one was made.
    pub headline: Option<HeadlineData<'a>>,
    /// The records of the baseline's test and benchmark.
    pub baseline_artifacts: &'a [ArtifactRef],
    /// The iterations that are over, with their findings.
    pub iterations: &'a [IterationRecord],
    /// The plan for the next change.
    pub next_step: Option<&'a str>,
}

/// The last duel, for programs.
#[derive(Clone, Debug, Serialize)]
pub struct HeadlineData<'a> {
    /// The best kernel's text.
    pub kernel: ContentHash,
    /// Its figures; the incumbent is the kernel as found. Null where the duel gave none.
    pub result: Option<&'a Figure>,
    /// The record; null where the infrastructure failed.
    pub artifact: Option<&'a ArtifactRef>,
}

impl Report<'_> {
    /// Returns the report as an object for programs.
    pub fn json(&self) -> ReportData<'_> {
        ReportData {
            status: &self.status,
            budget: &self.state.run.terms.budget,
            headline: words::present_headline(self.state).map(|headline| HeadlineData {
                kernel: headline.kernel,
                result: headline.result.as_ref(),
                artifact: Some(&headline.artifact).filter(|artifact| !artifact.path.is_empty()),
            }),
            baseline_artifacts: self.state.baseline.as_ref().map_or(&[], |baseline| &baseline.artifacts),
            iterations: &self.state.ledger,
            next_step: words::next_step(self.state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Liveness;
    use crate::report::night::Night;
    use std::path::Path;

    #[test]
    fn the_object_has_the_status_the_findings_and_the_headline() {
        let night = Night::success();
        let report = Report::new(&night.state, night.now(), Liveness::Gone, Path::new("/runs/night-1"));
        let json = serde_json::to_value(report.json()).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["baseline_artifacts", "budget", "headline", "iterations", "next_step", "status"]);
        assert_eq!(json["status"], serde_json::to_value(&report.status).unwrap());
        assert_eq!(json["iterations"][0]["test"]["failed"]["failure"], "wrong_answer");
        assert_eq!(json["iterations"][1]["final"]["passed"]["comparison"]["verdict"], "improved");
        assert_eq!(json["headline"]["result"]["us"], json["status"]["headline"]["final_us"]);
        assert_eq!(json["headline"]["artifact"]["path"], "headline/headline.txt");
        assert_eq!(json["next_step"], "pipeline the loads");
    }
}
