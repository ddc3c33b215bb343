//! The protocol, without a world: every call in every phase, every stop, and random runs that try to cheat.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use afterhours::protocol::*;
use afterhours::stats::{self, Aim};
use proptest::prelude::*;
use support::machine::{Machine, World};

const GOOD: World = World::Passes(2.0, Verdict::Improved);

/// The table of legal calls, written out: rows are phases, columns are tools.
const LEGAL: [(Phase, &[Tool]); 11] = [
    (Phase::Deploy, &[]),
    (Phase::Baseline, &[]),
    (Phase::Idle, &[Tool::EditKernel]),
    (Phase::Edited, &[Tool::TestRun, Tool::Revert]),
    (Phase::Tested, &[Tool::AppendAnalysis]),
    (Phase::Measurable, &[Tool::BenchmarkRun, Tool::Revert]),
    (Phase::Measured, &[Tool::AppendAnalysis]),
    (Phase::Confirmable, &[Tool::BenchmarkRun, Tool::Revert]),
    (Phase::Confirmed, &[Tool::AppendAnalysis]),
    (Phase::Closing, &[]),
    (Phase::Stopped, &[]),
];

fn with_request(machine: &Machine, tool: Tool, check: impl FnOnce(&Request<'_>)) {
    let controls = Controls::default();
    let waiting = machine.state.awaiting_analysis().map(|(_, evidence)| evidence.artifact.path.clone());
    let artifact = waiting.unwrap_or_else(|| "iter-0001/test.txt".to_owned());
    let profile = if machine.state.phase == Phase::Confirmable { Profile::Final } else { Profile::Candidate };
    let request = match tool {
        Tool::EditKernel => Request::Edit,
        Tool::TestRun => Request::Test { profile: Profile::Smoke },
        Tool::BenchmarkRun => Request::Benchmark { profile, controls: &controls },
        Tool::AppendAnalysis => Request::Analysis { artifact: &artifact, decision: Decision::Keep },
        Tool::Revert => Request::Revert,
        Tool::ReadFile => Request::Read,
    };
    check(&request);
}

#[test]
fn every_call_in_every_phase_is_legal_or_refused_as_the_table_says() {
    assert_eq!(LEGAL.map(|(phase, _)| phase), Phase::ALL);
    for (phase, legal) in LEGAL {
        let machine = Machine::in_phase(phase);
        assert_eq!(machine.state.phase, phase);
        for tool in Tool::ALL {
            with_request(&machine, tool, |request| {
                let admitted = machine.state.admit(request);
                if legal.contains(&tool) || tool == Tool::ReadFile {
                    assert_eq!(admitted, Ok(()), "{tool} in {phase:?}");
                } else {
                    let refusal = admitted.expect_err(&format!("{tool} in {phase:?}"));
                    assert_eq!(refusal.legal, legal, "the refusal names the legal calls");
                    let one_change = tool == Tool::EditKernel && machine.state.in_flight.is_some();
                    let rule = if one_change { Rule::OneChange } else { Rule::OrderOfSteps };
                    assert_eq!(refusal.rule, rule, "{tool} in {phase:?}");
                }
            });
        }
    }
}

#[test]
fn a_refusal_changes_nothing_but_its_own_count() {
    for phase in Phase::ALL {
        let mut machine = Machine::in_phase(phase);
        let before = machine.state.clone();
        let refusal = machine.state.refusal(Rule::OrderOfSteps, "no".to_owned());
        machine.must(Event::CallRefused { call: "c".to_owned(), tool: "x".to_owned(), refusal });
        let mut expected = before;
        expected.counters.refusals += 1;
        expected.active_ms = machine.state.active_ms;
        expected.last_event = machine.state.last_event;
        assert_eq!(machine.state, expected);
    }
}

#[test]
fn keep_needs_the_evidence_of_its_phase_and_revert_is_always_accepted() {
    let cases = [
        (Phase::Edited, World::KernelFails),
        (Phase::Measurable, World::Passes(1.005, Verdict::Improved)),
        (Phase::Measurable, World::KernelFails),
        (Phase::Confirmable, World::Passes(1.5, Verdict::NotImproved)),
        (Phase::Confirmable, World::KernelFails),
    ];
    for (phase, world) in cases {
        let mut machine = Machine::in_phase(phase);
        let spec = machine.state.spec(
            Caller::Code,
            match phase {
                Phase::Edited => Purpose::Test,
                Phase::Measurable => Purpose::Candidate,
                _ => Purpose::Final,
            },
        );
        machine.measure(spec, world);
        let path = machine.state.awaiting_analysis().unwrap().1.artifact.path.clone();
        let keep = Request::Analysis { artifact: &path, decision: Decision::Keep };
        assert_eq!(machine.state.admit(&keep).unwrap_err().rule, Rule::KeepNeedsEvidence, "{phase:?} {world:?}");
        let revert = Request::Analysis { artifact: &path, decision: Decision::Revert };
        assert_eq!(machine.state.admit(&revert), Ok(()), "{phase:?} {world:?}");
        // A journal that claims the KEEP does not fold either.
        let analysis = Analysis {
            decision: Decision::Keep,
            summary: String::new(),
            feedback: String::new(),
            next_step: String::new(),
        };
        let timestamp = machine.now();
        let started =
            Event::AnalysisStarted { by: Caller::Code, artifact: path.clone(), length: 0, timestamp, analysis };
        machine.must(started);
        let artifact = ArtifactRef { path, hash: ContentHash::of(b"x") };
        assert!(machine.apply(Event::AnalysisFinished { artifact, overhead_us: 0 }).is_err(), "{phase:?} {world:?}");
    }
}

#[test]
fn the_confirmation_takes_no_staged_controls_and_each_step_its_profile() {
    let weak = Controls { repeats: Some(1), ..Controls::default() };
    let none = Controls::default();
    let machine = Machine::in_phase(Phase::Confirmable);
    let weakened = Request::Benchmark { profile: Profile::Final, controls: &weak };
    assert_eq!(machine.state.admit(&weakened).unwrap_err().rule, Rule::FullConfirmation);
    let candidate = Request::Benchmark { profile: Profile::Candidate, controls: &none };
    assert_eq!(machine.state.admit(&candidate).unwrap_err().rule, Rule::ProfileOfStep);
    let machine = Machine::in_phase(Phase::Measurable);
    let staged = Request::Benchmark { profile: Profile::Candidate, controls: &weak };
    assert_eq!(machine.state.admit(&staged), Ok(()));
    let early = Request::Benchmark { profile: Profile::Final, controls: &none };
    assert_eq!(machine.state.admit(&early).unwrap_err().rule, Rule::ProfileOfStep);
    let machine = Machine::in_phase(Phase::Edited);
    let test = Request::Test { profile: Profile::Final };
    assert_eq!(machine.state.admit(&test).unwrap_err().rule, Rule::ProfileOfStep);
}

#[test]
fn an_analysis_belongs_to_the_last_artifact() {
    let machine = Machine::in_phase(Phase::Measured);
    let other = Request::Analysis { artifact: "iter-0001/test.txt", decision: Decision::Keep };
    assert_eq!(machine.state.admit(&other).unwrap_err().rule, Rule::AnalysisOfLastArtifact);
}

#[test]
fn an_infra_failure_is_repeated_once_then_reverted_and_the_run_goes_on() {
    let mut machine = Machine::in_phase(Phase::Measurable);
    let spec = machine.state.spec(Caller::Code, Purpose::Candidate);
    machine.measure(spec.clone(), World::InfraFails);
    let Step::Measure(again) = machine.state.next(machine.now()) else { panic!("it is repeated") };
    assert_eq!((again.attempt, again.round, &again.controls), (2, 2, &spec.controls));
    assert_eq!(machine.state.in_flight, Some(spec.candidate));
    machine.measure(again, World::InfraFails);
    machine.settle(GOOD);
    assert_eq!(machine.state.phase, Phase::Idle);
    let record = machine.state.ledger.last().unwrap();
    assert_eq!((record.decision, record.cause), (Decision::Revert, Some(RevertCause::Infra)));
    assert_eq!(machine.state.counters.infra_failures, 2);
    assert_eq!(machine.state.counters.infra_unrecovered, 1);
    assert_eq!(machine.state.next(machine.now()), Step::Ask);
}

#[test]
fn an_infra_failure_that_recovers_costs_nothing_but_time() {
    let mut machine = Machine::in_phase(Phase::Measurable);
    let spec = machine.state.spec(Caller::Code, Purpose::Candidate);
    machine.measure(spec, World::InfraFails);
    machine.settle(GOOD);
    assert_eq!(machine.state.phase, Phase::Measured);
    assert_eq!(machine.state.counters.infra_unrecovered, 0);
}

#[test]
fn an_ambiguous_confirmation_gets_one_larger_duel_and_is_then_no_improvement() {
    let unsure = World::Passes(1.2, Verdict::Ambiguous);
    let mut machine = Machine::in_phase(Phase::Confirmable);
    let spec = machine.state.spec(Caller::Code, Purpose::Final);
    machine.measure(spec, unsure);
    let Step::Measure(larger) = machine.state.next(machine.now()) else { panic!("there is a second duel") };
    assert_eq!((larger.size, larger.round), (DuelSize::Larger, 2));
    machine.measure(larger, unsure);
    assert_eq!(machine.state.phase, Phase::Confirmed);
    let path = machine.state.awaiting_analysis().unwrap().1.artifact.path.clone();
    assert_eq!(path, "iter-0001/final-2.txt");
    let keep = Request::Analysis { artifact: &path, decision: Decision::Keep };
    assert_eq!(machine.state.admit(&keep).unwrap_err().rule, Rule::KeepNeedsEvidence);
}

fn keep_one(machine: &mut Machine, world: World) {
    let controls = Controls::default();
    machine.settle(world);
    for _ in 0..6 {
        let waiting = machine.state.awaiting_analysis().map(|(_, evidence)| evidence.artifact.path.clone());
        let request = match machine.state.phase {
            Phase::Idle => Request::Edit,
            Phase::Edited => Request::Test { profile: Profile::Smoke },
            Phase::Measurable => Request::Benchmark { profile: Profile::Candidate, controls: &controls },
            Phase::Confirmable => Request::Benchmark { profile: Profile::Final, controls: &controls },
            _ => Request::Analysis { artifact: waiting.as_deref().unwrap(), decision: Decision::Keep },
        };
        machine.carry_out(&request, world);
    }
    let path = machine.state.awaiting_analysis().unwrap().1.artifact.path.clone();
    machine.carry_out(&Request::Analysis { artifact: &path, decision: Decision::Keep }, world);
}

/// Leads a confirmed gain up to the check before its commit.
fn before_the_commit() -> (Machine, MeasureSpec) {
    let mut machine = Machine::in_phase(Phase::Confirmed);
    let path = machine.state.awaiting_analysis().unwrap().1.artifact.path.clone();
    machine.carry_out(&Request::Analysis { artifact: &path, decision: Decision::Keep }, GOOD);
    let kernel = machine.state.in_flight.unwrap();
    let commit =
        Event::CommitStarted { kernel, parent: None, message: String::new(), timestamp: jiff::Timestamp::UNIX_EPOCH };
    assert!(machine.state.clone().apply(machine.now(), &commit).is_err(), "nothing is committed unchecked");
    let Step::Measure(spec) = machine.state.next(machine.now()) else { panic!("it is checked once more") };
    assert_eq!((spec.purpose, spec.candidate, spec.incumbent), (Purpose::Recheck, kernel, None));
    (machine, spec)
}

#[test]
fn a_confirmed_gain_is_checked_once_more_before_its_commit() {
    let (mut machine, spec) = before_the_commit();
    machine.measure(spec, GOOD);
    assert_eq!(machine.state.next(machine.now()), Step::Commit);
    machine.settle(GOOD);
    let record = machine.state.ledger.last().unwrap();
    assert!(matches!(record.recheck, Some(Finding::Passed(_))));
    let paths: Vec<_> = record.kept.as_ref().unwrap().artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
    assert_eq!(paths, ["test", "candidate", "final", "recheck"].map(|name| format!("iter-0001/{name}.txt")));
}

#[test]
fn a_gain_that_fails_its_last_check_is_put_back_and_the_model_s_plans_with_it() {
    let (mut machine, spec) = before_the_commit();
    let planned = RawCall { id: "c".to_owned(), tool: "edit-kernel".to_owned(), arguments: serde_json::json!({}) };
    machine.state.queue.push_back(planned.into());
    machine.measure(spec, World::KernelFails);
    machine.settle(GOOD);
    let record = machine.state.ledger.last().unwrap();
    assert_eq!((record.decision, record.cause), (Decision::Revert, Some(RevertCause::NotConfirmed)));
    assert_eq!((machine.state.tip.as_ref(), machine.state.next(machine.now())), (None, Step::Ask));
}

#[test]
fn a_last_check_that_the_infrastructure_fails_twice_keeps_nothing() {
    let (mut machine, spec) = before_the_commit();
    machine.measure(spec, World::InfraFails);
    let Step::Measure(again) = machine.state.next(machine.now()) else { panic!("it is repeated") };
    assert_eq!((again.purpose, again.attempt), (Purpose::Recheck, 2));
    let mut recovered = machine.clone();
    recovered.measure(again.clone(), GOOD);
    assert_eq!(recovered.state.next(recovered.now()), Step::Commit);
    machine.measure(again, World::InfraFails);
    machine.settle(GOOD);
    assert_eq!(machine.state.ledger.last().unwrap().cause, Some(RevertCause::Infra));
}

#[test]
fn a_last_check_that_cannot_be_made_at_all_keeps_nothing_and_ends_the_run() {
    let (mut machine, spec) = before_the_commit();
    machine.must(Event::MeasureStarted(Box::new(spec)));
    machine.must(Event::Blocked { message: "the harness changed".to_owned() });
    machine.settle(GOOD);
    assert_eq!(machine.state.ledger.last().unwrap().cause, Some(RevertCause::Blocked));
    assert!(matches!(machine.state.stop, Some(StopReason::Blocked { .. })));
}

#[test]
fn a_night_that_kept_nothing_ends_with_the_original_against_itself() {
    let budget = Budget { no_progress: Some(1), ..Budget::default() };
    let mut machine = Machine::with(budget, Target::Us(Micros::new(1e-9).unwrap()));
    machine.settle(GOOD);
    machine.edit();
    machine.revert(Caller::Model("c".to_owned()), RevertCause::ModelChoice);
    let alike = World::Passes(1.0, Verdict::NotImproved);
    machine.settle(alike);
    let headline = machine.state.headline.as_ref().unwrap();
    assert_eq!((headline.kernel, machine.state.counters.headlines), (machine.state.run.baseline, 1));
    // Who gives it more iterations, and keeps nothing again, has been told.
    machine.must(Event::RunResumed { pid: 1, budget: Some(Budget { no_progress: Some(2), ..Budget::default() }) });
    machine.edit();
    machine.revert(Caller::Model("c".to_owned()), RevertCause::ModelChoice);
    machine.settle(alike);
    assert_eq!((machine.state.counters.headlines, machine.state.stop.is_some()), (1, true));
}

#[test]
fn a_target_is_reached_only_when_the_last_duel_confirms_it() {
    let mut machine = Machine::with(Budget::default(), Target::Speedup(1.0));
    // The kernel as found claims the target already; the duel against itself decides.
    machine.settle(World::Passes(1.0, Verdict::NotImproved));
    assert_eq!(machine.state.stop, Some(StopReason::TargetReached));

    let mut machine = Machine::with(Budget::default(), Target::Us(Micros::new(100.0).unwrap()));
    machine.settle(GOOD);
    assert_eq!(machine.state.stop, Some(StopReason::TargetReached), "100 µs are at most 100 µs");

    let mut machine = Machine::with(Budget::default(), Target::Speedup(1.0));
    machine.settle(World::Passes(0.9, Verdict::NotImproved));
    assert_eq!(machine.state.stop, None, "the last duel did not confirm it, and the loop goes on");
    assert_eq!(machine.state.next(machine.now()), Step::Ask);
    assert!(machine.state.headline.is_some());
}

#[test]
fn a_speed_up_is_claimed_by_all_confirmed_ratios_whatever_the_clock_of_the_baseline_said() {
    let gain = World::Passes(1.5, Verdict::Improved);
    // Every time is 100 µs: this machine has become slower as the kernel became faster.
    let mut machine = Machine::with(Budget::default(), Target::Speedup(2.0));
    keep_one(&mut machine, gain);
    machine.settle(gain);
    assert!(machine.state.stop.is_none() && machine.state.headline.is_none(), "1.5 is no 2");
    keep_one(&mut machine, gain);
    let mut unconfirmed = machine.clone();
    machine.settle(World::Passes(2.1, Verdict::Improved));
    assert_eq!(
        machine.state.stop,
        Some(StopReason::TargetReached),
        "1.5 · 1.5 claims it, and the last duel confirms it"
    );

    unconfirmed.settle(World::Passes(1.9, Verdict::Improved));
    assert_eq!(unconfirmed.state.stop, None, "the last duel decides");
    assert_eq!(unconfirmed.state.next(unconfirmed.now()), Step::Ask, "and is not made again for the same kernel");
}

#[test]
fn a_target_that_the_last_duel_confirms_is_reached_though_a_budget_ended_the_loop() {
    let end = |kept: bool, last: f64| {
        let budget = Budget { iterations: Some(1), ..Budget::default() };
        let mut machine = Machine::with(budget, Target::Speedup(2.0));
        if kept {
            keep_one(&mut machine, World::Passes(1.5, Verdict::Improved));
        } else {
            machine.settle(GOOD);
            machine.edit();
            machine.revert(Caller::Model("c".to_owned()), RevertCause::ModelChoice);
        }
        machine.settle(World::Passes(last, Verdict::Improved));
        machine.state.stop
    };
    let spent = Some(StopReason::Budget { budget: BudgetKind::Iterations });
    assert_eq!(end(true, 2.0), Some(StopReason::TargetReached));
    assert_eq!(end(true, 1.9), spent);
    assert_eq!(end(false, 2.0), spent, "the kernel as found is no gain over itself, however lucky its duel");
}

#[test]
fn each_budget_ends_the_run_between_iterations() {
    let limit = |budget: Budget| {
        let mut machine = Machine::with(budget, Target::Us(Micros::new(1e-9).unwrap()));
        machine.settle(GOOD);
        machine
    };
    let unlimited = Budget::default();
    let machine = limit(Budget { iterations: Some(0), ..unlimited });
    assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: BudgetKind::Iterations }));
    let machine = limit(Budget { wall_ms: Some(3), ..unlimited });
    assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: BudgetKind::Wall }));

    let mut machine = limit(Budget { no_progress: Some(1), ..unlimited });
    machine.edit();
    machine.revert(Caller::Model("c".to_owned()), RevertCause::ModelChoice);
    machine.settle(GOOD);
    assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: BudgetKind::NoProgress }));

    let mut machine = limit(Budget { infra_failures: Some(1), ..unlimited });
    machine.edit();
    let spec = machine.state.spec(Caller::Code, Purpose::Test);
    machine.measure(spec, World::InfraFails);
    machine.settle(World::InfraFails);
    assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: BudgetKind::InfraFailures }));

    for (budget, kind) in [
        (Budget { tokens: Some(10), ..unlimited }, BudgetKind::Tokens),
        (Budget { usd: Some(0.5), ..unlimited }, BudgetKind::Usd),
    ] {
        let mut machine = limit(budget);
        machine.must(Event::TurnStarted {});
        let usage = Usage { prompt: 8, cached: 0, completion: 2, usd: 0.5 };
        machine.must(Event::TurnFinished { calls: Vec::new(), usage, model_ms: 1, problem: None, by: None });
        machine.settle(GOOD);
        assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: kind }));
    }
}

#[test]
fn a_budget_that_is_spent_after_a_keep_still_measures_the_headline() {
    let mut machine =
        Machine::with(Budget { iterations: Some(1), ..Budget::default() }, Target::Us(Micros::new(1e-9).unwrap()));
    keep_one(&mut machine, GOOD);
    machine.settle(GOOD);
    assert_eq!(machine.state.counters.keeps, 1);
    assert_eq!(machine.state.headline.as_ref().unwrap().artifact.path, "headline/headline.txt");
    assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: BudgetKind::Iterations }));
}

#[test]
fn a_confirmed_gain_is_not_lost_to_a_budget_that_ends_in_the_middle() {
    let mut machine = Machine::in_phase(Phase::Confirmable);
    machine.state.run.terms.budget.wall_ms = Some(1);
    assert_eq!(machine.state.next(machine.now()), Step::Ask, "the gain is being confirmed");
    let mut machine = Machine::in_phase(Phase::Measurable);
    machine.state.run.terms.budget.wall_ms = Some(1);
    assert_eq!(machine.state.next(machine.now()), Step::Revert(RevertCause::Budget));
}

#[test]
fn the_user_s_stop_puts_the_change_back_from_every_phase() {
    for phase in Phase::ALL {
        if matches!(phase, Phase::Deploy | Phase::Stopped) {
            continue;
        }
        let mut machine = Machine::in_phase(phase);
        machine.must(Event::StopRequested { by: StopSource::Signal });
        machine.settle(GOOD);
        assert_eq!(machine.state.stop, Some(StopReason::User), "{phase:?}");
        assert_eq!(machine.state.in_flight, None);
        assert_eq!(machine.state.expected_kernel(), machine.state.run.baseline);
    }
}

#[test]
fn a_stopped_run_goes_on_and_counts_on() {
    let mut machine = Machine::in_phase(Phase::Measurable);
    machine.must(Event::StopRequested { by: StopSource::Command });
    machine.settle(GOOD);
    let counters = machine.state.counters.clone();
    machine.must(Event::RunResumed { pid: 1, budget: None });
    assert_eq!(machine.state.next(machine.now()), Step::Ask);
    assert_eq!(machine.state.iteration, Iteration(2));
    assert_eq!(machine.state.counters.reverts, counters.reverts);
}

#[test]
fn a_model_that_only_talks_spends_iterations() {
    for (idle_turns, turns) in [(None, STUCK_TURNS), (Some(3), 3)] {
        let budget = Budget { iterations: Some(2), idle_turns, ..Budget::default() };
        let mut machine = Machine::with(budget, Target::Us(Micros::new(1e-9).unwrap()));
        machine.settle(GOOD);
        for _ in 0..2 * turns {
            assert_eq!(machine.state.next(machine.now()), Step::Ask);
            machine.must(Event::TurnStarted {});
            machine.must(prose());
            machine.settle(GOOD);
        }
        assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: BudgetKind::Iterations }));
        assert!(machine.state.ledger.iter().all(|record| record.cause == Some(RevertCause::Stuck)));
        assert_eq!(machine.state.counters.format_errors, 2 * turns);
    }
}

fn prose() -> Event {
    let (calls, usage, problem) = (Vec::new(), Usage::default(), Some(Problem::NoCall));
    Event::TurnFinished { calls, usage, model_ms: 0, problem, by: None }
}

#[test]
fn a_blocked_model_ends_the_run_with_the_change_put_back() {
    let mut machine = Machine::in_phase(Phase::Edited);
    machine.must(Event::TurnStarted {});
    machine.must(Event::Blocked { message: "no key".to_owned() });
    machine.settle(GOOD);
    assert_eq!(machine.state.stop, Some(StopReason::Blocked { message: "no key".to_owned() }));
    assert_eq!(machine.state.in_flight, None);
}

#[test]
fn the_time_between_a_crash_and_its_resume_is_not_counted() {
    let mut machine = Machine::in_phase(Phase::Idle);
    let before = machine.state.active_ms;
    let later = jiff::Timestamp::from_second(10_000).unwrap();
    machine.state.apply(later, &Event::RunResumed { pid: 1, budget: None }).unwrap();
    assert_eq!(machine.state.active_ms, before);
    let after = jiff::Timestamp::from_second(10_001).unwrap();
    machine.state.apply(after, &Event::TurnStarted {}).unwrap();
    assert_eq!(machine.state.active_ms, before + 1000);
}

#[test]
fn a_baseline_that_fails_blocks_the_run() {
    let mut machine = Machine::new();
    machine.settle(World::KernelFails);
    assert!(matches!(machine.state.stop, Some(StopReason::Blocked { .. })), "{:?}", machine.state.stop);
    let mut machine = Machine::new();
    machine.settle(World::InfraFails);
    assert!(matches!(machine.state.stop, Some(StopReason::Blocked { .. })), "{:?}", machine.state.stop);
    assert_eq!(machine.state.counters.infra_failures, 2, "once more, with the same command");
}

#[test]
fn a_baseline_that_cannot_be_measured_in_the_run_s_time_ends_it_as_a_spent_budget() {
    let with = |budget| {
        let mut machine = Machine::with(budget, Target::Us(Micros::new(1e-9).unwrap()));
        machine.settle(World::InfraFails);
        machine.state.stop
    };
    let wall = |milliseconds| Budget { wall_ms: Some(milliseconds), ..Budget::default() };
    assert_eq!(with(wall(4)), Some(StopReason::Budget { budget: BudgetKind::Wall }));
    assert!(matches!(with(wall(1000)), Some(StopReason::Blocked { .. })), "there was time, and it failed");
    for budget in
        [Budget { infra_failures: Some(1), ..Budget::default() }, Budget { iterations: Some(0), ..Budget::default() }]
    {
        assert!(matches!(with(budget), Some(StopReason::Blocked { .. })), "the failure says more than {budget:?}");
    }
    let mut machine = Machine::with(wall(1), Target::Us(Micros::new(1e-9).unwrap()));
    machine.settle(World::KernelFails);
    assert!(matches!(machine.state.stop, Some(StopReason::Blocked { .. })), "more time does not mend a kernel");
}

#[test]
fn a_baseline_whose_infra_failure_recovers_is_a_baseline() {
    let mut machine = Machine::new();
    for purpose in [Purpose::Test, Purpose::Candidate] {
        let spec = machine.state.spec(Caller::Code, purpose);
        machine.measure(spec, World::InfraFails);
        let Step::Measure(again) = machine.state.next(machine.now()) else { panic!("it is repeated") };
        machine.measure(again, GOOD);
        let path = machine.state.awaiting_analysis().unwrap().1.artifact.path.clone();
        machine.analyse(Caller::Code, &path, Decision::Keep);
    }
    assert_eq!(machine.state.next(machine.now()), Step::Ask);
    assert_eq!(machine.state.counters.infra_failures, 2);
}

#[test]
fn a_deploy_runs_before_the_baseline_and_twice_at_the_most() {
    let mut machine = Machine::in_phase(Phase::Deploy);
    assert_eq!(machine.state.next(machine.now()), Step::Deploy);
    for _ in 0..2 {
        machine.must(Event::DeployStarted { command: "c".to_owned(), watched: ContentHash::of(b"watched") });
        machine.must(Event::DeployFinished { exit_code: 1, output: String::new() });
    }
    assert!(matches!(machine.state.next(machine.now()), Step::Stop(StopReason::Blocked { .. })));
    let mut machine = Machine::in_phase(Phase::Deploy);
    machine.must(Event::DeployStarted { command: "c".to_owned(), watched: ContentHash::of(b"watched") });
    machine.must(Event::DeployFinished { exit_code: 0, output: String::new() });
    assert_eq!(machine.state.phase, Phase::Baseline);
}

fn world() -> impl Strategy<Value = World> {
    prop_oneof![
        4 => (0.5..3.0_f64, prop_oneof![Just(Verdict::Improved), Just(Verdict::NotImproved), Just(Verdict::Ambiguous)])
            .prop_map(|(ratio, verdict)| World::Passes(ratio, verdict)),
        1 => Just(World::KernelFails),
        1 => Just(World::InfraFails),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a model calls and whatever the world answers: KEEP has passed every measurement, the kernel is the
    /// incumbent between iterations, and the journal folds to the same state again.
    #[test]
    fn no_sequence_of_calls_reaches_keep_without_the_evidence(
        moves in proptest::collection::vec((0..8_u8, any::<bool>(), world()), 0..120)
    ) {
        let mut machine = Machine::new();
        machine.settle(GOOD);
        let controls = Controls::default();
        for (choice, keep, world) in moves {
            let waiting = machine.state.awaiting_analysis().map(|(_, evidence)| evidence.artifact.path.clone());
            let artifact = waiting.unwrap_or_else(|| "iter-0001/final.txt".to_owned());
            let decision = if keep { Decision::Keep } else { Decision::Revert };
            let request = match choice {
                0 => Request::Edit,
                1 => Request::Test { profile: Profile::Smoke },
                2 => Request::Benchmark { profile: Profile::Candidate, controls: &controls },
                3 => Request::Benchmark { profile: Profile::Final, controls: &controls },
                4 => Request::Revert,
                _ => Request::Analysis { artifact: &artifact, decision },
            };
            let legal = machine.state.admit(&request);
            match legal {
                Ok(()) => machine.carry_out(&request, world),
                Err(refusal) => machine.must(Event::CallRefused { call: "c".to_owned(), tool: "t".to_owned(), refusal }),
            }
            machine.settle(world);
            if machine.state.phase == Phase::Idle {
                prop_assert_eq!(machine.state.in_flight, None);
            }
        }
        for record in &machine.state.ledger {
            if record.decision == Decision::Keep {
                let passed = |finding: &Option<Finding>| match finding {
                    Some(Finding::Passed(figure)) => figure.clone(),
                    other => panic!("KEEP with {other:?}"),
                };
                passed(&record.test);
                prop_assert!(passed(&record.candidate).comparison.unwrap().ratio > 1.01);
                prop_assert_eq!(passed(&record.confirmation).comparison.unwrap().verdict, Verdict::Improved);
                passed(&record.recheck);
                prop_assert!(record.kept.is_some());
            }
        }
        let keeps = machine.state.ledger.iter().filter(|record| record.decision == Decision::Keep).count();
        prop_assert_eq!(keeps, machine.state.counters.keeps as usize);
        let mut again = RunState::start(jiff::Timestamp::UNIX_EPOCH, &machine.events[0]).unwrap();
        for (millis, event) in (1..).zip(&machine.events[1..]) {
            again.apply(jiff::Timestamp::from_millisecond(millis).unwrap(), event).unwrap();
        }
        prop_assert_eq!(again, machine.state);
    }

    /// Events in any order, with any content that the journal's own events have: an error, never a panic.
    #[test]
    fn a_shuffled_journal_never_panics_and_never_keeps(
        order in proptest::collection::vec(0..64_usize, 1..80)
    ) {
        let mut machine = Machine::new();
        keep_one(&mut machine, GOOD);
        machine.settle(GOOD);
        let events = machine.events.clone();
        let mut state = RunState::start(jiff::Timestamp::UNIX_EPOCH, &events[0]).unwrap();
        for (millis, place) in (1..).zip(order) {
            let event = &events[place % events.len()];
            let _ = state.apply(jiff::Timestamp::from_millisecond(millis).unwrap(), event);
            let _ = state.next(state.last_event);
        }
        for record in state.ledger.iter().filter(|record| record.decision == Decision::Keep) {
            prop_assert!(record.test.is_some() && record.candidate.is_some() && record.confirmation.is_some());
        }
    }
}

/// The level of the final benchmark that comes next, or that runs.
fn level(machine: &Machine) -> f64 {
    match stats::rule(&machine.state, Purpose::Final, 60).aim {
        Aim::Confirm { level } => level,
        other => panic!("a final benchmark confirms: {other:?}"),
    }
}

#[test]
fn a_final_benchmark_spends_its_share_of_the_night_from_its_start_and_hands_it_on_where_it_confirms() {
    let mut machine = Machine::in_phase(Phase::Confirmable);
    assert_eq!(level(&machine), stats::level(&[]));
    let spec = machine.state.spec(Caller::Model("c".to_owned()), Purpose::Final);
    let mut begun = machine.state.clone();
    begun.apply(machine.now(), &Event::MeasureStarted(Box::new(spec.clone()))).unwrap();
    assert_eq!(begun.finals, [false], "a crash here has spent it");
    assert_eq!(stats::rule(&begun, Purpose::Final, 60), stats::rule(&machine.state, Purpose::Final, 60));
    machine.measure(spec, World::Passes(1.2, Verdict::Ambiguous));
    assert_eq!(level(&machine), stats::level(&[false]), "the larger duel is a try of its own");
    machine.settle(GOOD);
    assert_eq!(machine.state.finals, [false, true]);
    assert_eq!(level(&machine), stats::level(&[false, true]));
    assert!(level(&machine) > stats::level(&[false, false]));
}

#[test]
fn a_final_benchmark_that_failed_has_spent_its_share() {
    for world in [World::KernelFails, World::InfraFails] {
        let mut machine = Machine::in_phase(Phase::Confirmable);
        let spec = machine.state.spec(Caller::Model("c".to_owned()), Purpose::Final);
        machine.measure(spec, world);
        assert_eq!(machine.state.finals, [false]);
    }
}
