//! A run's state for contexts to look at, set up by hand.

use std::collections::BTreeMap;

use afterhours::journal::Snapshots;
use afterhours::model::{CallResult, View};
use afterhours::protocol::{
    Budget, ContentHash, Decision, Event, Gpu, Iteration, IterationRecord, MetricName, Micros, Phase, Profiles,
    RevertCause, RunStarted, RunState, Target, Terms,
};
use jiff::Timestamp;

/// A run after its baseline.
pub(crate) struct Run {
    pub(crate) state: RunState,
    pub(crate) prompt: String,
    pub(crate) description: Option<String>,
    pub(crate) results: Vec<CallResult>,
    snapshots: Snapshots,
    _folder: tempfile::TempDir,
}

impl Run {
    /// A run of the kernel `text`, in its first iteration.
    pub(crate) fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(folder.path());
        let baseline = snapshots.put(text.as_bytes()).unwrap();
        let event = Event::RunStarted(Box::new(started(baseline)));
        let mut state = RunState::start(Timestamp::UNIX_EPOCH, &event).unwrap();
        state.phase = Phase::Idle;
        state.iteration = Iteration(1);
        state.best_us = Some(Micros::new(812.0).unwrap());
        let prompt = "Make it fast.".to_owned();
        Self { state, prompt, description: None, results: Vec::new(), snapshots, _folder: folder }
    }

    /// Shows the run as it is.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let kernel = self.snapshots.get(self.state.expected_kernel()).unwrap();
        let kernel = String::from_utf8(kernel).unwrap();
        look(&View {
            state: &self.state,
            prompt: &self.prompt,
            description: self.description.as_deref(),
            kernel: &kernel,
            results: &self.results,
            snapshots: &self.snapshots,
        })
    }

    /// Puts the kernel `text` into flight.
    pub(crate) fn edit(&mut self, change: &str, text: &str) {
        let to = self.snapshots.put(text.as_bytes()).unwrap();
        change.clone_into(&mut self.state.current.change);
        self.state.current.edited = Some(to);
        self.state.in_flight = Some(to);
        self.state.phase = Phase::Edited;
    }

    /// Ends the iteration under way.
    pub(crate) fn end(&mut self, cause: Option<RevertCause>) {
        let current = std::mem::take(&mut self.state.current);
        let record = IterationRecord {
            iteration: self.state.iteration,
            change: current.change,
            kernel: current.edited,
            by: None,
            test: None,
            candidate: None,
            confirmation: None,
            recheck: None,
            decision: if cause.is_some() { Decision::Revert } else { Decision::Keep },
            cause,
            infra: None,
            feedback: current.feedback,
            next_step: current.next_step,
            kept: None,
        };
        if let (None, Some(kernel)) = (cause, self.state.in_flight) {
            self.state.incumbent = kernel;
        }
        self.state.ledger.push(record);
        self.state.in_flight = None;
        self.state.phase = Phase::Idle;
        self.state.iteration = self.state.iteration.next();
    }
}

fn started(baseline: ContentHash) -> RunStarted {
    RunStarted {
        run_id: "night".parse().unwrap(),
        program: "afterhours".to_owned(),
        mission: "mission.md".to_owned(),
        mission_hash: ContentHash::of(b"mission"),
        vars: BTreeMap::new(),
        terms: Terms {
            metric: MetricName::MedianUs,
            target: Target::Us(Micros::new(410.0).unwrap()),
            gpu: Gpu("B200".to_owned()),
            budget: Budget { iterations: Some(50), wall_ms: Some(36_000_000), ..Budget::default() },
            min_improvement: 0.01,
            roofline_us: None,
            forbidden: vec!["nsys".to_owned()],
            profiles: Profiles::default(),
            deploy: None,
        },
        repo_root: "/somewhere/else".to_owned(),
        kernel: "kernels/matmul/kernel.py".to_owned(),
        harness: "kernels/matmul/harness.py".to_owned(),
        harness_hash: ContentHash::of(b"harness"),
        model: "openai:any".to_owned(),
        runner: "local".to_owned(),
        baseline,
        base_commit: None,
        branch: "agent/night".to_owned(),
        seed: 7,
        deploy_due: None,
    }
}
