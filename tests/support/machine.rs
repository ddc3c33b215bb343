//! A run without a world: the protocol driven in memory, every step carried out at once.

use std::collections::BTreeMap;

use afterhours::protocol::*;
use jiff::Timestamp;

/// Returns the beginning of a run with the given budget.
pub fn run_started(budget: Budget, target: Target) -> RunStarted {
    RunStarted {
        run_id: "test-run".parse().unwrap(),
        program: "afterhours".to_owned(),
        mission: "mission.md".to_owned(),
        mission_hash: ContentHash::of(b"mission"),
        vars: BTreeMap::new(),
        terms: Terms {
            metric: MetricName::MedianUs,
            target,
            gpu: Gpu("cpu".to_owned()),
            budget,
            min_improvement: 0.01,
            roofline_us: None,
            forbidden: Vec::new(),
            profiles: Profiles::default(),
            deploy: None,
        },
        repo_root: "/repo".to_owned(),
        kernel: "kernel.c".to_owned(),
        harness: "harness.toml".to_owned(),
        harness_hash: ContentHash::of(b"harness"),
        model: "tuner".to_owned(),
        runner: "local".to_owned(),
        baseline: ContentHash::of(b"baseline"),
        base_commit: Some("0".repeat(40)),
        branch: "agent/test-run".to_owned(),
        seed: 1,
        deploy_due: None,
    }
}

/// What the world answers to a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum World {
    /// The kernel passes; the duel's ratio and verdict.
    Passes(f64, Verdict),
    /// The kernel fails.
    KernelFails,
    /// The infrastructure fails.
    InfraFails,
}

/// A run in memory.
#[derive(Clone)]
pub struct Machine {
    pub state: RunState,
    pub events: Vec<Event>,
    millis: i64,
    texts: u32,
}

impl Machine {
    /// Starts a run without limits whose target cannot be reached.
    pub fn new() -> Self {
        Self::with(Budget::default(), Target::Us(Micros::new(1e-9).unwrap()))
    }

    pub fn with(budget: Budget, target: Target) -> Self {
        let first = Event::RunStarted(Box::new(run_started(budget, target)));
        let state = RunState::start(Timestamp::UNIX_EPOCH, &first).unwrap();
        Self { state, events: vec![first], millis: 0, texts: 0 }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis).unwrap()
    }

    /// Applies an event, a millisecond after the last.
    pub fn apply(&mut self, event: Event) -> Result<(), FoldError> {
        self.millis += 1;
        self.state.apply(self.now(), &event)?;
        self.events.push(event);
        Ok(())
    }

    pub fn must(&mut self, event: Event) {
        let text = format!("{event:?}");
        self.apply(event).unwrap_or_else(|error| panic!("{error}: {text}"));
    }

    /// Carries out the code's own steps until the model is asked, a call waits, or the run is over.
    pub fn settle(&mut self, world: World) {
        for _ in 0..200 {
            match self.state.next(self.now()) {
                Step::Measure(spec) => self.measure(spec, world),
                Step::AnalyseBaseline => {
                    let path = self.state.awaiting_analysis().unwrap().1.artifact.path.clone();
                    self.analyse(Caller::Code, &path, Decision::Keep);
                }
                Step::Revert(cause) => self.revert(Caller::Code, cause),
                Step::Commit => {
                    let kernel = self.state.in_flight.unwrap();
                    self.must(Event::CommitStarted {
                        kernel,
                        parent: None,
                        message: String::new(),
                        timestamp: self.now(),
                    });
                    self.must(Event::CommitFinished { sha: format!("{:040}", self.state.iteration.0) });
                }
                Step::Finish(cause) => {
                    let decision = if cause.is_none() { Decision::Keep } else { Decision::Revert };
                    self.must(Event::IterationFinished { iteration: self.state.iteration, decision, cause });
                }
                Step::Close(reason) => self.must(Event::Closing { reason }),
                Step::Stop(reason) => self.must(Event::RunStopped { reason }),
                Step::Ask | Step::Call(_) | Step::Over => return,
                Step::Redo(pending) => panic!("nothing is interrupted here: {pending:?}"),
                Step::Deploy => panic!("no deploy is due here"),
            }
        }
        panic!("the code's own steps never end");
    }

    pub fn measure(&mut self, spec: MeasureSpec, world: World) {
        let path = artifact_path(self.state.iteration, spec.purpose, spec.round);
        let outcome = outcome(&spec, world);
        self.must(Event::MeasureStarted(Box::new(spec)));
        self.must(Event::MeasureFinished {
            outcome: Box::new(outcome),
            artifact: ArtifactRef { hash: ContentHash::of(path.as_bytes()), path },
            harness_ms: 5,
            overhead_us: 100,
        });
    }

    pub fn analyse(&mut self, by: Caller, path: &str, decision: Decision) {
        let analysis =
            Analysis { decision, summary: "s".to_owned(), feedback: "f".to_owned(), next_step: "n".to_owned() };
        let timestamp = self.now();
        let artifact = path.to_owned();
        self.must(Event::AnalysisStarted { by, artifact, length: 10, timestamp, analysis });
        let artifact = ArtifactRef { path: path.to_owned(), hash: ContentHash::of(b"analysed") };
        self.must(Event::AnalysisFinished { artifact, overhead_us: 100 });
    }

    pub fn revert(&mut self, by: Caller, cause: RevertCause) {
        let (from, to) = (self.state.in_flight.unwrap(), self.state.incumbent);
        self.must(Event::RevertStarted { by, cause, from, to });
        self.must(Event::RevertFinished { overhead_us: 100 });
    }

    pub fn edit(&mut self) {
        self.texts += 1;
        let to = ContentHash::of(format!("text {}", self.texts).as_bytes());
        let from = self.state.incumbent;
        self.must(Event::EditStarted { call: "c".to_owned(), change: format!("change {}", self.texts), from, to });
        self.must(Event::EditFinished { overhead_us: 100 });
    }

    /// Carries out a request that the gate lets pass.
    pub fn carry_out(&mut self, request: &Request<'_>, world: World) {
        let by = Caller::Model("c".to_owned());
        match request {
            Request::Edit => self.edit(),
            Request::Test { .. } => {
                let spec = self.state.spec(by, Purpose::Test);
                self.measure(spec, world);
            }
            Request::Benchmark { profile, .. } => {
                let purpose = if *profile == Profile::Final { Purpose::Final } else { Purpose::Candidate };
                let spec = self.state.spec(by, purpose);
                self.measure(spec, world);
            }
            Request::Analysis { artifact, decision } => self.analyse(by, artifact, *decision),
            Request::Revert => self.revert(by, RevertCause::ModelChoice),
            Request::Read => {}
        }
    }

    /// Leads the run into `phase`, by legal steps alone.
    pub fn in_phase(phase: Phase) -> Self {
        let good = World::Passes(2.0, Verdict::Improved);
        let mut machine = Self::new();
        if phase == Phase::Baseline {
            return machine;
        }
        if phase == Phase::Deploy {
            let mut run = run_started(Budget::default(), Target::Speedup(2.0));
            run.deploy_due = Some(ContentHash::of(b"watched"));
            let first = Event::RunStarted(Box::new(run));
            machine.state = RunState::start(Timestamp::UNIX_EPOCH, &first).unwrap();
            return machine;
        }
        machine.settle(good);
        if phase == Phase::Stopped {
            machine.must(Event::RunStopped { reason: StopReason::User });
        }
        if phase == Phase::Closing {
            machine.must(Event::Closing { reason: StopReason::TargetReached });
        }
        let controls = Controls::default();
        for _ in 0..20 {
            if machine.state.phase == phase {
                return machine;
            }
            let waiting = machine.state.awaiting_analysis().map(|(_, evidence)| evidence.artifact.path.clone());
            let request = match machine.state.phase {
                Phase::Idle => Request::Edit,
                Phase::Edited => Request::Test { profile: Profile::Smoke },
                Phase::Measurable => Request::Benchmark { profile: Profile::Candidate, controls: &controls },
                Phase::Confirmable => Request::Benchmark { profile: Profile::Final, controls: &controls },
                _ => Request::Analysis { artifact: waiting.as_deref().unwrap(), decision: Decision::Keep },
            };
            machine.carry_out(&request, good);
        }
        panic!("{phase:?} was not reached");
    }
}

fn outcome(spec: &MeasureSpec, world: World) -> Outcome {
    let side = |kernel| Side {
        kernel,
        us: Micros::new(100.0).unwrap(),
        blocks: vec![Micros::new(100.0).unwrap()],
        cases: vec![CaseFigure { id: "c".to_owned(), us: Micros::new(100.0).unwrap() }],
    };
    match world {
        World::KernelFails => {
            Outcome::KernelFailed { failure: KernelFailure::WrongAnswer, message: "wrong".to_owned() }
        }
        World::InfraFails => Outcome::InfraFailed { failure: InfraFailure::Runner, message: "down".to_owned() },
        World::Passes(ratio, verdict) => Outcome::Measured {
            device: Device { name: "cpu (test)".to_owned(), compute_capability: None },
            candidate: side(spec.candidate),
            incumbent: spec.incumbent.map(side),
            comparison: spec.incumbent.map(|_| Comparison {
                verdict,
                ratio,
                low: ratio,
                high: ratio,
                p_value: 0.001,
                pairs: 10,
                margin: 0.01,
                setback: None,
            }),
            noise: None,
        },
    }
}
