//! `measurements.jsonl`: what each measurement of a scenario comes to, in the order in which they are made.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::condensed::Condensed;
use super::error::EvalError;
use super::text;
use crate::protocol::{BadMicros, InfraFailure, KernelFailure, MetricName, Micros, Outcome};
use crate::tools::Readings;

/// What one measurement comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Measurement {
    /// Of one side: microseconds, and by which fraction its blocks stray.
    Alone { us: f64, spread: f64 },
    /// Of both sides.
    Duel { us: f64, incumbent_us: f64, spread: f64 },
    /// Each pair of blocks of a duel, the incumbent's first, in microseconds.
    Blocks(Vec<[f64; 2]>),
    /// Each block of one side, in microseconds.
    Series(Vec<f64>),
    /// As a run had it.
    Recorded(Condensed),
    /// The kernel's fault.
    Fail(KernelFailure, String),
    /// Nobody's, or the infrastructure's.
    Infra(Infra, String),
}

/// How the infrastructure fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Infra {
    NoResult,
    Runner,
    Timeout,
    WrongDevice,
    Incumbent,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fail {
    Compile,
    Wrong,
    Crash,
    Timeout,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    us: Option<f64>,
    incumbent_us: Option<f64>,
    spread: Option<f64>,
    blocks: Option<Blocks>,
    recorded: Option<Condensed>,
    fail: Option<Fail>,
    infra: Option<Infra>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "blocks are pairs such as [[100, 50]], or those of one side such as [100, 101]")]
enum Blocks {
    Duel(Vec<[f64; 2]>),
    Alone(Vec<f64>),
}

/// By how much blocks stray where the scenario does not say: a thousandth.
const SPREAD: f64 = 0.001;

/// Reads the measurements in the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Measurement>, EvalError> {
    let text = text::read(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let measurement = text::json(line).and_then(Line::measurement);
            measurement.map_err(|message| EvalError::bad(path, format!("line {}: {message}", index + 1)))
        })
        .collect()
}

/// The most characters of a failure's account that are recorded.
const MOST_ACCOUNT: usize = 300;

/// Returns the line by which a measurement that left `readings` comes to `outcome` again.
///
/// # Errors
/// Where a block's times are none.
pub(super) fn line(outcome: &Outcome, metric: MetricName, readings: &Readings) -> Result<Value, BadMicros> {
    let account = |message: &str| message.chars().take(MOST_ACCOUNT).collect::<String>();
    Ok(match outcome {
        Outcome::Measured { .. } => json!({"recorded": Condensed::of(metric, readings)?}),
        Outcome::KernelFailed { failure, message } => {
            let failure = match failure {
                KernelFailure::Compile => "compile",
                KernelFailure::WrongAnswer => "wrong",
                KernelFailure::Crash => "crash",
                KernelFailure::Timeout => "timeout",
            };
            json!({"fail": failure, "message": account(message)})
        }
        Outcome::InfraFailed { failure, message } => {
            let failure = match failure {
                InfraFailure::Runner => "runner",
                InfraFailure::RunnerTimeout => "timeout",
                InfraFailure::NoResult => "no_result",
                InfraFailure::WrongDevice => "wrong_device",
                InfraFailure::Incumbent => "incumbent",
            };
            json!({"infra": failure, "message": account(message)})
        }
    })
}

impl Line {
    fn measurement(self) -> Result<Measurement, String> {
        let Self { us, incumbent_us, spread, blocks, recorded, fail, infra, message } = self;
        let has_message = message.is_some();
        let message = message.unwrap_or_else(|| "as the scenario says".to_owned());
        let measurement = match (us, incumbent_us, blocks, recorded, fail, infra) {
            (Some(us), None, None, None, None, None) => Measurement::Alone { us, spread: spread.unwrap_or(SPREAD) },
            (Some(us), Some(incumbent_us), None, None, None, None) => {
                Measurement::Duel { us, incumbent_us, spread: spread.unwrap_or(SPREAD) }
            }
            (None, None, Some(Blocks::Duel(blocks)), None, None, None) => Measurement::Blocks(blocks),
            (None, None, Some(Blocks::Alone(blocks)), None, None, None) => Measurement::Series(blocks),
            (None, None, None, Some(recorded), None, None) => Measurement::Recorded(recorded),
            (None, None, None, None, Some(fail), None) => Measurement::Fail(fail.into(), message),
            (None, None, None, None, None, Some(infra)) => Measurement::Infra(infra, message),
            _ => {
                return Err(
                    "a measurement has `us`, or `us` and `incumbent_us`, or `blocks`, or `recorded`, or `fail`, \
                            or `infra`, and nothing of the others"
                        .to_owned(),
                );
            }
        };
        measurement.check()?;
        let (is_failure, has_spread) =
            (matches!(measurement, Measurement::Fail(..) | Measurement::Infra(..)), spread.is_some());
        if has_message && !is_failure {
            return Err("`message` belongs to `fail` or `infra`".to_owned());
        }
        if has_spread && !matches!(measurement, Measurement::Alone { .. } | Measurement::Duel { .. }) {
            return Err("`spread` belongs to `us`".to_owned());
        }
        Ok(measurement)
    }
}

impl Measurement {
    /// Tells whether it is of both sides; `None` where it may be either.
    pub(super) fn is_duel(&self) -> Option<bool> {
        match self {
            Self::Alone { .. } | Self::Series(_) => Some(false),
            Self::Duel { .. } | Self::Blocks(_) => Some(true),
            Self::Recorded(condensed) => Some(condensed.is_duel()),
            Self::Fail(..) | Self::Infra(..) => None,
        }
    }

    /// Returns the figures as they stand in the scenario.
    fn times(&self) -> Vec<f64> {
        match self {
            Self::Alone { us, .. } => vec![*us],
            Self::Duel { us, incumbent_us, .. } => vec![*us, *incumbent_us],
            Self::Blocks(blocks) => blocks.iter().flatten().copied().collect(),
            Self::Series(blocks) => blocks.clone(),
            Self::Recorded(_) | Self::Fail(..) | Self::Infra(..) => Vec::new(),
        }
    }

    fn check(&self) -> Result<(), String> {
        for time in self.times() {
            Micros::new(time).map_err(|error| error.to_string())?;
        }
        match self {
            Self::Alone { spread, .. } | Self::Duel { spread, .. } if !(0.0..0.5).contains(spread) => {
                Err(format!("spread: {spread} is not from 0 to below 0.5"))
            }
            Self::Blocks(blocks) if blocks.is_empty() => Err("blocks: there is no pair".to_owned()),
            Self::Recorded(condensed) => condensed.check(),
            _ => Ok(()),
        }
    }
}

impl From<Fail> for KernelFailure {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Compile => Self::Compile,
            Fail::Wrong => Self::WrongAnswer,
            Fail::Crash => Self::Crash,
            Fail::Timeout => Self::Timeout,
        }
    }
}

impl Infra {
    /// Returns the failure as the journal has it.
    pub(super) fn failure(self) -> InfraFailure {
        match self {
            Self::NoResult => InfraFailure::NoResult,
            Self::Runner => InfraFailure::Runner,
            Self::Timeout => InfraFailure::RunnerTimeout,
            Self::WrongDevice => InfraFailure::WrongDevice,
            Self::Incumbent => InfraFailure::Incumbent,
        }
    }
}
