//! From what a measurement's processes left to its outcome: pure, so that a record can be judged again.

use serde::{Deserialize, Serialize};

use super::pairs::{Figure, Pairs};
use crate::harness::{CaseResult, Conditions, Failure, Role};
use crate::protocol::{
    BadMicros, CaseFigure, Comparison, ContentHash, Device, Gpu, InfraFailure, KernelFailure, MetricName, Micros,
    Outcome, Setback, Side, Terms, Verdict,
};
use crate::stats::{self, Aim, Ranking, Rule};

/// The shortest time that the processor's clock tells from nothing, in microseconds.
const CPU_RESOLUTION_US: f64 = 0.01;

/// The same of a GPU's events: their step is half a microsecond.
const GPU_RESOLUTION_US: f64 = 0.5;

/// By what results are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Yardstick {
    /// The device that results must come from.
    pub gpu: Gpu,
    /// The figure.
    pub metric: MetricName,
    /// The least time that the work can take.
    pub roofline_us: Option<Micros>,
}

impl Yardstick {
    /// Returns the yardstick of a mission.
    pub fn of(terms: &Terms) -> Self {
        Self { gpu: terms.gpu.clone(), metric: terms.metric, roofline_us: terms.roofline_us }
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
    /// What the device was like meanwhile, where the harness knows: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
}

/// What the processes of a measurement left, as its harness read it. The outcome follows from this and the mission alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// The blocks that the jobs had.
    #[serde(rename = "expected_blocks")]
    pub expected: usize,
    /// How the figures of the cases become one.
    #[serde(default)]
    pub ranking: Ranking,
    /// Where each two blocks ran at once and took turns: the calls of a case in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_calls: Option<usize>,
    /// Each block's result, in order, up to the first failure.
    pub blocks: Vec<Reading>,
    /// The first failure.
    pub failure: Option<Failure>,
}

impl Readings {
    /// Returns the blocks of one side, in order.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Reading> {
        self.blocks.iter().filter(move |block| block.role == role)
    }
}

/// Turns the blocks of both sides, in the order in which they ran, into figures, and compares them by the rule.
pub fn judge(yardstick: &Yardstick, texts: Texts, rule: &Rule, readings: &Readings) -> Outcome {
    judge_pairs(yardstick, texts, rule, readings).0
}

/// Returns the outcome as [`judge`] does, and of a duel the log ratios from which it follows, as
/// [`log_ratios`](super::log_ratios) gives them.
pub fn judge_pairs(yardstick: &Yardstick, texts: Texts, rule: &Rule, readings: &Readings) -> (Outcome, Vec<f64>) {
    let Readings { expected, blocks, failure, .. } = readings;
    let outcome = match failure.clone() {
        Some(Failure::Kernel(failure, message)) => Outcome::KernelFailed { failure, message },
        Some(Failure::Infra(failure, message)) => Outcome::InfraFailed { failure, message },
        None if blocks.len() < *expected => {
            no_result(format!("{} of {expected} blocks left a result", blocks.len())).into()
        }
        None => match judge_blocks(yardstick, texts, rule, readings) {
            Ok(judged) => return judged,
            Err(lack) => lack.into(),
        },
    };
    (outcome, Vec::new())
}

/// What the blocks of a measurement lack to be one.
struct Lack(InfraFailure, String);

impl From<Lack> for Outcome {
    fn from(Lack(failure, message): Lack) -> Self {
        Self::InfraFailed { failure, message }
    }
}

impl From<BadMicros> for Lack {
    fn from(error: BadMicros) -> Self {
        no_result(error.to_string())
    }
}

fn no_result(message: impl Into<String>) -> Lack {
    Lack(InfraFailure::NoResult, message.into())
}

fn judge_blocks(
    yardstick: &Yardstick,
    texts: Texts,
    rule: &Rule,
    readings: &Readings,
) -> Result<(Outcome, Vec<f64>), Lack> {
    let blocks = &readings.blocks;
    let first = blocks.first().ok_or_else(|| no_result("no block left a result"))?;
    let gpu = &yardstick.gpu;
    let is_other = |block: &&Reading| !is_on(gpu, &block.device) || block.device != first.device;
    if let Some(block) = blocks.iter().find(is_other) {
        let message = format!("the mission's device is {gpu}, and a result came from {}", block.device.name);
        return Err(Lack(InfraFailure::WrongDevice, message));
    }
    let candidate = Figures::of(yardstick.metric, readings, Role::Candidate)?;
    let device = first.device.clone();
    let Some(text) = texts.incumbent else {
        let steady = Figure::of(readings.ranking, &blocks.iter().collect::<Vec<_>>(), CaseResult::steady)?;
        if let Some(alarm) = candidate.implausible(&steady, yardstick) {
            return Ok((alarm, Vec::new()));
        }
        let noise = if readings.turn_calls.is_some() {
            Pairs::of(readings)?.noise()
        } else {
            stats::noise_of_blocks(&steady.whole)
        };
        let candidate = candidate.side(texts.candidate)?;
        return Ok((Outcome::Measured { device, candidate, incumbent: None, comparison: None, noise }, Vec::new()));
    };
    let pairs = Pairs::of(readings)?;
    if let Some(alarm) = candidate.implausible(&pairs.after, yardstick) {
        return Ok((alarm, Vec::new()));
    }
    let incumbent = Figures::of(yardstick.metric, readings, Role::Incumbent)?;
    let comparison =
        compare(&pairs, &incumbent, &candidate, rule).ok_or_else(|| no_result("the duel has no pair of blocks"))?;
    let outcome = Outcome::Measured {
        device,
        noise: pairs.noise(),
        candidate: candidate.side(texts.candidate)?,
        incumbent: Some(incumbent.side(text)?),
        comparison: Some(comparison),
    };
    Ok((outcome, pairs.log_ratios()))
}

/// One side of a measurement: the metric that is shown.
struct Figures {
    metric: MetricName,
    cases: Vec<String>,
    shown: Figure,
}

impl Figures {
    fn of(metric: MetricName, readings: &Readings, role: Role) -> Result<Self, BadMicros> {
        let blocks: Vec<&Reading> = readings.of(role).collect();
        let first = blocks.first().into_iter().flat_map(|block| &block.cases);
        Ok(Self {
            metric,
            cases: first.map(|case| case.id.clone()).collect(),
            shown: Figure::of(readings.ranking, &blocks, |case| case.shown(metric))?,
        })
    }

    fn side(&self, kernel: ContentHash) -> Result<Side, BadMicros> {
        let cases = self.cases.iter().zip(&self.shown.cases);
        let cases = cases.map(|(id, us)| Ok(CaseFigure { id: id.clone(), us: stats::over_blocks(us)? }));
        Ok(Side {
            kernel,
            us: stats::over_blocks(&self.shown.whole)?,
            blocks: self.shown.whole.clone(),
            cases: cases.collect::<Result<_, _>>()?,
        })
    }

    /// Says which of its steady times is below what the clock can tell from nothing, or below the roofline, where one is: an
    /// alarm, not a result.
    fn implausible(&self, steady: &Figure, yardstick: &Yardstick) -> Option<Outcome> {
        let alarm = |message| Some(Outcome::KernelFailed { failure: KernelFailure::WrongAnswer, message });
        let resolution = if yardstick.gpu.is_cpu() { CPU_RESOLUTION_US } else { GPU_RESOLUTION_US };
        let mut cases = self.cases.iter().zip(&steady.cases);
        if let Some((id, us)) =
            cases.find_map(|(id, blocks)| Some((id, blocks.iter().find(|us| us.get() < resolution)?)))
        {
            return alarm(format!(
                "case {id}: {us} is less than the clock can tell from nothing ({resolution} µs): either the work was not \
                 done within the call, or the case is too small to be timed"
            ));
        }
        let roofline = yardstick.roofline_us?;
        let us = steady.whole.iter().find(|us| **us < roofline)?;
        alarm(format!(
            "{us} is less than the mission's roofline_us ({roofline}): either the work was not done within the call, or the \
             roofline is not one"
        ))
    }
}

/// Compares pair by pair, and lets no case, nor the metric over all calls, get slower behind a better whole.
fn compare(pairs: &Pairs, incumbent: &Figures, candidate: &Figures, rule: &Rule) -> Option<Comparison> {
    let mut found = stats::compare(&pairs.before.whole, &pairs.after.whole, rule)?;
    if found.verdict == Verdict::NotImproved {
        return Some(found);
    }
    // The few pairs of a screening are a setback only where all of them are; the metric over all calls, which bursts move,
    // is not looked at there at all, and needs more than half of the pairs later.
    let (of_cases, of_metric) = match rule.aim {
        Aim::Screen => (1.0, None),
        Aim::Confirm { .. } | Aim::Estimate { .. } => (0.5, Some(0.75)),
    };
    let sides = pairs.before.cases.iter().zip(&pairs.after.cases);
    let cases = candidate.cases.iter().zip(sides).filter_map(|(id, (before, after))| {
        let ratio = stats::setback(before, after, of_cases)?;
        Some(Setback { of: format!("case {id}"), ratio })
    });
    let metric = of_metric
        .and_then(|fraction| stats::setback(&incumbent.shown.whole, &candidate.shown.whole, fraction))
        .map(|ratio| Setback { of: candidate.metric.to_string(), ratio });
    found.setback = cases.chain(metric).min_by(|a, b| a.ratio.total_cmp(&b.ratio));
    if found.setback.is_some() {
        found.verdict = Verdict::NotImproved;
    }
    Some(found)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::log_ratios;

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

    fn block(role: Role, cases: &[(&str, f64)]) -> Reading {
        let cases = cases.iter().map(|(id, us)| CaseResult {
            id: (*id).to_owned(),
            time_us: vec![Micros::new(*us).unwrap(); 5],
            mean_us: None,
        });
        Reading { role, device: device("cpu (test)", None), cases: cases.collect(), conditions: None }
    }

    fn judged(incumbent: Option<ContentHash>, aim: Aim, blocks: Vec<Reading>) -> Outcome {
        read(incumbent, aim, &Readings { expected: blocks.len(), blocks, ..Readings::default() })
    }

    fn read(incumbent: Option<ContentHash>, aim: Aim, readings: &Readings) -> Outcome {
        let roofline_us = Some(Micros::new(20.0).unwrap());
        let yardstick = Yardstick { gpu: Gpu("cpu".to_owned()), metric: MetricName::MedianUs, roofline_us };
        let texts = Texts { candidate: ContentHash::of(b"new"), incumbent };
        judge(&yardstick, texts, &Rule { margin: 0.01, aim, most: 30 }, readings)
    }

    /// Judges a final duel of twenty equal pairs.
    fn twenty(pair: &[Reading; 2]) -> Outcome {
        let blocks = pair.iter().cloned().cycle().take(40).collect();
        judged(Some(ContentHash::of(b"old")), Aim::Confirm { level: stats::level(&[]) }, blocks)
    }

    fn duel(incumbent: &[(&str, f64)], candidate: &[(&str, f64)]) -> Outcome {
        twenty(&[block(Role::Incumbent, incumbent), block(Role::Candidate, candidate)])
    }

    #[test]
    fn a_case_that_got_slower_holds_a_better_whole_back() {
        let before = [("small", 10.0), ("large", 100.0)];
        let better = duel(&before, &[("small", 10.1), ("large", 80.0)]);
        assert_eq!(better.comparison().unwrap().verdict, Verdict::Improved);
        let found = duel(&before, &[("small", 10.5), ("large", 50.0)]).comparison().unwrap().clone();
        assert_eq!(found.verdict, Verdict::NotImproved);
        assert_eq!(found.setback.unwrap().of, "case small");
    }

    #[test]
    fn a_kernel_that_is_faster_in_few_calls_and_slower_in_most_is_no_improvement() {
        let mut pair = [block(Role::Incumbent, &[("c", 100.0)]), block(Role::Candidate, &[("c", 120.0)])];
        pair[1].cases[0].time_us[..2].fill(Micros::new(50.0).unwrap());
        let found = twenty(&pair).comparison().unwrap().clone();
        assert!(found.ratio > 1.5, "{found:?}");
        assert_eq!((found.verdict, found.setback.unwrap().of.as_str()), (Verdict::NotImproved, "median_us"));
    }

    #[test]
    fn a_time_below_the_roofline_or_what_the_clock_can_tell_is_an_alarm() {
        for (us, says) in
            [(0.004, "less than the clock can tell"), (19.0, "less than the mission's roofline_us (20.00 µs)")]
        {
            match duel(&[("c", 100.0)], &[("c", us)]) {
                Outcome::KernelFailed { failure: KernelFailure::WrongAnswer, message } => {
                    assert!(message.contains(says), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Blocks of 15 calls, three turns, with the machine half as fast from the `slow`-th turn on.
    fn in_turns(role: Role, us: f64, slow: usize) -> Reading {
        let time = |call: usize| Micros::new(if call / 5 >= slow { 2.0 * us } else { us }).unwrap();
        let case = CaseResult { id: "c".to_owned(), time_us: (0..15).map(time).collect(), mean_us: None };
        Reading { role, device: device("cpu (test)", None), cases: vec![case], conditions: None }
    }

    #[test]
    fn blocks_that_took_turns_are_compared_turn_by_turn_whoever_began() {
        // Each pair meets the change of pace in another turn, two of them between their blocks.
        let pairs = [(0, 0), (0, 1), (1, 1), (2, 2), (3, 3), (1, 2)];
        let blocks = pairs.iter().enumerate().flat_map(|(number, (one, other))| {
            let pair = [in_turns(Role::Incumbent, 110.0, *one), in_turns(Role::Candidate, 100.0, *other)];
            if number % 2 == 0 {
                pair
            } else {
                let [one, other] = pair;
                [other, one]
            }
        });
        let blocks: Vec<Reading> = blocks.collect();
        let readings = Readings { expected: blocks.len(), blocks, turn_calls: Some(5), ..Readings::default() };
        let ratios = log_ratios(&readings);
        assert_eq!(ratios.len(), 6);
        assert!(ratios.iter().all(|ratio| (ratio - 1.1_f64.ln()).abs() < 1e-12), "{ratios:?}");
        let apart = log_ratios(&Readings { turn_calls: None, ..readings });
        assert!(apart.iter().any(|ratio| *ratio > 0.5), "{apart:?}");
    }

    #[test]
    fn the_noise_of_a_baseline_in_turns_is_that_within_its_pairs() {
        // Every other pair meets a slower machine, and in each the second block is slower by a tenth of a percent.
        let blocks: Vec<Reading> = (0..12)
            .map(|block| {
                in_turns(Role::Candidate, 100.0 + f64::from(block % 2) * 0.1, if block / 2 % 2 == 0 { 3 } else { 0 })
            })
            .collect();
        let readings = Readings { expected: 12, blocks, turn_calls: Some(5), ..Readings::default() };
        let noise = |readings: &Readings| match read(None, Aim::Screen, readings) {
            Outcome::Measured { noise: Some(noise), .. } => noise,
            other => panic!("{other:?}"),
        };
        assert!(noise(&readings) < 1e-9, "all pairs are alike: {}", noise(&readings));
        assert!(noise(&Readings { turn_calls: None, ..readings }) > 0.001);
    }

    #[test]
    fn the_noise_of_a_baseline_and_of_a_duel_is_part_of_the_outcome() {
        let alone: Vec<_> = (0..12).map(|i| block(Role::Candidate, &[("c", 100.0 + f64::from(i % 2))])).collect();
        let Outcome::Measured { noise: Some(noise), .. } = judged(None, Aim::Screen, alone) else { panic!("no noise") };
        assert!((noise - 1.4826 * 0.01_f64.ln_1p()).abs() < 1e-6, "{noise}");
        let Outcome::Measured { noise, .. } = duel(&[("c", 100.0)], &[("c", 50.0)]) else { panic!("not measured") };
        assert_eq!(noise, Some(0.0));
    }
}
