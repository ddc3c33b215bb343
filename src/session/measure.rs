//! Measurements and their analyses: intent, run, artifact, result.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::deploy;
use super::driver::{Session, now};
use super::error::SessionError;
use super::kernel::micros_since;
use crate::artifact::{self, AnalysisEntry, Mode};
use crate::harness;
use crate::protocol::{
    Analysis, ArtifactRef, Caller, Decision, Event, MeasureSpec, Outcome, Profile, Purpose, artifact_path,
};
use crate::stats;
use crate::tools::{self, Context, MeasureError, Order};

/// How long a measurement waits for its device that is due when the wall budget is spent.
const LAST_WAIT: Duration = Duration::from_secs(15 * 60);

impl Session {
    /// Makes a measurement.
    pub(super) async fn measure(&mut self, spec: MeasureSpec) -> Result<(), SessionError> {
        self.record(Event::MeasureStarted(Box::new(spec.clone())))?;
        self.run_measurement(spec).await
    }

    /// The harness is trusted as it was at the run's start: one that has changed since measures something else.
    fn harness_changed(&self) -> Option<String> {
        let path = self.workspace.repo_root().join(&self.state.run.harness);
        match harness::open(&path) {
            Ok(found) if found.hash() == self.state.run.harness_hash => None,
            Ok(_) => Some(format!(
                "the harness {} or a file of its changed during the run; put it back and go on with `agent resume {}`, \
                 or start a new run",
                self.state.run.harness, self.state.run.run_id
            )),
            Err(error) => Some(format!("the harness cannot be read any more: {error}")),
        }
    }

    pub(super) async fn run_measurement(&mut self, spec: MeasureSpec) -> Result<(), SessionError> {
        let begun = Instant::now();
        if let Some(message) = self.harness_changed() {
            self.drop_rest("");
            return self.record(Event::Blocked { message });
        }
        let started = now();
        let candidate = self.snapshots.get(spec.candidate)?;
        let incumbent = spec.incumbent.map(|hash| self.snapshots.get(hash)).transpose()?;
        let effort = self.state.effort(&spec);
        let order = Order {
            profile: spec.purpose.profile(),
            effort: &effort,
            candidate: &candidate,
            incumbent: incumbent.as_deref(),
            seed: getrandom::u64().map_err(|error| SessionError::Random(error.to_string()))?,
            rule: stats::rule(&self.state, spec.purpose, effort.pairs),
        };
        let left = match self.left() {
            // What is due although the budget is spent, such as the last duel, has a while to get its device, once.
            Some(Duration::ZERO) if spec.attempt == 1 => Some(LAST_WAIT),
            left => left,
        };
        self.wall_end.set(left.and_then(|left| tokio::time::Instant::now().checked_add(left)));
        let observer = &mut self.observer;
        let measured = match tools::measure(&self.bench, order, &mut |progress| observer.progress(progress)).await {
            Ok(measured) => measured,
            Err(MeasureError::NoRoom(error)) => return Err(error.into()),
            Err(error @ (MeasureError::Harness(_) | MeasureError::Runner { .. })) => {
                if let (MeasureError::Runner { .. }, Some(deploy)) = (&error, &self.state.run.terms.deploy) {
                    // What the runner lacks may be what was deployed.
                    deploy::forget(&self.workspace.repo_root().join("artifacts"), &deploy.command)?;
                }
                self.drop_rest("");
                return self.record(Event::Blocked { message: error.to_string() });
            }
        };
        self.compiled.clone_from(&measured.compiled);
        let path = artifact_path(self.state.iteration, spec.purpose, spec.round);
        let harness_file = self.workspace.repo_root().join(&self.state.run.harness);
        let context = Context {
            workspace: &self.workspace,
            git_hash: self.state.run.base_commit.as_deref(),
            harness_file: &harness_file,
            harness_name: self.bench.harness.name(),
            gpu: &self.state.run.terms.gpu,
            mode: if spec.purpose.profile() == Profile::Smoke { Mode::Test } else { Mode::Benchmark },
            started,
            extra: self.header_extra(&spec),
        };
        let written = tools::write(&self.folder.join(&path), &context, order, &measured)?;
        let in_vain = match measured.outcome {
            Outcome::InfraFailed { .. } => spec.attempt > 1,
            Outcome::KernelFailed { .. } => spec.purpose == Purpose::Recheck,
            Outcome::Measured { .. } => false,
        };
        if in_vain {
            self.drop_rest("");
        }
        self.record(Event::MeasureFinished {
            outcome: Box::new(measured.outcome),
            artifact: ArtifactRef { path, hash: written.hash },
            harness_ms: u64::try_from(measured.elapsed.as_millis()).unwrap_or(u64::MAX),
            overhead_us: micros_since(begun)
                .saturating_sub(u64::try_from(measured.elapsed.as_micros()).unwrap_or(u64::MAX)),
        })
    }

    fn header_extra(&self, spec: &MeasureSpec) -> Vec<(String, String)> {
        let run = &self.state.run;
        let mut extra = vec![
            ("run_id".to_owned(), run.run_id.to_string()),
            ("iteration".to_owned(), self.state.iteration.to_string()),
            ("purpose".to_owned(), spec.purpose.as_str().to_owned()),
            ("metric".to_owned(), run.terms.metric.to_string()),
            ("runner".to_owned(), run.runner.clone()),
            ("harness_hash".to_owned(), run.harness_hash.to_string()),
        ];
        extra.extend(spec.tag.clone().map(|tag| ("tag".to_owned(), tag)));
        extra
    }

    /// Appends an analysis to the artifact of the last measurement.
    pub(super) fn analyse(&mut self, by: Caller, path: &str, analysis: Analysis) -> Result<(), SessionError> {
        let file = self.folder.join(path);
        let length = std::fs::metadata(&file).map_err(SessionError::io("read", &file))?.len();
        let timestamp = now();
        self.record(Event::AnalysisStarted {
            by,
            artifact: path.to_owned(),
            length,
            timestamp,
            analysis: analysis.clone(),
        })?;
        self.write_analysis(path, length, timestamp, &analysis)
    }

    pub(super) fn write_analysis(
        &mut self,
        path: &str,
        length: u64,
        timestamp: Timestamp,
        analysis: &Analysis,
    ) -> Result<(), SessionError> {
        let begun = Instant::now();
        let entry = AnalysisEntry { timestamp_utc: timestamp, analysis: analysis.clone() };
        let written = artifact::append_analysis_at(&self.folder.join(path), length, &entry)?;
        let artifact = ArtifactRef { path: path.to_owned(), hash: written.hash };
        self.record(Event::AnalysisFinished { artifact, overhead_us: micros_since(begun) })?;
        if self.state.baseline.is_some() && self.state.ledger.is_empty() {
            super::marks::write(&self.folder, &self.state)?;
        }
        Ok(())
    }

    /// Writes the analysis of a baseline measurement, from nothing but its evidence.
    pub(super) fn analyse_baseline(&mut self) -> Result<(), SessionError> {
        let Some((purpose, evidence)) = self.state.awaiting_analysis() else { return Ok(()) };
        let metric = self.state.run.terms.metric;
        let path = evidence.artifact.path.clone();
        let (summary, next_step) = match purpose {
            Purpose::Test => ("the kernel as found passes its smoke test", "measure the baseline"),
            Purpose::Candidate | Purpose::Final | Purpose::Recheck | Purpose::Headline => {
                ("the baseline of this run", "the model's first change")
            }
        };
        let analysis = Analysis {
            decision: Decision::Keep,
            summary: summary.to_owned(),
            feedback: crate::report::outcome_text(&evidence.outcome, metric),
            next_step: next_step.to_owned(),
        };
        self.analyse(Caller::Code, &path, analysis)
    }
}
