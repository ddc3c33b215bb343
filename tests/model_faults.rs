//! A model that does not answer: what its faults change in a run, and what they never do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use afterhours::protocol::*;
use support::machine::{Machine, World};

const GOOD: World = World::Passes(1.5, Verdict::Improved);

fn prose() -> Event {
    let (calls, usage, problem) = (Vec::new(), Usage::default(), Some(Problem::NoCall));
    Event::TurnFinished { calls, usage, model_ms: 0, problem, by: None }
}

fn fault(kind: FaultKind) -> Event {
    Event::ModelFault { model: "m".to_owned(), kind, message: String::new(), model_ms: 2, wait_ms: 1000 }
}

#[test]
fn a_fault_leaves_the_turn_under_way_and_nothing_else_changes() {
    let mut machine = Machine::in_phase(Phase::Measurable);
    assert!(Machine::in_phase(Phase::Measurable).apply(fault(FaultKind::Server)).is_err(), "nobody was asked");
    machine.must(Event::TurnStarted {});
    let before = machine.state.clone();
    for faults in 1..=700 {
        machine.must(fault(FaultKind::Server));
        assert_eq!(machine.state.turn_faults, faults);
        assert_eq!(machine.state.next(machine.now()), Step::Redo(Pending::Turn));
    }
    assert_eq!((machine.state.phase, machine.state.iteration), (before.phase, before.iteration));
    assert_eq!((machine.state.counters.round_trips, machine.state.ledger.len()), (0, before.ledger.len()));
    assert_eq!((machine.state.counters.model_faults, machine.state.counters.model_ms), (700, 1400));
    machine.must(prose());
    assert_eq!((machine.state.turn_faults, machine.state.counters.round_trips), (0, 1));
}

#[test]
fn a_run_that_dies_between_two_attempts_asks_anew() {
    let mut machine = Machine::in_phase(Phase::Measurable);
    machine.must(Event::TurnStarted {});
    machine.must(fault(FaultKind::Unreachable));
    machine.must(Event::RunResumed { pid: 1, budget: None });
    assert_eq!((machine.state.turn_faults, machine.state.next(machine.now())), (0, Step::Ask));
}

#[test]
fn an_endpoint_that_is_silent_to_the_end_of_the_budget_does_not_hold_a_confirmation_open() {
    for phase in [Phase::Idle, Phase::Edited, Phase::Confirmable] {
        let mut machine = Machine::in_phase(phase);
        machine.state.run.terms.budget.wall_ms = Some(1);
        machine.must(Event::TurnStarted {});
        machine.must(fault(FaultKind::Stalled));
        machine.must(Event::TurnAbandoned {});
        machine.settle(GOOD);
        assert_eq!(machine.state.stop, Some(StopReason::Budget { budget: BudgetKind::Wall }), "{phase:?}");
        assert_eq!(machine.state.in_flight, None);
    }
}
