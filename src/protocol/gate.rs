//! The gate: which calls are legal in which phase, and what a refused one is told.

use super::evidence::{Decision, Outcome, Purpose, Verdict};
use super::refusal::{Refusal, Rule, Tool};
use super::state::{Phase, RunState};
use super::terms::{Controls, Profile};

/// What a call asks for, as far as the gate must know.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// `edit-kernel`.
    Edit,
    /// `test-run`.
    Test {
        /// The profile that the call names.
        profile: Profile,
    },
    /// `benchmark-run`.
    Benchmark {
        /// The profile that the call names.
        profile: Profile,
        /// What it changes of the profile.
        controls: &'a Controls,
    },
    /// `append-analysis`.
    Analysis {
        /// The artifact that the call names.
        artifact: &'a str,
        /// Its decision.
        decision: Decision,
    },
    /// `revert`.
    Revert,
    /// `read-file`.
    Read,
}

impl Request<'_> {
    /// Returns the tool.
    pub fn tool(&self) -> Tool {
        match self {
            Self::Edit => Tool::EditKernel,
            Self::Test { .. } => Tool::TestRun,
            Self::Benchmark { .. } => Tool::BenchmarkRun,
            Self::Analysis { .. } => Tool::AppendAnalysis,
            Self::Revert => Tool::Revert,
            Self::Read => Tool::ReadFile,
        }
    }
}

impl RunState {
    /// Returns the tools that a model may call now.
    pub fn legal(&self) -> &'static [Tool] {
        legal_in(self.phase)
    }

    /// Lets `request` pass, or says which rule it breaks.
    pub fn admit(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let tool = request.tool();
        if tool == Tool::ReadFile {
            return Ok(());
        }
        if !self.legal().contains(&tool) {
            return Err(self.out_of_order(tool));
        }
        match request {
            Request::Test { profile } if *profile != Profile::Smoke => {
                Err(self.refusal(Rule::ProfileOfStep, format!("test-run takes the profile smoke, not {profile}")))
            }
            Request::Benchmark { profile, controls } => self.admit_benchmark(*profile, controls),
            Request::Analysis { artifact, decision } => self.admit_analysis(artifact, *decision),
            Request::Edit | Request::Test { .. } | Request::Revert | Request::Read => Ok(()),
        }
    }

    /// Returns a refusal that names the legal calls of the present phase.
    pub fn refusal(&self, rule: Rule, message: String) -> Refusal {
        Refusal { rule, message, legal: self.legal().to_vec() }
    }

    fn out_of_order(&self, tool: Tool) -> Refusal {
        if tool == Tool::EditKernel && self.in_flight.is_some() {
            let message = "an iteration makes exactly one kernel change, and one is in flight already".to_owned();
            return self.refusal(Rule::OneChange, message);
        }
        self.refusal(Rule::OrderOfSteps, format!("{tool} is not legal in phase {}", self.phase.name()))
    }

    fn admit_benchmark(&self, profile: Profile, controls: &Controls) -> Result<(), Refusal> {
        let expected = if self.phase == Phase::Confirmable { Profile::Final } else { Profile::Candidate };
        if profile != expected {
            let message = format!("in phase {} benchmark-run takes the profile {expected}", self.phase.name());
            return Err(self.refusal(Rule::ProfileOfStep, message));
        }
        if profile == Profile::Final && !controls.is_empty() {
            let message = "the final benchmark runs as the mission sets it: staged controls are for weak variants";
            return Err(self.refusal(Rule::FullConfirmation, message.to_owned()));
        }
        Ok(())
    }

    fn admit_analysis(&self, artifact: &str, decision: Decision) -> Result<(), Refusal> {
        let Some((purpose, evidence)) = self.awaiting_analysis() else {
            return Err(self.out_of_order(Tool::AppendAnalysis));
        };
        if artifact != evidence.artifact.path {
            let message = format!("the artifact that awaits its analysis is `{}`", evidence.artifact.path);
            return Err(self.refusal(Rule::AnalysisOfLastArtifact, message));
        }
        if decision == Decision::Keep && !self.supports_keep(purpose, &evidence.outcome) {
            let message = format!("KEEP needs {}; REVERT is always accepted", self.missing(purpose, &evidence.outcome));
            return Err(self.refusal(Rule::KeepNeedsEvidence, message));
        }
        Ok(())
    }

    /// Tells whether a measurement's outcome supports going on with the change.
    pub fn supports_keep(&self, purpose: Purpose, outcome: &Outcome) -> bool {
        match (purpose, outcome) {
            (Purpose::Test, Outcome::Measured { .. }) => true,
            (Purpose::Candidate, Outcome::Measured { comparison, .. }) => {
                // The baseline has no incumbent to compare with.
                self.phase == Phase::Baseline || comparison.as_ref().is_some_and(|found| self.is_material(found))
            }
            (Purpose::Final, Outcome::Measured { comparison: Some(found), .. }) => found.verdict == Verdict::Improved,
            _ => false,
        }
    }

    fn missing(&self, purpose: Purpose, outcome: &Outcome) -> String {
        match (purpose, outcome) {
            (_, Outcome::KernelFailed { failure, .. }) => {
                format!("a kernel that passes, and this one failed ({failure})")
            }
            (Purpose::Candidate, Outcome::Measured { comparison: Some(found), .. }) => {
                let margin = (found.margin.max(self.run.terms.min_improvement) * 1e5).round() / 1e3;
                let setback = found.setback.as_ref().map_or_else(String::new, |setback| format!(", and {setback}"));
                format!("a gain of more than {margin}%, and the candidate benchmark shows {:.3}x{setback}", found.ratio)
            }
            (Purpose::Final, Outcome::Measured { comparison: Some(found), .. }) => {
                let setback = found.setback.as_ref().map_or_else(String::new, |setback| format!(" ({setback})"));
                format!("the verdict improved, and the final benchmark's is {}{setback}", found.verdict)
            }
            _ => "a measurement".to_owned(),
        }
    }
}

/// Returns the tools that are legal in `phase`, `read-file` apart: it is legal in every one.
pub fn legal_in(phase: Phase) -> &'static [Tool] {
    match phase {
        Phase::Deploy | Phase::Baseline | Phase::Closing | Phase::Stopped => &[],
        Phase::Idle => &[Tool::EditKernel],
        Phase::Edited => &[Tool::TestRun, Tool::Revert],
        Phase::Tested | Phase::Measured | Phase::Confirmed => &[Tool::AppendAnalysis],
        Phase::Measurable | Phase::Confirmable => &[Tool::BenchmarkRun, Tool::Revert],
    }
}
