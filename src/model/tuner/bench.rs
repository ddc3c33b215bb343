//! A run for tests: the real protocol, and a harness that is a function of the setting.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::kernel::Kernel;
use super::player::Tuner;
use crate::model::ModelError;
use crate::protocol::*;
use crate::stats::{compare, log_ratios, rule};

/// What a setting costs in microseconds, or how it fails.
pub(super) type Cost = dyn Fn(&[usize]) -> Result<f64, KernelFailure>;

/// A run whose harness is a function.
pub(super) struct Bench<'a> {
    pub(super) state: RunState,
    pub(super) texts: HashMap<ContentHash, String>,
    cost: &'a Cost,
    noise: f64,
    dice: fastrand::Rng,
    pub(super) tuner: Tuner,
    /// Makes a new tuner before every turn, as after a crash.
    pub(super) forgetful: bool,
    /// The number of a measurement and whether the infrastructure fails at it.
    pub(super) breaks: fn(u32) -> bool,
    measured: u32,
    /// What a failing kernel says.
    pub(super) account: &'static str,
    pub(super) proposals: Vec<ContentHash>,
    clock: i64,
}

fn terms() -> Terms {
    Terms {
        metric: MetricName::MedianUs,
        target: Target::Us(Micros::new(1e-9).unwrap()),
        gpu: Gpu("cpu".to_owned()),
        budget: Budget::default(),
        min_improvement: 0.01,
        roofline_us: None,
        forbidden: Vec::new(),
        profiles: Profiles::default(),
        deploy: None,
    }
}

pub(super) fn started(text: &str, seed: u64) -> RunStarted {
    RunStarted {
        run_id: "r".parse().unwrap(),
        program: String::new(),
        mission: String::new(),
        mission_hash: ContentHash::of(b""),
        vars: BTreeMap::new(),
        terms: terms(),
        repo_root: String::new(),
        kernel: String::new(),
        harness: String::new(),
        harness_hash: ContentHash::of(b""),
        model: "tuner".to_owned(),
        runner: String::new(),
        baseline: ContentHash::of(text.as_bytes()),
        base_commit: None,
        branch: String::new(),
        seed,
        deploy_due: None,
    }
}

impl<'a> Bench<'a> {
    pub(super) fn new(text: &str, seed: u64, noise: f64, cost: &'a Cost) -> Self {
        Self::with(started(text, seed), text, noise, cost)
    }

    pub(super) fn with(run: RunStarted, text: &str, noise: f64, cost: &'a Cost) -> Self {
        let seed = run.seed;
        let state = RunState::start(Timestamp::UNIX_EPOCH, &Event::RunStarted(Box::new(run))).unwrap();
        Self {
            texts: HashMap::from([(state.incumbent, text.to_owned())]),
            state,
            cost,
            noise,
            dice: fastrand::Rng::with_seed(seed),
            tuner: Tuner::new(),
            forgetful: false,
            breaks: |_| false,
            measured: 0,
            account: "\n line 1: no",
            proposals: Vec::new(),
            clock: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock).unwrap()
    }

    fn apply(&mut self, event: &Event) {
        self.clock += 1;
        self.state.apply(self.now(), event).unwrap();
    }

    /// Plays until the tuner gives up or `iterations` are over, and returns what it said.
    pub(super) fn play(&mut self, iterations: usize) -> Option<ModelError> {
        while self.state.ledger.len() < iterations {
            match self.state.next(self.now()) {
                Step::Measure(spec) => self.measure(spec),
                Step::AnalyseBaseline => self.analyse(Caller::Code, Decision::Keep, ["", "", ""]),
                Step::Ask => match self.ask() {
                    Ok(calls) => {
                        assert!(!calls.is_empty());
                        self.apply(&Event::TurnStarted {});
                        self.apply(&Event::TurnFinished {
                            calls,
                            usage: Usage::default(),
                            model_ms: 0,
                            problem: None,
                            by: None,
                        });
                    }
                    Err(error) => return Some(error),
                },
                Step::Call(call) => self.call(&call),
                Step::Revert(cause) => {
                    let (from, to) = (self.state.in_flight.unwrap(), self.state.incumbent);
                    self.apply(&Event::RevertStarted { by: Caller::Code, cause, from, to });
                    self.apply(&Event::RevertFinished { overhead_us: 0 });
                }
                Step::Commit => {
                    let kernel = self.state.in_flight.unwrap();
                    let (message, timestamp) = (String::new(), self.now());
                    self.apply(&Event::CommitStarted { kernel, parent: None, message, timestamp });
                    self.apply(&Event::CommitFinished { sha: "c".to_owned() });
                }
                Step::Finish(cause) => {
                    let iteration = self.state.iteration;
                    let decision = if cause.is_some() { Decision::Revert } else { Decision::Keep };
                    self.apply(&Event::IterationFinished { iteration, decision, cause });
                }
                other => panic!("{other:?}"),
            }
        }
        None
    }

    pub(super) fn ask(&mut self) -> Result<Vec<RawCall>, ModelError> {
        if self.forgetful {
            self.tuner = Tuner::new();
        }
        let file = self.texts[&self.state.expected_kernel()].clone();
        let texts = &self.texts;
        self.tuner.calls(&self.state, &file, &|hash| texts.get(&hash).cloned())
    }

    pub(super) fn call(&mut self, call: &RawCall) {
        let text = |key: &str| call.arguments[key].as_str().unwrap().to_owned();
        let by = Caller::Model(call.id.clone());
        Forbidden::new(&self.state.run.terms.forbidden).check_value(&call.arguments, "the call").unwrap();
        match Tool::from_name(&call.tool).unwrap() {
            Tool::EditKernel => {
                self.state.admit(&Request::Edit).unwrap();
                let from = self.state.incumbent;
                let mut kernel = self.texts[&from].clone();
                for edit in call.arguments["edits"].as_array().unwrap() {
                    let (search, replace) = (edit["search"].as_str().unwrap(), edit["replace"].as_str().unwrap());
                    assert_eq!(kernel.matches(search).count(), 1, "{search}");
                    kernel = kernel.replace(search, replace);
                }
                let to = ContentHash::of(kernel.as_bytes());
                self.texts.insert(to, kernel);
                self.proposals.push(to);
                self.apply(&Event::EditStarted { call: call.id.clone(), change: text("change"), from, to });
                self.apply(&Event::EditFinished { overhead_us: 0 });
            }
            Tool::TestRun => {
                let profile = serde_json::from_value(call.arguments["profile"].clone()).unwrap();
                self.state.admit(&Request::Test { profile }).unwrap();
                self.measure(self.state.spec(by, Purpose::Test));
            }
            Tool::BenchmarkRun => {
                let profile: Profile = serde_json::from_value(call.arguments["profile"].clone()).unwrap();
                self.state.admit(&Request::Benchmark { profile, controls: &Controls::default() }).unwrap();
                let purpose = if profile == Profile::Final { Purpose::Final } else { Purpose::Candidate };
                self.measure(self.state.spec(by, purpose));
            }
            Tool::AppendAnalysis => {
                let decision = serde_json::from_value(call.arguments["decision"].clone()).unwrap();
                let artifact = text("artifact");
                self.state.admit(&Request::Analysis { artifact: &artifact, decision }).unwrap();
                let words = ["summary", "feedback", "next_step"].map(text);
                assert!(words.iter().all(|word| !word.is_empty()), "{words:?}");
                self.analyse(by, decision, words.each_ref().map(String::as_str));
            }
            Tool::Revert | Tool::ReadFile => panic!("{call:?}"),
        }
    }

    pub(super) fn analyse(&mut self, by: Caller, decision: Decision, [summary, feedback, next_step]: [&str; 3]) {
        let artifact = self.state.awaiting_analysis().unwrap().1.artifact.clone();
        let analysis = Analysis {
            decision,
            summary: summary.to_owned(),
            feedback: feedback.to_owned(),
            next_step: next_step.to_owned(),
        };
        let (path, timestamp) = (artifact.path.clone(), self.now());
        self.apply(&Event::AnalysisStarted { by, artifact: path, length: 0, timestamp, analysis });
        self.apply(&Event::AnalysisFinished { artifact, overhead_us: 0 });
    }

    pub(super) fn measure(&mut self, spec: MeasureSpec) {
        self.measured += 1;
        let outcome = if (self.breaks)(self.measured) {
            Outcome::InfraFailed { failure: InfraFailure::Runner, message: "gone".to_owned() }
        } else {
            self.outcome(&spec)
        };
        let path = artifact_path(self.state.iteration, spec.purpose, spec.round);
        let artifact = ArtifactRef { path, hash: spec.candidate };
        self.apply(&Event::MeasureStarted(Box::new(spec)));
        let outcome = Box::new(outcome);
        self.apply(&Event::MeasureFinished { outcome, artifact, harness_ms: 0, overhead_us: 0 });
    }

    fn outcome(&mut self, spec: &MeasureSpec) -> Outcome {
        let most = match (spec.purpose, spec.size) {
            (Purpose::Test, _) => 1,
            (Purpose::Candidate, _) => 6,
            (_, DuelSize::Normal) => 60,
            (_, DuelSize::Larger) => 120,
        };
        let rule = rule(&self.state, spec.purpose, most);
        let (mut candidate, mut incumbent) = (Vec::new(), Vec::new());
        loop {
            let more = if spec.incumbent.is_some() { rule.next(&log_ratios(&incumbent, &candidate)) } else { most };
            match self.blocks(spec.candidate, more) {
                Ok(blocks) => candidate.extend(blocks),
                Err(failure) => return Outcome::KernelFailed { failure, message: self.account.to_owned() },
            }
            let Some(hash) = spec.incumbent else { break };
            incumbent.extend(self.blocks(hash, more).unwrap());
            if more == 0 {
                break;
            }
        }
        let device = Device { name: "cpu".to_owned(), compute_capability: None };
        let comparison = compare(&incumbent, &candidate, &rule);
        let incumbent = spec.incumbent.map(|hash| side(hash, incumbent));
        Outcome::Measured { device, candidate: side(spec.candidate, candidate), incumbent, comparison, noise: None }
    }

    fn blocks(&mut self, kernel: ContentHash, count: u32) -> Result<Vec<Micros>, KernelFailure> {
        let us = (self.cost)(&Kernel::parse(self.texts[&kernel].clone()).point.0)?;
        let blocks = (0..count).map(|_| {
            let error: f64 = (0..12).map(|_| self.dice.f64()).sum::<f64>() - 6.0;
            Micros::new(us * (self.noise * error).exp()).unwrap()
        });
        Ok(blocks.collect())
    }

    pub(super) fn best(&self) -> Vec<usize> {
        Kernel::parse(self.texts[&self.state.incumbent].clone()).point.0
    }

    /// How many times as long the best kernel takes as the best setting there is.
    pub(super) fn regret(&self) -> f64 {
        let kernel = Kernel::parse(self.texts[&self.state.run.baseline].clone());
        let counts: Vec<usize> = kernel.tunables.iter().map(|tunable| tunable.values.len()).collect();
        let all = (0..counts.iter().product::<usize>()).map(|mut index| {
            counts
                .iter()
                .map(|count| {
                    let choice = index % count;
                    index /= count;
                    choice
                })
                .collect::<Vec<_>>()
        });
        let optimum = all.filter_map(|point| (self.cost)(&point).ok()).fold(f64::INFINITY, f64::min);
        (self.cost)(&self.best()).unwrap() / optimum
    }

    pub(super) fn repeats_nothing(&self) -> bool {
        let distinct: HashSet<_> = self.proposals.iter().collect();
        distinct.len() == self.proposals.len() && !distinct.contains(&self.state.run.baseline)
    }
}

fn side(kernel: ContentHash, blocks: Vec<Micros>) -> Side {
    let mut sorted = blocks.clone();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    Side { kernel, us: sorted[sorted.len() / 2], blocks, cases: Vec::new() }
}
