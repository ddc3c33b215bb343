//! The model's calls: gate, run, record.

use super::driver::Session;
use super::error::SessionError;
use crate::model::{Answer, CallResult};
use crate::protocol::{
    Analysis, Caller, Event, MeasureSpec, Profile, Purpose, RawCall, Refusal, RevertCause, Rule, RunState,
};
use crate::tools::{self, AppendAnalysis, BenchmarkRun, Call, EditKernel, ReadError, ReadFile, TestRun};

/// The longest text that a call returns, in bytes.
const MOST_TEXT: usize = 40 * 1024;

impl Session {
    /// Carries out the next call of the model's turn, or refuses it.
    pub(super) async fn call(&mut self, raw: RawCall) -> Result<(), SessionError> {
        let raw = self.with_short_artifact(raw);
        match tools::admit(&raw, &self.state, &self.forbidden) {
            Err(refusal) => self.refuse(&raw, refusal),
            Ok(Call::Edit(args)) => self.edit_call(&raw, &args),
            Ok(Call::Test(args)) => {
                let spec = self.test_spec(&raw, args);
                self.measure(spec).await?;
                self.answer_measured(&raw);
                Ok(())
            }
            Ok(Call::Benchmark(args)) => {
                let spec = self.benchmark_spec(&raw, args);
                self.measure(spec).await?;
                self.answer_measured(&raw);
                Ok(())
            }
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
        let text = match tools::edit(&kernel, args) {
            Ok(text) => text,
            Err(error) => return self.fail(raw, error.to_string()),
        };
        // All at once: a name may be broken over lines.
        let added = tools::added_lines(&kernel, &text).concat();
        if let Err(mut refusal) = self.forbidden.check(&added, "what the edit adds") {
            refusal.legal = self.state.legal().to_vec();
            return self.refuse(raw, refusal);
        }
        self.edit(&raw.id, &args.change, &text)?;
        self.done(raw, "the kernel holds the change; next: test-run".to_owned());
        Ok(())
    }

    fn test_spec(&self, raw: &RawCall, args: TestRun) -> MeasureSpec {
        let controls = args.controls();
        MeasureSpec { controls, tag: args.tag, ..self.state.spec(Caller::Model(raw.id.clone()), Purpose::Test) }
    }

    fn benchmark_spec(&self, raw: &RawCall, args: BenchmarkRun) -> MeasureSpec {
        let purpose = if args.profile == Some(Profile::Final) { Purpose::Final } else { Purpose::Candidate };
        let controls = args.controls();
        MeasureSpec { controls, tag: args.tag, ..self.state.spec(Caller::Model(raw.id.clone()), purpose) }
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

    fn answer_measured(&mut self, raw: &RawCall) {
        let mut text = measured_text(&self.state);
        if let Some(told) = self.compiled.take() {
            text.push_str(&format!("\ncompiler: {told}"));
        }
        self.results.push(result(raw, Answer::Done, text));
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

    /// Lets a model name an artifact by its path from the repository's root as well, as the original's scripts print it.
    fn with_short_artifact(&self, mut raw: RawCall) -> RawCall {
        if let Some(serde_json::Value::String(path)) = raw.arguments.get_mut("artifact") {
            let full = self.workspace.repo_root().join(&*path);
            if let Ok(short) = full.strip_prefix(&self.folder) {
                *path = short.to_string_lossy().into_owned();
            }
        }
        raw
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
