//! The rules, and what a call that breaks one is told.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The tools of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// Changes the kernel, once an iteration.
    EditKernel,
    /// The smoke test.
    TestRun,
    /// The candidate benchmark, and the final one.
    BenchmarkRun,
    /// The analysis that each measurement requires.
    AppendAnalysis,
    /// Puts the incumbent back.
    Revert,
    /// Reads lines of a file; legal in every phase.
    ReadFile,
}

impl Tool {
    /// Every tool, in the order of an iteration.
    pub const ALL: [Self; 6] =
        [Self::EditKernel, Self::TestRun, Self::BenchmarkRun, Self::AppendAnalysis, Self::Revert, Self::ReadFile];

    /// Returns the tool's name in schemas and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::EditKernel => "edit-kernel",
            Self::TestRun => "test-run",
            Self::BenchmarkRun => "benchmark-run",
            Self::AppendAnalysis => "append-analysis",
            Self::Revert => "revert",
            Self::ReadFile => "read-file",
        }
    }

    /// Returns the tool with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The rule that a refused call breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The steps of an iteration come in their order.
    OrderOfSteps,
    /// An iteration makes exactly one kernel change.
    OneChange,
    /// KEEP needs the evidence for it.
    KeepNeedsEvidence,
    /// An analysis belongs to the artifact of the measurement just made.
    AnalysisOfLastArtifact,
    /// Each step has its profile.
    ProfileOfStep,
    /// The confirmation is never weakened by staged controls.
    FullConfirmation,
    /// Forbidden tools stay unused.
    ForbiddenTool,
    /// A change reaches for nothing but the computation.
    Tripwire,
    /// There is no such tool.
    UnknownTool,
    /// The arguments do not fit the tool's schema.
    BadArguments,
    /// A file may be read only where the mission allows it.
    ReadScope,
}

impl Rule {
    /// Returns the rule's name, as it stands in refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrderOfSteps => "order-of-steps",
            Self::OneChange => "one-change",
            Self::KeepNeedsEvidence => "keep-needs-evidence",
            Self::AnalysisOfLastArtifact => "analysis-of-last-artifact",
            Self::ProfileOfStep => "profile-of-step",
            Self::FullConfirmation => "full-confirmation",
            Self::ForbiddenTool => "forbidden-tool",
            Self::Tripwire => "tripwire",
            Self::UnknownTool => "unknown-tool",
            Self::BadArguments => "bad-arguments",
            Self::ReadScope => "read-scope",
        }
    }
}

/// Why a call was refused, and what would be legal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What was wrong, for the model.
    pub message: String,
    /// The tools that are legal now.
    pub legal: Vec<Tool>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused ({}): {}", self.rule.name(), self.message)?;
        let names: Vec<_> = self.legal.iter().map(|tool| tool.name()).collect();
        if names.is_empty() {
            f.write_str("; no call is legal now")
        } else {
            write!(f, "; legal now: {}", names.join(", "))
        }
    }
}
