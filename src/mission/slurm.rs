//! What a mission says of a Slurm cluster.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::units::{Text, Wall};

/// What to ask a Slurm cluster for. What is absent is left to Slurm: to its own variables, such as `SALLOC_PARTITION`, and
/// then to the cluster's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, from = "SlurmMap")]
pub struct SlurmSettings {
    /// The partition.
    pub partition: Option<String>,
    /// The account that is charged.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// The features that the node must have.
    pub constraint: Option<String>,
    /// Generic resources, such as `gpu:b200:1`.
    pub gres: Option<String>,
    /// Processors of the node.
    pub cpus: Option<NonZeroU32>,
    /// Memory of the node, with the unit that Slurm takes.
    pub mem: Option<String>,
    /// The longest time of one measurement's allocation.
    pub time: Option<Duration>,
    /// The `agent` binary on the node, where it does not lie where this program does.
    pub agent: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SlurmMap {
    partition: Option<Text>,
    account: Option<Text>,
    qos: Option<Text>,
    constraint: Option<Text>,
    gres: Option<Text>,
    cpus: Option<NonZeroU32>,
    mem: Option<Text>,
    time: Option<Wall>,
    agent: Option<Text>,
}

impl From<SlurmMap> for SlurmSettings {
    fn from(map: SlurmMap) -> Self {
        let text = |text: Option<Text>| text.map(|text| text.0);
        Self {
            partition: text(map.partition),
            account: text(map.account),
            qos: text(map.qos),
            constraint: text(map.constraint),
            gres: text(map.gres),
            cpus: map.cpus,
            mem: text(map.mem),
            time: map.time.map(|wall| Duration::from_millis(wall.0)),
            agent: text(map.agent).map(PathBuf::from),
        }
    }
}
