//! The tuner at the table: which calls it makes in which phase.

use serde_json::{Value, json};

use super::history::{History, Points, Texts, Trial};
use super::kernel::Kernel;
use super::propose::{Proposal, propose};
use super::words::{learned, signals, summary};
use crate::model::{Model, ModelError, Turn, TurnFuture, View};
use crate::protocol::{ContentHash, Decision, Evidence, Forbidden, Phase, Profile, Purpose, RawCall, RunState, Tool};

/// The built-in model: it sets the values that a kernel declares as tunable.
#[derive(Debug, Default)]
pub struct Tuner {
    points: Points,
}

impl Model for Tuner {
    fn name(&self) -> String {
        "tuner".to_owned()
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        let texts = |hash| String::from_utf8(view.snapshots.get(hash).ok()?).ok();
        let calls = self.calls(view.state, view.kernel, &texts);
        Box::pin(std::future::ready(calls.map(|calls| Turn { calls, ..Turn::default() })))
    }
}

impl Tuner {
    /// Returns a tuner; it knows nothing yet, and needs to know nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the next calls. `file` is the text in the kernel file, `texts` gives every other one.
    pub(super) fn calls(
        &mut self,
        state: &RunState,
        file: &str,
        texts: &Texts<'_>,
    ) -> Result<Vec<RawCall>, ModelError> {
        let in_file = ContentHash::of(file.as_bytes());
        let texts: &Texts<'_> = &|hash| if hash == in_file { Some(file.to_owned()) } else { texts(hash) };
        let mut calls = Calls { turn: state.counters.round_trips + state.counters.tuner_turns, made: Vec::new() };
        match state.phase {
            Phase::Idle => {
                let kernel = texts(state.incumbent).map(Kernel::parse).ok_or_else(|| {
                    let hash = state.incumbent.short();
                    ModelError::Failed(format!("the incumbent's text {hash} cannot be read from the run's snapshots"))
                })?;
                let (_, proposal) = self.look_ahead(state, None, &kernel, texts);
                calls.change(proposal?);
            }
            Phase::Edited => calls.test(),
            Phase::Measurable => calls.benchmark(Profile::Candidate),
            Phase::Confirmable => calls.benchmark(Profile::Final),
            Phase::Tested | Phase::Measured | Phase::Confirmed => self.conclude(state, texts, &mut calls)?,
            Phase::Deploy | Phase::Baseline | Phase::Closing | Phase::Stopped => {
                return Err(nothing_to_decide(state));
            }
        }
        Ok(calls.made)
    }

    /// Analyses the last measurement, and takes the step that follows from it.
    fn conclude(&mut self, state: &RunState, texts: &Texts<'_>, calls: &mut Calls) -> Result<(), ModelError> {
        let (purpose, evidence) = state.awaiting_analysis().ok_or_else(|| nothing_to_decide(state))?;
        let supported = state.supports_keep(purpose, &evidence.outcome);
        let mut feedback = signals(state, &evidence.outcome);
        match (supported, purpose) {
            (true, Purpose::Test) => {
                calls.analyse(state, evidence, Decision::Keep, &feedback, "run the candidate benchmark");
                calls.benchmark(Profile::Candidate);
            }
            (true, Purpose::Candidate) => {
                calls.analyse(state, evidence, Decision::Keep, &feedback, "confirm the gain with the final benchmark");
                calls.benchmark(Profile::Final);
            }
            (_, _) => {
                let decision = if supported { Decision::Keep } else { Decision::Revert };
                let incumbent = if supported { state.expected_kernel() } else { state.incumbent };
                let Some(kernel) = texts(incumbent).map(Kernel::parse) else {
                    calls.analyse(state, evidence, decision, &feedback, "change one value of the best kernel");
                    return Ok(());
                };
                let (history, proposal) =
                    self.look_ahead(state, Trial::of_current(&state.current, decision), &kernel, texts);
                let mut point = |hash| self.points.get(hash, &kernel, texts);
                if let (Some(from), Some(to)) = (point(state.incumbent), point(state.expected_kernel())) {
                    feedback += &learned(&kernel, &history, &from, &to);
                }
                match proposal {
                    Ok(proposal) => {
                        calls.analyse(state, evidence, decision, &feedback, &proposal.change);
                        calls.change(proposal);
                    }
                    // The next turn, in the idle phase, says so as an error.
                    Err(spent) => calls.analyse(state, evidence, decision, &feedback, &spent.to_string()),
                }
            }
        }
        Ok(())
    }

    /// Returns the history as it will be after `last`, and the change that follows with `kernel` as the incumbent.
    fn look_ahead(
        &mut self,
        state: &RunState,
        last: Option<Trial>,
        kernel: &Kernel,
        texts: &Texts<'_>,
    ) -> (History, Result<Proposal, ModelError>) {
        let history = History::read(state, last, kernel, texts, &mut self.points);
        let forbidden = Forbidden::new(&state.run.terms.forbidden);
        let proposal = propose(kernel, &history, state.run.seed, &forbidden);
        (history, proposal)
    }
}

fn nothing_to_decide(state: &RunState) -> ModelError {
    ModelError::Failed(format!("the tuner was asked in phase {}, where nothing awaits it", state.phase.name()))
}

/// The calls of one turn.
struct Calls {
    turn: u32,
    made: Vec<RawCall>,
}

impl Calls {
    fn push(&mut self, tool: Tool, arguments: Value) {
        let id = format!("t{}c{}", self.turn, self.made.len());
        self.made.push(RawCall { id, tool: tool.name().to_owned(), arguments });
    }

    fn change(&mut self, proposal: Proposal) {
        self.push(Tool::EditKernel, proposal.arguments);
        self.test();
    }

    fn test(&mut self) {
        self.push(Tool::TestRun, json!({ "profile": Profile::Smoke }));
    }

    fn benchmark(&mut self, profile: Profile) {
        self.push(Tool::BenchmarkRun, json!({ "profile": profile }));
    }

    fn analyse(&mut self, state: &RunState, evidence: &Evidence, decision: Decision, feedback: &str, next_step: &str) {
        let words = |summary: &str, feedback: &str, next_step: &str| {
            json!({
                "artifact": evidence.artifact.path,
                "decision": decision,
                "summary": summary,
                "feedback": feedback,
                "next_step": next_step,
            })
        };
        let full = words(&summary(&state.current.change, &evidence.outcome), feedback, next_step);
        // A kernel's account of its failure may hold a name that the mission forbids: the gate would refuse to hear it.
        let fine = Forbidden::new(&state.run.terms.forbidden).check_value(&full, "the analysis").is_ok();
        let plain = || words("see the figures above", "see the figures above", "change one value of the best kernel");
        self.push(Tool::AppendAnalysis, if fine { full } else { plain() });
    }
}
