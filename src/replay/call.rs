//! A model's call, made again: the gate, the arguments, and the change itself.

use std::sync::Arc;

use super::audit::Audit;
use super::divergence::Disagreement;
use crate::protocol::{Analysis, Caller, ContentHash, Event, RawCall, Refusal, RevertCause, Rule, RunState};
use crate::tools::{self, Call, ChangeError, EditKernel, change_line};

impl Audit {
    /// Makes the call again, and holds what came of it against the journal.
    pub(super) fn call(&mut self, state: &RunState, raw: Arc<RawCall>, event: &Event) -> Result<(), Disagreement> {
        let raw = tools::with_short_artifact(raw, &self.repo_root, &self.written_in);
        if id_of(event) != Some(raw.id.as_str()) {
            return Err(Disagreement::with(event, format!("the next call is {}", raw.id)));
        }
        let call = match tools::admit(&raw, state, &self.forbidden) {
            Err(refusal) => return self.refused(&refusal, event),
            Ok(call) => call,
        };
        let agrees = match (&call, event) {
            (Call::Edit(args), _) => return self.edit(state, args, event),
            (Call::Test(args), Event::MeasureStarted(spec)) => **spec == args.spec(state, &raw.id),
            (Call::Benchmark(args), Event::MeasureStarted(spec)) => **spec == args.spec(state, &raw.id),
            (Call::Analysis(args), Event::AnalysisStarted { artifact, analysis, .. }) => {
                let Analysis { decision, summary, feedback, next_step } = analysis;
                let same = (&args.summary, &args.feedback, &args.next_step) == (summary, feedback, next_step);
                same && args.artifact == *artifact && args.decision == *decision
            }
            (Call::Revert(_), Event::RevertStarted { cause, .. }) => *cause == RevertCause::ModelChoice,
            // What could be read then is nothing that the run keeps.
            (Call::Read(_), Event::FileRead { .. } | Event::CallFailed { .. }) => true,
            (Call::Read(_), Event::CallRefused { refusal, .. }) => refusal.rule == Rule::ReadScope,
            _ => false,
        };
        if !agrees {
            return Err(Disagreement::with(event, format!("{} is accepted: {call:?}", raw.tool)));
        }
        match event {
            Event::CallRefused { .. } => self.found.refusals += 1,
            _ => self.found.calls += 1,
        }
        Ok(())
    }

    fn refused(&mut self, today: &Refusal, event: &Event) -> Result<(), Disagreement> {
        match event {
            Event::CallRefused { refusal, .. } if refusal.rule == today.rule && refusal.legal == today.legal => {
                self.found.refusals += 1;
                Ok(())
            }
            _ => Err(Disagreement::with(event, today.to_string())),
        }
    }

    fn edit(&mut self, state: &RunState, args: &EditKernel, event: &Event) -> Result<(), Disagreement> {
        let kernel = self.shelf.text(state.incumbent)?;
        let text = match tools::change(&kernel, args, state, &self.forbidden) {
            Err(ChangeError::Refused(refusal)) => return self.refused(&refusal, event),
            Err(ChangeError::Failed(error)) => {
                if !matches!(event, Event::CallFailed { .. }) {
                    return Err(Disagreement::with(event, format!("the change cannot be made: {error}")));
                }
                self.found.calls += 1;
                return Ok(());
            }
            Ok(text) => text,
        };
        let made = ContentHash::of(text.as_bytes());
        match event {
            Event::EditStarted { to, change, .. } if *to == made && *change == change_line(&args.change) => {
                self.shelf.keeps(*to, &text)?;
                self.found.calls += 1;
                self.found.edits += 1;
                Ok(())
            }
            _ => Err(Disagreement::with(event, format!("the change gives the text {made}"))),
        }
    }
}

/// Returns the id of the call that the event carries out.
fn id_of(event: &Event) -> Option<&str> {
    match event {
        Event::CallRefused { call, .. }
        | Event::CallFailed { call, .. }
        | Event::FileRead { call, .. }
        | Event::EditStarted { call, .. } => Some(call),
        Event::MeasureStarted(spec) => model_call(&spec.by),
        Event::AnalysisStarted { by, .. } | Event::RevertStarted { by, .. } => model_call(by),
        _ => None,
    }
}

fn model_call(by: &Caller) -> Option<&str> {
    match by {
        Caller::Model(call) => Some(call),
        Caller::Code => None,
    }
}
