//! Whole runs of the tuner against the real protocol, with a made-up machine: what holds whatever the kernel is.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::kernel::Kernel;
use super::player::Tuner;
use crate::model::ModelError;
use crate::protocol::*;
use crate::stats::compare;

/// What a setting costs in microseconds, or how it fails.
type Cost = dyn Fn(&[usize]) -> Result<f64, KernelFailure>;

/// A run whose harness is a function.
struct Bench<'a> {
    state: RunState,
    texts: HashMap<ContentHash, String>,
    cost: &'a Cost,
    noise: f64,
    dice: fastrand::Rng,
    tuner: Tuner,
    /// Makes a new tuner before every turn, as after a crash.
    forgetful: bool,
    /// The number of a measurement and whether the infrastructure fails at it.
    breaks: fn(u32) -> bool,
    measured: u32,
    /// What a failing kernel says.
    account: &'static str,
    proposals: Vec<ContentHash>,
    clock: i64,
}

fn terms() -> Terms {
    Terms {
        metric: MetricName::MedianUs,
        target: Target::Us(Micros::new(1e-9).unwrap()),
        gpu: Gpu("cpu".to_owned()),
        budget: Budget::default(),
        min_improvement: 0.01,
        forbidden: Vec::new(),
        profiles: Profiles::default(),
        deploy: None,
    }
}

fn started(text: &str, seed: u64) -> RunStarted {
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
    fn new(text: &str, seed: u64, noise: f64, cost: &'a Cost) -> Self {
        Self::with(started(text, seed), text, noise, cost)
    }

    fn with(run: RunStarted, text: &str, noise: f64, cost: &'a Cost) -> Self {
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

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock).unwrap()
    }

    fn apply(&mut self, event: &Event) {
        self.clock += 1;
        self.state.apply(self.now(), event).unwrap();
    }

    /// Plays until the tuner gives up or `iterations` are over, and returns what it said.
    fn play(&mut self, iterations: usize) -> Option<ModelError> {
        while self.state.ledger.len() < iterations {
            match self.state.next(self.now()) {
                Step::Measure(spec) => self.measure(spec),
                Step::AnalyseBaseline => self.analyse(Caller::Code, Decision::Keep, ["", "", ""]),
                Step::Ask => match self.ask() {
                    Ok(calls) => {
                        assert!(!calls.is_empty());
                        self.apply(&Event::TurnStarted {});
                        self.apply(&Event::TurnFinished { calls, usage: Usage::default(), model_ms: 0 });
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

    fn ask(&mut self) -> Result<Vec<RawCall>, ModelError> {
        if self.forgetful {
            self.tuner = Tuner::new();
        }
        let file = self.texts[&self.state.expected_kernel()].clone();
        let texts = &self.texts;
        self.tuner.calls(&self.state, &file, &|hash| texts.get(&hash).cloned())
    }

    fn call(&mut self, call: &RawCall) {
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

    fn analyse(&mut self, by: Caller, decision: Decision, [summary, feedback, next_step]: [&str; 3]) {
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

    fn measure(&mut self, spec: MeasureSpec) {
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
        let pairs = match (spec.purpose, spec.size) {
            (Purpose::Test, _) => 1,
            (Purpose::Candidate, _) => 4,
            (_, DuelSize::Normal) => 10,
            (_, DuelSize::Larger) => 20,
        };
        let candidate = match self.side(spec.candidate, pairs) {
            Ok(side) => side,
            Err(failure) => {
                return Outcome::KernelFailed { failure, message: self.account.to_owned() };
            }
        };
        let incumbent = spec.incumbent.map(|hash| self.side(hash, pairs).unwrap());
        let comparison = incumbent
            .as_ref()
            .and_then(|side| compare(&side.blocks, &candidate.blocks, self.state.run.terms.min_improvement));
        let device = Device { name: "cpu".to_owned(), compute_capability: None };
        Outcome::Measured { device, candidate, incumbent, comparison }
    }

    fn side(&mut self, kernel: ContentHash, pairs: usize) -> Result<Side, KernelFailure> {
        let us = (self.cost)(&Kernel::parse(self.texts[&kernel].clone()).point.0)?;
        let mut blocks: Vec<Micros> = (0..pairs)
            .map(|_| {
                let error: f64 = (0..12).map(|_| self.dice.f64()).sum::<f64>() - 6.0;
                Micros::new(us * (self.noise * error).exp()).unwrap()
            })
            .collect();
        let shown = blocks.clone();
        blocks.sort_by(|a, b| a.partial_cmp(b).unwrap());
        Ok(Side { kernel, us: blocks[pairs / 2], blocks: shown, cases: Vec::new() })
    }

    fn best(&self) -> Vec<usize> {
        Kernel::parse(self.texts[&self.state.incumbent].clone()).point.0
    }

    /// How many times as long the best kernel takes as the best setting there is.
    fn regret(&self) -> f64 {
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

    fn repeats_nothing(&self) -> bool {
        let distinct: HashSet<_> = self.proposals.iter().collect();
        distinct.len() == self.proposals.len() && !distinct.contains(&self.state.run.baseline)
    }
}

/// Returns a kernel with `tunables` of `values` powers of two each, all set to the first.
fn text(tunables: usize, values: usize) -> String {
    let list: Vec<String> = (0..values).map(|value| (1_u64 << value).to_string()).collect();
    (0..tunables).map(|index| format!("#define P{index} 1 // tune: {}\n", list.join(" "))).collect::<String>()
        + "f();\n"
}

/// Each tunable has its own best value, and nothing depends on anything else.
fn separable(point: &[usize]) -> Result<f64, KernelFailure> {
    let logs = point.iter().enumerate().map(|(index, choice)| {
        let best = [3.0, 1.0, 4.0, 2.0, 0.0][index % 5];
        0.04 * (index as f64 + 1.0) * (*choice as f64 - best).powi(2)
    });
    Ok(100.0 * logs.sum::<f64>().exp())
}

/// A tile, its unrolling and its stages share registers: the best of each depends on the others, and too much fails.
fn interacting(point: &[usize]) -> Result<f64, KernelFailure> {
    let [tile, unroll, stages, order] = [point[0] as f64, point[1] as f64, point[2] as f64, point[3] as f64];
    if tile + unroll + stages > 9.0 {
        return Err(KernelFailure::Compile);
    }
    if point[3] == 2 && point[0] == 1 {
        return Err(KernelFailure::WrongAnswer);
    }
    let pressure = tile + unroll - 6.0;
    let log = 0.05 * pressure.powi(2) + 0.03 * (tile - 4.0).powi(2) + 0.04 * (stages - tile / 2.0).powi(2)
        - 0.02 * order * unroll;
    Ok(100.0 * log.exp())
}

#[test]
fn a_separable_space_is_solved_in_as_many_trials_as_it_has_values() {
    for seed in 0..20 {
        let mut bench = Bench::new(&text(5, 5), seed, 0.0005, &separable);
        assert_eq!(bench.play(5 * 4), None);
        assert_eq!(bench.best(), [3, 1, 4, 2, 0], "seed {seed}");
        assert!(bench.repeats_nothing());
    }
}

#[test]
fn a_gain_is_followed_up_before_the_rest_is_tried() {
    for seed in 0..20 {
        let mut bench = Bench::new(&text(5, 5), seed, 0.0005, &separable);
        bench.play(10);
        assert!(bench.regret() < 2.0, "seed {seed}: {:?} {}", bench.best(), bench.regret());
    }
}

#[test]
fn an_interacting_space_with_failures_and_noise_is_nearly_solved() {
    let mut worst: f64 = 1.0;
    for seed in 0..20 {
        let mut bench = Bench::new(&text(4, 6), seed, 0.01, &interacting);
        bench.play(100);
        assert!(bench.repeats_nothing());
        worst = worst.max(bench.regret());
        println!("seed {seed}: {:?} {:.4} keeps {}", bench.best(), bench.regret(), bench.state.counters.keeps);
    }
    assert!(worst < 1.05, "{worst}");
}

#[test]
fn every_run_ends_when_its_space_is_spent_and_takes_three_turns_an_iteration_at_most() {
    for cost in [&separable as &Cost, &|_: &[usize]| Ok(1.0)] {
        let mut bench = Bench::new(&text(3, 4), 7, 0.002, cost);
        let Some(ModelError::Exhausted(message)) = bench.play(1000) else { panic!() };
        assert!(message.contains("of 64 settings tried"), "{message}");
        assert!(bench.repeats_nothing());
        assert!(bench.state.counters.round_trips <= 3 * u32::try_from(bench.state.ledger.len()).unwrap() + 1);
        assert_eq!(bench.state.counters.refusals, 0);
    }
}

#[test]
fn a_kernel_that_always_fails_is_given_up_in_the_end() {
    let start = |point: &[usize]| if point == [0, 0] { Ok(1.0) } else { Err(KernelFailure::Crash) };
    let mut bench = Bench::new(&text(2, 4), 1, 0.0, &start);
    assert!(matches!(bench.play(1000), Some(ModelError::Exhausted(_))));
    assert_eq!(bench.state.ledger.len(), 15);
    assert!(bench.state.ledger.iter().all(|record| record.cause == Some(RevertCause::TestFailed)));
}

#[test]
fn the_same_seed_and_ledger_give_the_same_proposals_in_every_process() {
    let play = |seed, forgetful| {
        let mut bench = Bench::new(&text(4, 6), seed, 0.01, &interacting);
        bench.forgetful = forgetful;
        bench.play(60);
        bench.proposals
    };
    assert_eq!(play(3, false), play(3, false));
    assert_eq!(play(3, false), play(3, true));
    assert_ne!(play(3, false), play(4, false));
}

#[test]
fn what_is_proposed_beside_the_analysis_is_what_the_idle_phase_would_propose() {
    let mut bench = Bench::new(&text(4, 6), 5, 0.01, &interacting);
    for iterations in 1..60 {
        bench.play(iterations);
        // The call is in the queue already; a run that lost it with its process asks again.
        let queued = bench.state.queue.front().cloned();
        let asked = bench.ask().unwrap();
        if let Some(queued) = queued {
            assert_eq!(asked[0].arguments, queued.arguments);
            assert_eq!(bench.state.ledger.last().unwrap().next_step, asked[0].arguments["change"]);
        }
    }
}

#[test]
fn a_change_that_the_infrastructure_did_not_measure_is_tried_once_more_and_no_oftener() {
    let mut bench = Bench::new(&text(1, 4), 1, 0.0, &separable);
    bench.breaks = |number| number > 2;
    assert!(matches!(bench.play(1000), Some(ModelError::Exhausted(_))));
    assert_eq!(bench.proposals.len(), 6);
    assert_eq!(bench.proposals.iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn a_forbidden_name_on_a_line_is_never_proposed_and_in_an_account_never_repeated() {
    let kernel = "MODE = a # tune: a popcorn-cli b\nX = 1 # tune: 1 2 secret_tool\nY = 1 # tune: 1 2\n";
    let cost = |point: &[usize]| if point == [0, 0, 0] { Ok(1.0) } else { Err(KernelFailure::Compile) };
    let mut run = started(kernel, 1);
    run.terms.forbidden.push("Secret-Tool".to_owned());
    let mut bench = Bench::with(run, kernel, 0.0, &cost);
    bench.account = "line 1: popcorn-cli was mentioned";
    assert!(matches!(bench.play(1000), Some(ModelError::Exhausted(_))));
    assert_eq!(
        bench.state.ledger.iter().map(|record| record.change.as_str()).collect::<Vec<_>>(),
        ["set Y from 1 to 2"]
    );
}

#[test]
fn a_kernel_that_declares_nothing_is_told_how() {
    let mut bench = Bench::new("int f();\n", 1, 0.0, &separable);
    let Some(ModelError::Exhausted(message)) = bench.play(1) else { panic!() };
    assert!(message.contains("// tune: 8 16 32"), "{message}");
}

#[test]
fn equal_lines_and_carriage_returns_are_tuned_like_any_other() {
    let kernel = "#if A\r\nT = 1 # tune: 1 2 4\r\n#else\r\nT = 1 # tune: 1 2 4\r\n#endif\r\n";
    let mut bench = Bench::new(kernel, 1, 0.0005, &separable);
    assert!(matches!(bench.play(1000), Some(ModelError::Exhausted(_))));
    assert_eq!(bench.best(), [2, 1]);
}

#[test]
fn a_run_that_went_on_in_another_phase_takes_the_step_that_is_legal_there() {
    let mut bench = Bench::new(&text(2, 3), 1, 0.0005, &separable);
    bench.play(1);
    bench.state.queue.clear();
    let edit = bench.ask().unwrap().remove(0);
    bench.call(&edit);
    assert_eq!(bench.ask().unwrap()[0].tool, "test-run");
    for (phase, profile) in [(Phase::Measurable, "candidate"), (Phase::Confirmable, "final")] {
        bench.state.phase = phase;
        let calls = bench.ask().unwrap();
        assert_eq!((calls[0].tool.as_str(), calls[0].arguments["profile"].as_str()), ("benchmark-run", Some(profile)));
    }
    for phase in [Phase::Deploy, Phase::Baseline, Phase::Closing, Phase::Stopped] {
        bench.state.phase = phase;
        assert!(matches!(bench.ask(), Err(ModelError::Failed(_))));
    }
}

#[test]
fn a_long_ledger_is_read_in_one_pass() {
    let mut bench = Bench::new(&text(8, 8), 1, 0.01, &|_| Ok(1.0));
    bench.play(600);
    assert!(bench.repeats_nothing());
}
