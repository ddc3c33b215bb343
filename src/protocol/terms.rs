//! The terms of a run: what the mission asks for, fixed when the run starts and written into its journal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::Micros;

/// The figure that is optimised. All are in microseconds a call, lower is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// The median of a case's calls; over several cases, the geometric mean of the medians.
    #[default]
    MedianUs,
    /// The mean of a case's calls; over several cases, the geometric mean of the means.
    MeanUs,
    /// The geometric mean over the cases of each case's median: `median_us` by another name, for harnesses with many cases.
    GmeanUs,
}

impl MetricName {
    /// Returns the name as missions and reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MedianUs => "median_us",
            Self::MeanUs => "mean_us",
            Self::GmeanUs => "gmean_us",
        }
    }
}

/// A name that is none of the known ones.
#[derive(Debug, thiserror::Error)]
#[error("{given:?} is none of {known}")]
pub struct UnknownName {
    given: String,
    known: &'static str,
}

impl UnknownName {
    pub(super) fn new(given: &str, known: &'static str) -> Self {
        Self { given: given.chars().take(60).collect(), known }
    }
}

impl FromStr for MetricName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::MedianUs, Self::MeanUs, Self::GmeanUs]
            .into_iter()
            .find(|metric| metric.as_str() == text)
            .ok_or_else(|| UnknownName::new(text, "median_us, mean_us, gmean_us"))
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What ends the run as a success.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The metric is at most this many microseconds.
    Us(Micros),
    /// The kernel is this many times as fast as it was at the start.
    Speedup(f64),
}

/// The device that measurements must come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gpu(pub String);

impl Default for Gpu {
    fn default() -> Self {
        Self("B200".to_owned())
    }
}

impl Gpu {
    /// Tells whether the mission runs on the host's processor.
    pub fn is_cpu(&self) -> bool {
        self.0.eq_ignore_ascii_case("cpu")
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be spent before the run ends without its target. An absent limit never ends the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Iterations, the baseline not counted.
    pub iterations: Option<u32>,
    /// Time in which the run was active, in milliseconds. Time between a crash and its resume is not counted.
    pub wall_ms: Option<u64>,
    /// Prompt and completion tokens together.
    pub tokens: Option<u64>,
    /// US dollars.
    pub usd: Option<f64>,
    /// Iterations in a row that ended in REVERT.
    pub no_progress: Option<u32>,
    /// Measurements that failed for reasons of the infrastructure, and failed again when repeated.
    pub infra_failures: Option<u32>,
    /// Turns in a row without a legal step, for each iteration: that ends the iteration, not the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_turns: Option<u32>,
}

/// How thorough a measurement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Profile {
    /// Correctness, and a first look at the time: early rejection.
    Smoke,
    /// A duel against the incumbent that scores the change.
    Candidate,
    /// A larger duel that confirms it.
    Final,
}

impl Profile {
    /// Returns the name as missions and artifacts spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Candidate => "candidate",
            Self::Final => "final",
        }
    }
}

impl FromStr for Profile {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Smoke, Self::Candidate, Self::Final]
            .into_iter()
            .find(|profile| profile.as_str() == text)
            .ok_or_else(|| UnknownName::new(text, "smoke, candidate, final"))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The effort of one measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Timed calls of each case in one block.
    pub repeats: u32,
    /// How the calls are split into stages; their sum is the number of calls.
    pub stage_repeats: Vec<u32>,
    /// A block whose stage has a median above this many microseconds skips its later stages. `None` never stops early.
    pub early_stop_us: Option<f64>,
    /// Seconds for the whole measurement of one side.
    pub timeout_seconds: u32,
    /// The most blocks a side: a block is one fresh process of the kernel. Candidate and incumbent get as many each. A duel
    /// ends before that where it is decided; a final one that could not be won with so many gets as many as it takes.
    pub pairs: u32,
}

/// The effort of each profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profiles {
    /// See [`Profile::Smoke`]; its `pairs` is always 1, and no incumbent runs beside it.
    pub smoke: Effort,
    /// See [`Profile::Candidate`].
    pub candidate: Effort,
    /// See [`Profile::Final`].
    #[serde(rename = "final")]
    pub final_: Effort,
}

impl Profiles {
    /// Returns the effort of `profile`.
    pub fn get(&self, profile: Profile) -> &Effort {
        match profile {
            Profile::Smoke => &self.smoke,
            Profile::Candidate => &self.candidate,
            Profile::Final => &self.final_,
        }
    }
}

impl Default for Profiles {
    /// The repeats, stages, early stop and time-outs of the original's profiles; the pairs are ours.
    fn default() -> Self {
        let effort = |stages: &[u32], early_stop_us, timeout_seconds, pairs| Effort {
            repeats: stages.iter().sum(),
            stage_repeats: stages.to_vec(),
            early_stop_us,
            timeout_seconds,
            pairs,
        };
        Self {
            smoke: effort(&[8, 12], Some(1200.0), 180, 1),
            candidate: effort(&[12, 24, 24], None, 420, 6),
            final_: effort(&[20, 40, 40], None, 900, 60),
        }
    }
}

/// What a single call may change of a profile's effort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Controls {
    /// Overrides [`Effort::repeats`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u32>,
    /// Overrides [`Effort::stage_repeats`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_repeats: Option<Vec<u32>>,
    /// Overrides [`Effort::early_stop_us`]; 0 turns it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop_us: Option<f64>,
    /// Overrides [`Effort::timeout_seconds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

impl Controls {
    /// Tells whether nothing is overridden.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns `effort` with the overrides applied. Stages win over repeats where both are given.
    #[must_use]
    pub fn apply(&self, effort: &Effort) -> Effort {
        let mut effort = effort.clone();
        if let Some(repeats) = self.repeats {
            effort.repeats = repeats;
            effort.stage_repeats = vec![repeats];
        }
        if let Some(stages) = &self.stage_repeats {
            effort.repeats = stages.iter().fold(0, |sum, stage| sum.saturating_add(*stage));
            effort.stage_repeats.clone_from(stages);
        }
        if let Some(us) = self.early_stop_us {
            effort.early_stop_us = (us > 0.0).then_some(us);
        }
        if let Some(seconds) = self.timeout_seconds {
            effort.timeout_seconds = seconds;
        }
        effort
    }
}

/// Everything the protocol needs to know of a mission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The figure that is optimised.
    pub metric: MetricName,
    /// What ends the run as a success.
    pub target: Target,
    /// The device that measurements must come from.
    pub gpu: Gpu,
    /// What may be spent.
    pub budget: Budget,
    /// The smallest gain that counts as material, as a fraction: 0.01 is 1%. Where the noise is larger, that counts.
    pub min_improvement: f64,
    /// The least time that the work can take on the device, in microseconds of the metric: a result below it is an alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roofline_us: Option<Micros>,
    /// Forbidden names beside the built-in ones.
    pub forbidden: Vec<String>,
    /// The effort of each profile.
    pub profiles: Profiles,
    /// The deploy step, where the mission has one.
    pub deploy: Option<Deploy>,
}

/// A command that is due when what it deploys has changed since it last succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The command line, run by `sh -c` in the repository's root.
    pub command: String,
    /// Files and folders, relative to the repository's root, whose change makes it due; none where it deploys what the runner
    /// itself brings along.
    pub files: Vec<String>,
}
