//! From what a measurement's processes left to its outcome: pure, so that a record can be judged again.

use serde::{Deserialize, Serialize};

use crate::harness::{CaseResult, Failure, Role};
use crate::protocol::{
    BadMicros, CaseFigure, ContentHash, Device, Gpu, InfraFailure, MetricName, Micros, Outcome, Side, Terms,
};
use crate::stats::{self, Ranking};

/// By what results are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Yardstick {
    /// The device that results must come from.
    pub gpu: Gpu,
    /// The figure.
    pub metric: MetricName,
    /// What counts as material, as a fraction.
    pub min_improvement: f64,
}

impl Yardstick {
    /// Returns the yardstick of a mission.
    pub fn of(terms: &Terms) -> Self {
        Self { gpu: terms.gpu.clone(), metric: terms.metric, min_improvement: terms.min_improvement }
    }
}

/// The texts that were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Texts {
    /// Under test.
    pub candidate: ContentHash,
    /// What it is compared with.
    pub incumbent: Option<ContentHash>,
}

/// One block's result, and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Whose.
    pub role: Role,
    /// The device, as the result names it.
    pub device: Device,
    /// In the harness's order.
    pub cases: Vec<CaseResult>,
}

/// What the processes of a measurement left, as its harness read it. The outcome follows from this and the mission alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// The blocks that the job had.
    #[serde(rename = "expected_blocks")]
    pub expected: usize,
    /// How the figures of the cases become one.
    #[serde(default)]
    pub ranking: Ranking,
    /// Each block's result, in order, up to the first failure.
    pub blocks: Vec<Reading>,
    /// The first failure.
    pub failure: Option<Failure>,
}

/// Turns the blocks of both sides into figures, and compares them.
pub fn judge(yardstick: &Yardstick, texts: Texts, readings: &Readings) -> Outcome {
    let Readings { expected, ranking, blocks, failure } = readings;
    match failure.clone() {
        Some(Failure::Kernel(failure, message)) => Outcome::KernelFailed { failure, message },
        Some(Failure::Infra(failure, message)) => Outcome::InfraFailed { failure, message },
        None if blocks.len() < *expected => {
            no_result(format!("{} of {expected} blocks left a result", blocks.len())).into()
        }
        None => judge_blocks(yardstick, *ranking, texts, blocks).unwrap_or_else(Outcome::from),
    }
}

/// What the blocks of a measurement lack to be one.
struct Lack(InfraFailure, String);

impl From<Lack> for Outcome {
    fn from(Lack(failure, message): Lack) -> Self {
        Self::InfraFailed { failure, message }
    }
}

fn no_result(message: impl Into<String>) -> Lack {
    Lack(InfraFailure::NoResult, message.into())
}

fn judge_blocks(yardstick: &Yardstick, ranking: Ranking, texts: Texts, blocks: &[Reading]) -> Result<Outcome, Lack> {
    let first = blocks.first().ok_or_else(|| no_result("no block left a result"))?;
    let gpu = &yardstick.gpu;
    let is_other = |block: &&Reading| !is_on(gpu, &block.device) || block.device != first.device;
    if let Some(block) = blocks.iter().find(is_other) {
        let message = format!("the mission's device is {gpu}, and a result came from {}", block.device.name);
        return Err(Lack(InfraFailure::WrongDevice, message));
    }
    let side = |role, kernel| {
        let of: Vec<_> = blocks.iter().filter(|block| block.role == role).collect();
        side((yardstick.metric, ranking), kernel, &of).map_err(|error| no_result(error.to_string()))
    };
    let candidate = side(Role::Candidate, texts.candidate)?;
    let incumbent = texts.incumbent.map(|text| side(Role::Incumbent, text)).transpose()?;
    let compare = |incumbent: &Side| {
        stats::compare(&incumbent.blocks, &candidate.blocks, yardstick.min_improvement)
            .ok_or_else(|| no_result("the duel has no pair of blocks"))
    };
    let comparison = incumbent.as_ref().map(compare).transpose()?;
    Ok(Outcome::Measured { device: first.device.clone(), candidate, incumbent, comparison })
}

/// Tells whether a result's device is the mission's. A processor has no compute capability, and names itself `cpu`.
pub fn is_on(gpu: &Gpu, device: &Device) -> bool {
    let name = device.name.to_lowercase();
    if gpu.is_cpu() {
        return device.compute_capability.is_none() && name.starts_with("cpu");
    }
    let wanted = gpu.0.to_lowercase();
    // `B200` must not pass for `GB200`, nor `H100` for `H1000`: whole words count.
    name.split(|c: char| !c.is_alphanumeric()).any(|word| word == wanted) || name == wanted
}

/// Returns a case's figure in a block.
fn figure(metric: MetricName, case: &CaseResult) -> Result<Micros, BadMicros> {
    match (metric, case.mean_us) {
        (MetricName::MeanUs, Some(mean)) => Ok(mean),
        (metric, _) => stats::case_metric(metric, &case.time_us),
    }
}

fn side((metric, ranking): (MetricName, Ranking), kernel: ContentHash, blocks: &[&Reading]) -> Result<Side, BadMicros> {
    let mut figures: Vec<Vec<Micros>> = Vec::new();
    let mut totals = Vec::new();
    for block in blocks {
        let cases: Vec<Micros> = block.cases.iter().map(|case| figure(metric, case)).collect::<Result<_, _>>()?;
        totals.push(stats::over_cases(ranking, &cases)?);
        figures.push(cases);
    }
    let ids = blocks.first().map(|block| block.cases.as_slice()).unwrap_or_default();
    let cases = ids
        .iter()
        .enumerate()
        .map(|(place, case)| {
            let over: Vec<Micros> = figures.iter().filter_map(|cases| cases.get(place).copied()).collect();
            Ok(CaseFigure { id: case.id.clone(), us: stats::over_blocks(&over)? })
        })
        .collect::<Result<_, _>>()?;
    Ok(Side { kernel, us: stats::over_blocks(&totals)?, blocks: totals, cases })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, capability: Option<&str>) -> Device {
        Device { name: name.to_owned(), compute_capability: capability.map(str::to_owned) }
    }

    #[test]
    fn a_device_is_known_by_its_whole_name() {
        let b200 = Gpu::default();
        assert!(is_on(&b200, &device("NVIDIA B200", Some("10.0"))));
        for other in ["NVIDIA GB200", "NVIDIA B2000", "NVIDIA H100 80GB HBM3", "cpu (B 200)", ""] {
            assert!(!is_on(&b200, &device(other, Some("10.0"))), "{other}");
        }
        let cpu = Gpu("cpu".to_owned());
        assert!(is_on(&cpu, &device("cpu (AMD EPYC)", None)));
        assert!(!is_on(&cpu, &device("cpu (AMD EPYC)", Some("9.0"))));
        assert!(!is_on(&cpu, &device("NVIDIA B200", None)));
    }
}
