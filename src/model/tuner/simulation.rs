//! Whole runs of the tuner against the real protocol: what holds whatever the kernel is.

use std::collections::HashSet;

use super::bench::{Bench, Cost, started};
use super::player::Tuner;
use crate::journal::Snapshots;
use crate::model::{Model, ModelError, View};
use crate::protocol::{Caller, Decision, KernelFailure, Phase, RevertCause, Step, Usage};

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
    for seed in 0..10 {
        let mut bench = Bench::new(&text(5, 5), seed, 0.0005, &separable);
        assert_eq!(bench.play(5 * 4), None);
        assert_eq!(bench.best(), [3, 1, 4, 2, 0], "seed {seed}");
        assert!(bench.repeats_nothing());
    }
}

#[test]
fn a_gain_is_followed_up_before_the_rest_is_tried() {
    for seed in 0..10 {
        let mut bench = Bench::new(&text(5, 5), seed, 0.0005, &separable);
        bench.play(10);
        assert!(bench.regret() < 2.0, "seed {seed}: {:?} {}", bench.best(), bench.regret());
    }
}

#[test]
fn an_interacting_space_with_failures_and_noise_is_nearly_solved() {
    for seed in 0..5 {
        let mut bench = Bench::new(&text(4, 6), seed, 0.01, &interacting);
        bench.play(100);
        assert!(bench.regret() < 1.1, "seed {seed}: {:?} {}", bench.best(), bench.regret());
        assert!(matches!(bench.play(2000), Some(ModelError::Exhausted(_))));
        assert!(bench.regret() < 1.03, "seed {seed}: {:?} {}", bench.best(), bench.regret());
        assert!(bench.repeats_nothing());
    }
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
fn a_long_ledger_is_read_without_the_texts_that_it_has_lost() {
    let mut bench = Bench::new(&text(6, 6), 1, 0.01, &|_| Ok(1.0));
    bench.play(400);
    assert!(bench.repeats_nothing());
    let asked = bench.ask().unwrap();
    let (lost, kept) = (bench.proposals[7], bench.proposals.clone());
    bench.texts.remove(&lost);
    bench.tuner = Tuner::new();
    bench.state.queue.clear();
    let again = bench.ask().unwrap();
    assert_eq!(again.len(), asked.len());
    bench.call(&again[0]);
    assert!(!kept.contains(bench.proposals.last().unwrap()));
}

#[tokio::test]
async fn through_the_seam_a_turn_is_the_same_calls_and_costs_nothing() {
    let mut bench = Bench::new(&text(2, 3), 1, 0.0005, &separable);
    bench.play(0);
    while bench.state.phase != Phase::Idle {
        let Step::Measure(spec) = bench.state.next(bench.now()) else {
            bench.analyse(Caller::Code, Decision::Keep, ["", "", ""]);
            continue;
        };
        bench.measure(spec);
    }
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::new(folder.path());
    let kernel = bench.texts[&bench.state.incumbent].clone();
    let mut tuner = Tuner::new();
    let view = View {
        state: &bench.state,
        prompt: "",
        description: None,
        kernel: &kernel,
        results: &[],
        snapshots: &snapshots,
    };
    let turn = tuner.turn(view).await.unwrap();
    assert_eq!((turn.calls, turn.usage), (bench.ask().unwrap(), Usage::default()));
    assert_eq!(tuner.name(), "tuner");
}
