//! A synthetic night for tests: events folded one by one, as a driver would write them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::observer::Observer;
use crate::protocol::*;
use crate::stats::{compare, rule};

/// A run under construction, with everything an observer would have seen.
pub(super) struct Night {
    pub(super) state: RunState,
    time: Timestamp,
    seen: Vec<(RunState, Event, RunState)>,
}

/// Returns `styled` as a terminal without colours shows it.
pub(super) fn plain(styled: &str) -> String {
    anstream::adapter::strip_str(styled).to_string()
}

pub(super) fn us(value: f64) -> Micros {
    Micros::new(value).unwrap()
}

pub(super) fn started(gpu: &str) -> RunStarted {
    RunStarted {
        run_id: "night-1".parse().unwrap(),
        program: "0.1.0".to_owned(),
        mission: "missions/matmul.md".to_owned(),
        mission_hash: ContentHash::of(b"mission"),
        vars: BTreeMap::new(),
        terms: Terms {
            metric: MetricName::MedianUs,
            target: Target::Us(us(410.0)),
            gpu: Gpu(gpu.to_owned()),
            budget: Budget { iterations: Some(50), wall_ms: Some(36_000_000), usd: Some(20.0), ..Budget::default() },
            min_improvement: 0.01,
            roofline_us: None,
            forbidden: Vec::new(),
            profiles: Profiles::default(),
            deploy: None,
        },
        repo_root: "/repo".to_owned(),
        kernel: "kernels/matmul/kernel.py".to_owned(),
        harness: "kernels/matmul/harness.py".to_owned(),
        harness_hash: ContentHash::of(b"harness"),
        model: "tuner".to_owned(),
        runner: "local".to_owned(),
        baseline: ContentHash::of(b"kernel 0"),
        base_commit: None,
        branch: "agent/night-1".to_owned(),
        seed: 7,
        deploy_due: None,
    }
}

impl Night {
    /// A run on a B200 of which nothing but the start is known.
    pub(super) fn begin() -> Self {
        Self::with(started("B200"))
    }

    pub(super) fn with(run: RunStarted) -> Self {
        let time: Timestamp = "2026-03-01T22:00:00Z".parse().unwrap();
        let event = Event::RunStarted(Box::new(run));
        let state = RunState::start(time, &event).unwrap();
        Self { seen: vec![(state.clone(), event, state.clone())], state, time }
    }

    /// The time of the last event.
    pub(super) fn now(&self) -> Timestamp {
        self.time
    }

    /// Folds an event, half a minute after the one before.
    pub(super) fn apply(&mut self, event: Event) -> &mut Self {
        self.time += SignedDuration::from_secs(30);
        let before = self.state.clone();
        self.state.apply(self.time, &event).unwrap();
        self.seen.push((before, event, self.state.clone()));
        self
    }

    /// Shows the whole night to an observer. The journal's lines are stand-ins.
    pub(super) fn show(&self, observer: &mut dyn Observer) {
        for (place, (before, event, after)) in self.seen.iter().enumerate() {
            observer.event(&before.moment(), event, &format!("{{\"seq\":{place}}}"), after);
        }
    }

    pub(super) fn turn(&mut self) -> &mut Self {
        let usage = Usage { prompt: 4000, cached: 3000, completion: 500, usd: 0.0125 };
        self.apply(Event::TurnStarted {}).apply(Event::TurnFinished {
            calls: Vec::new(),
            usage,
            model_ms: 4200,
            problem: None,
            by: None,
        })
    }

    pub(super) fn edit(&mut self, change: &str) -> &mut Self {
        let to = ContentHash::of(format!("kernel {} {change}", self.state.iteration).as_bytes());
        let (change, from, call) = (change.to_owned(), self.state.incumbent, "c1".to_owned());
        self.apply(Event::EditStarted { call, change, from, to }).apply(Event::EditFinished { overhead_us: 900 })
    }

    /// Measures the change at `candidate` microseconds, the incumbent beside it at `incumbent`.
    pub(super) fn measure(&mut self, purpose: Purpose, candidate: f64, incumbent: f64) -> &mut Self {
        let spec = self.spec(purpose);
        // As many as a clear duel takes, where the profile allows them.
        let clear = if purpose == Purpose::Candidate { 4 } else { 10 };
        let pairs = self.state.run.terms.profiles.get(purpose.profile()).pairs.min(clear);
        // The two sides' noise is not the same, so that the intervals have a width.
        let side = |kernel, value: f64, stride: u32| Side {
            kernel,
            us: us(value),
            blocks: (0..pairs).map(|i| us(value * (1.0 + f64::from(i * stride % 10) * 1e-3))).collect(),
            cases: Vec::new(),
        };
        let other = spec.incumbent.map(|kernel| side(kernel, incumbent, 3));
        let this = side(spec.candidate, candidate, 7);
        let comparison =
            other.as_ref().and_then(|other| compare(&other.blocks, &this.blocks, &rule(&self.state, purpose, pairs)));
        let cpu = self.state.run.terms.gpu.is_cpu();
        let name = if cpu { "cpu (AMD EPYC 9654)" } else { "NVIDIA B200" };
        let device = Device { name: name.to_owned(), compute_capability: None };
        self.outcome(spec, Outcome::Measured { device, candidate: this, incumbent: other, comparison, noise: None })
    }

    pub(super) fn fail(&mut self, purpose: Purpose, failure: KernelFailure, message: &str) -> &mut Self {
        let spec = self.spec(purpose);
        self.outcome(spec, Outcome::KernelFailed { failure, message: message.to_owned() })
    }

    pub(super) fn infra(&mut self, purpose: Purpose, message: &str) -> &mut Self {
        let spec = self.spec(purpose);
        self.outcome(spec, Outcome::InfraFailed { failure: InfraFailure::Runner, message: message.to_owned() })
    }

    fn spec(&self, purpose: Purpose) -> MeasureSpec {
        self.state.current.again.clone().unwrap_or_else(|| self.state.spec(Caller::Code, purpose))
    }

    fn outcome(&mut self, spec: MeasureSpec, outcome: Outcome) -> &mut Self {
        let path = artifact_path(self.state.iteration, spec.purpose, spec.round);
        let artifact = ArtifactRef { hash: ContentHash::of(path.as_bytes()), path };
        let outcome = Box::new(outcome);
        self.apply(Event::MeasureStarted(Box::new(spec))).apply(Event::MeasureFinished {
            outcome,
            artifact,
            harness_ms: 21_000,
            overhead_us: 2400,
        })
    }

    pub(super) fn analyse(&mut self, decision: Decision, next_step: &str) -> &mut Self {
        let artifact = self.state.awaiting_analysis().unwrap().1.artifact.clone();
        let analysis = Analysis {
            decision,
            summary: "what was seen".to_owned(),
            feedback: "what it says".to_owned(),
            next_step: next_step.to_owned(),
        };
        let (by, timestamp) = (Caller::Code, self.time);
        self.apply(Event::AnalysisStarted { by, artifact: artifact.path.clone(), length: 1, timestamp, analysis })
            .apply(Event::AnalysisFinished { artifact, overhead_us: 300 })
    }

    pub(super) fn baseline(&mut self, value: f64) -> &mut Self {
        self.measure(Purpose::Test, value, value).analyse(Decision::Keep, "");
        self.measure(Purpose::Candidate, value, value).analyse(Decision::Keep, "try something")
    }

    /// Puts the incumbent back for the cause that is due, or for `cause`, and closes the iteration.
    pub(super) fn revert(&mut self, cause: RevertCause) -> &mut Self {
        let (from, to, by) = (self.state.in_flight.unwrap(), self.state.incumbent, Caller::Code);
        let cause = match self.state.current.due {
            Some(Due::Revert(due)) => due,
            _ => cause,
        };
        self.apply(Event::RevertStarted { by, cause, from, to }).apply(Event::RevertFinished { overhead_us: 700 });
        let iteration = self.state.iteration;
        self.apply(Event::IterationFinished { iteration, decision: Decision::Revert, cause: Some(cause) })
    }

    /// A whole iteration that is kept: from `from` to `to` microseconds.
    pub(super) fn kept(&mut self, change: &str, from: f64, to: f64, next_step: &str) -> &mut Self {
        self.turn().edit(change);
        self.measure(Purpose::Test, to, from).analyse(Decision::Keep, "benchmark it");
        self.measure(Purpose::Candidate, to, from).analyse(Decision::Keep, "confirm it");
        self.measure(Purpose::Final, to, from).analyse(Decision::Keep, next_step);
        self.measure(Purpose::Recheck, to, from);
        let (kernel, timestamp) = (self.state.in_flight.unwrap(), self.time);
        let (parent, message) = (self.state.tip.clone(), change.to_owned());
        let sha: String = ContentHash::of(change.as_bytes()).to_string().chars().take(40).collect();
        self.apply(Event::CommitStarted { kernel, parent, message, timestamp }).apply(Event::CommitFinished { sha });
        let iteration = self.state.iteration;
        self.apply(Event::IterationFinished { iteration, decision: Decision::Keep, cause: None })
    }

    /// A whole iteration that the candidate benchmark ends.
    pub(super) fn slower(&mut self, change: &str, from: f64, to: f64, next_step: &str) -> &mut Self {
        self.turn().edit(change);
        self.measure(Purpose::Test, to, from).analyse(Decision::Keep, "benchmark it");
        self.measure(Purpose::Candidate, to, from).analyse(Decision::Revert, next_step);
        self.revert(RevertCause::NotImproved)
    }

    pub(super) fn stop(&mut self, reason: StopReason) -> &mut Self {
        self.apply(Event::RunStopped { reason })
    }

    /// The night of most tests: a failure, a slower try, two kept changes, and the target confirmed.
    pub(super) fn success() -> Self {
        let mut night = Self::begin();
        night.baseline(812.0);
        night.turn().edit("use shared memory").fail(Purpose::Test, KernelFailure::WrongAnswer, "case 3: off by\n1e-2");
        night.analyse(Decision::Revert, "unroll the inner loop").revert(RevertCause::TestFailed);
        night.kept("unroll the inner loop by 4", 812.0, 560.0, "vectorise the loads");
        night.slower("vectorise the loads", 560.0, 571.0, "swizzle the tiles");
        night.kept("swizzle the tiles", 560.0, 400.0, "pipeline the loads");
        night.apply(Event::Closing { reason: StopReason::TargetReached });
        night.measure(Purpose::Headline, 400.0, 812.0).stop(StopReason::TargetReached);
        night
    }
}
