//! The arguments of the tools: the doc comments here are the schemas' descriptions and the command line's help.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::protocol::{Controls, Decision, Profile};

/// Make this iteration's one change to the kernel. Give either `edits` or `text`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditKernel {
    /// The change in one line, for the report and the commit.
    pub change: String,
    /// Replacements, applied in order. Each `search` must occur in the kernel exactly once.
    #[serde(default)]
    pub edits: Option<Vec<Replacement>>,
    /// The kernel's whole new text.
    #[serde(default)]
    pub text: Option<String>,
}

/// An exact replacement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Replacement {
    /// Text of the kernel, copied exactly, whitespace included, long enough to occur once.
    pub search: String,
    /// What stands in its place.
    pub replace: String,
}

/// Run the smoke test: is the kernel with the change still right? Writes an artifact.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestRun {
    /// Always `smoke`.
    pub profile: Option<Profile>,
    /// Timed calls of each case; replaces the profile's number.
    #[schemars(range(min = 1, max = 10_000))]
    pub repeats: Option<u32>,
    /// Timed calls of each stage, such as [8, 16, 32].
    #[serde(deserialize_with = "stages")]
    pub stage_repeats: Option<Vec<u32>>,
    /// Skip the later stages when a stage's median is above this many microseconds; 0 never does.
    #[schemars(range(min = 0))]
    pub early_stop_us: Option<f64>,
    /// Seconds before the measurement is ended.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<u32>,
    /// A word of yours that the artifact keeps.
    pub tag: Option<String>,
}

/// Measure the change against the incumbent: profile `candidate` scores it, profile `final` confirms it. Writes an artifact.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BenchmarkRun {
    /// `candidate` after a passed test, `final` after a material gain.
    pub profile: Option<Profile>,
    /// Timed calls of each case in a block; replaces the profile's number. Not with `final`.
    #[schemars(range(min = 1, max = 10_000))]
    pub repeats: Option<u32>,
    /// Timed calls of each stage, such as [8, 16, 32]. Not with `final`.
    #[serde(deserialize_with = "stages")]
    pub stage_repeats: Option<Vec<u32>>,
    /// Skip the later stages when a stage's median is above this many microseconds; 0 never does. Not with `final`.
    #[schemars(range(min = 0))]
    pub early_stop_us: Option<f64>,
    /// Seconds before the measurement is ended. Not with `final`.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<u32>,
    /// A word of yours that the artifact keeps.
    pub tag: Option<String>,
}

/// Append the analysis that every measurement requires to its artifact. KEEP goes on with the change, REVERT ends the iteration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendAnalysis {
    /// The path of the artifact, as the measurement returned it.
    pub artifact: String,
    /// KEEP or REVERT. KEEP needs the evidence for it; REVERT is always accepted.
    pub decision: Decision,
    /// The change or the metric in a sentence.
    pub summary: String,
    /// What the signals say: errors, figures, outliers.
    pub feedback: String,
    /// The next single change.
    pub next_step: String,
}

/// Give up the change in flight and put the incumbent back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Revert {
    /// Why.
    pub reason: Option<String>,
}

/// Read lines of a file: the kernel, the harness, this run's artifacts, and what the mission allows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// `kernel`, `harness`, a path below the repository, or an artifact's path.
    pub path: String,
    /// The first line, from 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub first: Option<u64>,
    /// The last line. At most 400 lines come back.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub last: Option<u64>,
}

impl TestRun {
    /// Returns what the call changes of its profile.
    pub fn controls(&self) -> Controls {
        Controls {
            repeats: self.repeats,
            stage_repeats: self.stage_repeats.clone(),
            early_stop_us: self.early_stop_us,
            timeout_seconds: self.timeout_seconds,
        }
    }
}

impl BenchmarkRun {
    /// Returns what the call changes of its profile.
    pub fn controls(&self) -> Controls {
        Controls {
            repeats: self.repeats,
            stage_repeats: self.stage_repeats.clone(),
            early_stop_us: self.early_stop_us,
            timeout_seconds: self.timeout_seconds,
        }
    }
}

/// Reads stages as a list, or as the original's `8,16,32`.
fn stages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u32>>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => parse_stages(&text).map(Some).map_err(serde::de::Error::custom),
        Some(list) => serde_json::from_value(list).map(Some).map_err(serde::de::Error::custom),
    }
}

/// Reads the original's `8,16,32`.
///
/// # Errors
/// A text that says what was expected.
pub fn parse_stages(text: &str) -> Result<Vec<u32>, String> {
    text.split(',')
        .map(|part| part.trim().parse().map_err(|_| format!("{text:?} is no list of numbers such as 8,16,32")))
        .collect()
}
