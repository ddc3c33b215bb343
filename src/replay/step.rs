//! Whether an event carries out the step that the protocol says is next.

use jiff::Timestamp;

use crate::protocol::{Caller, Decision, Event, Pending, RunState, Step};

/// Returns the step that `event` carries out, or in a few words the one that should have been.
///
/// The driver chose it at some instant between the event before and this one, and only a budget of time tells the instants
/// apart: what agrees with either end agrees.
pub(super) fn step_of(state: &RunState, time: Timestamp, event: &Event) -> Result<Step, String> {
    let step = state.next(time);
    if fits(state, &step, event) {
        return Ok(step);
    }
    let earlier = state.next(state.last_event);
    if fits(state, &earlier, event) { Ok(earlier) } else { Err(describe(&step)) }
}

/// Tells whether the event may stand wherever the world puts it.
pub(super) fn is_of_the_world(event: &Event) -> bool {
    matches!(event, Event::RunResumed { .. } | Event::StopRequested { .. } | Event::OutsideEdit { .. })
}

fn fits(state: &RunState, step: &Step, event: &Event) -> bool {
    match step {
        Step::Redo(pending) => settles(pending, event),
        Step::Deploy => match event {
            Event::DeployStarted { command, watched } => {
                let deploy = state.run.terms.deploy.as_ref();
                deploy.is_some_and(|deploy| deploy.command == *command) && state.run.deploy_due == Some(*watched)
            }
            Event::Blocked { .. } => state.run.terms.deploy.is_none(),
            _ => false,
        },
        Step::Measure(spec) => matches!(event, Event::MeasureStarted(found) if **found == *spec),
        Step::AnalyseBaseline => matches!(
            event,
            Event::AnalysisStarted { by: Caller::Code, analysis, .. } if analysis.decision == Decision::Keep
        ),
        Step::Call(_) => match event {
            Event::CallRefused { .. }
            | Event::CallFailed { .. }
            | Event::FileRead { .. }
            | Event::EditStarted { .. } => true,
            Event::MeasureStarted(spec) => spec.by != Caller::Code,
            Event::AnalysisStarted { by, .. } | Event::RevertStarted { by, .. } => *by != Caller::Code,
            _ => false,
        },
        Step::Ask => matches!(event, Event::TurnStarted {}),
        Step::Revert(cause) => {
            matches!(event, Event::RevertStarted { by: Caller::Code, cause: found, .. } if found == cause)
        }
        Step::Commit => {
            let parent_of = state.tip.as_ref().or(state.run.base_commit.as_ref());
            matches!(event, Event::CommitStarted { parent, .. } if parent.as_ref() == parent_of)
        }
        Step::Finish(cause) => {
            let decided = if cause.is_none() { Decision::Keep } else { Decision::Revert };
            matches!(
                event,
                Event::IterationFinished { iteration, decision, cause: found }
                    if *iteration == state.iteration && *decision == decided && found == cause
            )
        }
        Step::Close(reason) => matches!(event, Event::Closing { reason: found } if found.code() == reason.code()),
        Step::Stop(reason) => matches!(event, Event::RunStopped { reason: found } if found.code() == reason.code()),
        Step::Over => false,
    }
}

/// Tells whether `event` ends what `pending` began.
fn settles(pending: &Pending, event: &Event) -> bool {
    match pending {
        Pending::Deploy { .. } => matches!(event, Event::DeployFinished { .. }),
        Pending::Turn => matches!(
            event,
            Event::TurnFinished { .. } | Event::ModelFault { .. } | Event::TurnAbandoned {} | Event::Blocked { .. }
        ),
        Pending::Edit { .. } => matches!(event, Event::EditFinished { .. }),
        Pending::Measure(_) => matches!(event, Event::MeasureFinished { .. } | Event::Blocked { .. }),
        Pending::Analysis { .. } => matches!(event, Event::AnalysisFinished { .. }),
        Pending::Revert { .. } => matches!(event, Event::RevertFinished { .. }),
        Pending::Commit { .. } => matches!(event, Event::CommitFinished { .. }),
    }
}

/// Returns the step in a few words.
fn describe(step: &Step) -> String {
    match step {
        Step::Redo(pending) => format!("the result of the step that was begun: {}", begun(pending)),
        Step::Deploy => "deploy".to_owned(),
        Step::Measure(spec) => format!("the {} measurement, round {}", spec.purpose.as_str(), spec.round),
        Step::AnalyseBaseline => "the baseline's analysis".to_owned(),
        Step::Call(call) => format!("the model's call {} of {}", call.id, call.tool),
        Step::Ask => "ask the model".to_owned(),
        Step::Revert(cause) => format!("put the incumbent back: {}", cause.describe()),
        Step::Commit => "commit the change".to_owned(),
        Step::Finish(None) => "close the iteration: KEEP".to_owned(),
        Step::Finish(Some(cause)) => format!("close the iteration: REVERT, {}", cause.describe()),
        Step::Close(reason) => format!("the last duel: {reason}"),
        Step::Stop(reason) => format!("stop: {reason}"),
        Step::Over => "nothing: the run is over".to_owned(),
    }
}

fn begun(pending: &Pending) -> &'static str {
    match pending {
        Pending::Deploy { .. } => "deploy",
        Pending::Turn => "ask the model",
        Pending::Edit { .. } => "write the change",
        Pending::Measure(_) => "measure",
        Pending::Analysis { .. } => "append the analysis",
        Pending::Revert { .. } => "put the incumbent back",
        Pending::Commit { .. } => "commit",
    }
}
