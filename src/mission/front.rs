//! The front matter as it is typed; every bound that one value can break is checked here.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};

use serde::Deserialize;
use serde_json::Value;

use super::choice::{ModelChoice, RunnerChoice, SandboxChoice};
use super::slurm::SlurmSettings;
use super::units::{Dollars, Fraction, Speedup, Text, Wall};
use crate::protocol::{Budget, Deploy, MetricName, Micros};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FrontMatter {
    pub(super) kernel: Option<Text>,
    pub(super) harness: Option<Text>,
    pub(super) metric: MetricName,
    pub(super) target_us: Option<Micros>,
    pub(super) target_speedup: Option<Speedup>,
    pub(super) gpu: Option<Text>,
    pub(super) runner: RunnerChoice,
    pub(super) slurm: SlurmSettings,
    pub(super) model: ModelChoice,
    pub(super) sandbox: SandboxChoice,
    pub(super) budget: BudgetMap,
    pub(super) min_improvement: Option<Fraction>,
    pub(super) roofline_us: Option<Micros>,
    pub(super) forbidden: Vec<Text>,
    pub(super) profiles: ProfilesMap,
    pub(super) deploy: Option<DeployMap>,
    pub(super) read: Vec<Text>,
    pub(super) vars: BTreeMap<String, Value>,
    pub(super) seed: Option<u64>,
    pub(super) tune: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BudgetMap {
    iterations: Option<NonZeroU32>,
    wall: Option<Wall>,
    tokens: Option<NonZeroU64>,
    usd: Option<Dollars>,
    no_progress: Option<NonZeroU32>,
    infra_failures: Option<NonZeroU32>,
    idle_turns: Option<NonZeroU32>,
}

impl From<BudgetMap> for Budget {
    fn from(map: BudgetMap) -> Self {
        Self {
            iterations: map.iterations.map(NonZeroU32::get),
            wall_ms: map.wall.map(|wall| wall.0),
            tokens: map.tokens.map(NonZeroU64::get),
            usd: map.usd.map(|usd| usd.0),
            no_progress: map.no_progress.map(NonZeroU32::get),
            infra_failures: map.infra_failures.map(NonZeroU32::get),
            idle_turns: map.idle_turns.map(NonZeroU32::get),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProfilesMap {
    pub(super) smoke: EffortMap,
    pub(super) candidate: EffortMap,
    #[serde(rename = "final")]
    pub(super) final_: EffortMap,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EffortMap {
    pub(super) repeats: Option<NonZeroU32>,
    pub(super) stage_repeats: Option<Vec<NonZeroU32>>,
    pub(super) early_stop_us: Option<f64>,
    pub(super) timeout_seconds: Option<NonZeroU32>,
    pub(super) pairs: Option<NonZeroU32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeployMap {
    command: Text,
    files: Vec<Text>,
}

impl From<DeployMap> for Deploy {
    fn from(map: DeployMap) -> Self {
        Self { command: map.command.0, files: map.files.into_iter().map(|file| file.0).collect() }
    }
}
