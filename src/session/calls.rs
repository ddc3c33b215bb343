//! The model's calls: gate, run, record.

use std::sync::Arc;

use super::driver::Session;
use super::error::SessionError;
use crate::model::{Answer, CallResult};
use crate::protocol::{Analysis, Caller, Event, MeasureSpec, RawCall, Refusal, RevertCause, Rule, RunState};
use crate::tools::{self, AppendAnalysis, Call, ChangeError, EditKernel, ReadError, ReadFile};

/// The longest text that a call returns, in bytes.
const MOST_TEXT: usize = 40 * 1024;

impl Session {
    /// Carries out the next call of the model's turn, or refuses it.
    pub(super) async fn call(&mut self, raw: Arc<RawCall>) -> Result<(), SessionError> {
        let raw = tools::with_short_artifact(raw, self.workspace.repo_root(), &self.folder);
        match tools::admit(&raw, &self.state, &self.forbidden) {
            Err(refusal) => self.refuse(&raw, refusal),
            Ok(Call::Edit(args)) => self.edit_call(&raw, &args),
            Ok(Call::Test(args)) => self.measure_call(&raw, args.spec(&self.state, &raw.id)).await,
            Ok(Call::Benchmark(args)) => self.measure_call(&raw, args.spec(&self.state, &raw.id)).await,
            Ok(Call::Analysis(args)) => self.analysis_call(&raw, args),
            Ok(Call::Revert(_)) => {
                self.revert(Caller::Model(raw.id.clone()), RevertCause::ModelChoice)?;
                self.done(&raw, "the incumbent is back in the kernel file".to_owned());
                Ok(())
            }
            Ok(Call::Read(args)) => self.read_call(&raw, &args),
        }
    }

    fn edit_call(&mut self, raw: &RawCall, args: &EditKernel) -> Result<(), SessionError> {
        let kernel = self.kernel_text()?;
        let text = match tools::change(&kernel, args, &self.state, &self.forbidden) {
            Ok(text) => text,
            Err(ChangeError::Refused(refusal)) => return self.refuse(raw, refusal),
            Err(ChangeError::Failed(error)) => return self.fail(raw, error.to_string()),
        };
        self.edit(&raw.id, &args.change, &text)?;
        self.done(raw, "the kernel holds the change; next: test-run".to_owned());
        Ok(())
    }

    fn analysis_call(&mut self, raw: &RawCall, args: AppendAnalysis) -> Result<(), SessionError> {
        let AppendAnalysis { artifact, decision, summary, feedback, next_step } = args;
        let analysis = Analysis { decision, summary, feedback, next_step };
        self.analyse(Caller::Model(raw.id.clone()), &artifact, analysis)?;
        let text = match self.state.current.due {
            Some(_) => "recorded; the iteration ends".to_owned(),
            None => format!("recorded; the phase is {}", self.state.phase.name()),
        };
        self.done(raw, text);
        Ok(())
    }

    fn read_call(&mut self, raw: &RawCall, args: &ReadFile) -> Result<(), SessionError> {
        match self.readable.read(args) {
            Ok(lines) => {
                let event = Event::FileRead {
                    call: raw.id.clone(),
                    path: args.path.chars().take(200).collect(),
                    first: lines.first,
                    last: lines.last,
                };
                self.record(event)?;
                self.done(raw, format!("lines {} to {}:\n{}", lines.first, lines.last, lines.text));
                Ok(())
            }
            Err(error @ ReadError::OutOfScope { .. }) => {
                self.refuse(raw, self.state.refusal(Rule::ReadScope, error.to_string()))
            }
            Err(error @ (ReadError::Io { .. } | ReadError::Backwards)) => self.fail(raw, error.to_string()),
        }
    }

    fn refuse(&mut self, raw: &RawCall, refusal: Refusal) -> Result<(), SessionError> {
        self.results.push(result(raw, Answer::Refused, refusal.to_string()));
        self.drop_rest(&raw.id);
        self.record(Event::CallRefused { call: raw.id.clone(), tool: raw.tool.chars().take(60).collect(), refusal })
    }

    fn fail(&mut self, raw: &RawCall, message: String) -> Result<(), SessionError> {
        self.results.push(result(raw, Answer::Failed, message.clone()));
        self.drop_rest(&raw.id);
        self.record(Event::CallFailed { call: raw.id.clone(), tool: raw.tool.clone(), message })
    }

    fn done(&mut self, raw: &RawCall, text: String) {
        self.results.push(result(raw, Answer::Done, text));
    }

    async fn measure_call(&mut self, raw: &RawCall, spec: MeasureSpec) -> Result<(), SessionError> {
        self.measure(spec).await?;
        let mut text = measured_text(&self.state);
        if let Some(told) = self.compiled.take() {
            text.push_str(&format!("\ncompiler: {told}"));
        }
        self.done(raw, text);
        Ok(())
    }

    /// Gives every call behind `id` its result: it does not run.
    pub(super) fn drop_rest(&mut self, id: &str) {
        let dropped: Vec<_> = self
            .state
            .queue
            .iter()
            .filter(|call| call.id != id)
            .map(|call| result(call, Answer::Dropped, "not carried out: the turn ended before it".to_owned()))
            .collect();
        self.results.extend(dropped);
    }
}

fn result(raw: &RawCall, answer: Answer, mut text: String) -> CallResult {
    if text.len() > MOST_TEXT {
        let cut = text.floor_char_boundary(MOST_TEXT);
        text.truncate(cut);
        text.push_str("\n[cut: read-file shows the rest]");
    }
    CallResult { call: raw.id.clone(), tool: raw.tool.chars().take(60).collect(), answer, text }
}

/// Says what the last measurement came to, in the words of its evidence.
fn measured_text(state: &RunState) -> String {
    match state.awaiting_analysis() {
        Some((purpose, evidence)) => {
            let outcome = crate::report::outcome_text(&evidence.outcome, state.run.terms.metric);
            format!(
                "artifact: {}\n{} result: {outcome}\nnext: append-analysis",
                evidence.artifact.path,
                purpose.as_str()
            )
        }
        None if state.current.again.is_some() => {
            "the measurement is repeated: the infrastructure failed, or the verdict was ambiguous".to_owned()
        }
        None => {
            let failure = state.current.failure.as_deref().unwrap_or("no account");
            format!("the infrastructure failed twice, and the change is put back: {failure}")
        }
    }
}
