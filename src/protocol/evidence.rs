//! What a measurement says: figures with their device, or a failure and whose it was.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::{ContentHash, Iteration, Micros};
use super::terms::{Profile, UnknownName};

/// The device a result came from, as the result itself names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device's own name, such as `NVIDIA B200`; `cpu (…)` for the host's processor.
    pub name: String,
    /// The compute capability of a CUDA device, such as `10.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
}

/// One case's figure on one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseFigure {
    /// The case's name in its harness.
    pub id: String,
    /// The metric over the side's blocks.
    pub us: Micros,
}

/// One kernel's part in a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The text that was measured.
    pub kernel: ContentHash,
    /// The mission's metric: the median over the blocks.
    pub us: Micros,
    /// The metric of each block, in the order in which they ran.
    pub blocks: Vec<Micros>,
    /// The metric of each case.
    pub cases: Vec<CaseFigure>,
}

/// What a paired comparison of candidate and incumbent concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Faster by more than the margin, and not by luck.
    Improved,
    /// Not faster by more than the margin.
    NotImproved,
    /// The blocks do not tell.
    Ambiguous,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Improved => "improved",
            Self::NotImproved => "not improved",
            Self::Ambiguous => "ambiguous",
        })
    }
}

/// A paired comparison: how many times faster the candidate is than the incumbent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What follows.
    pub verdict: Verdict,
    /// Incumbent's time over candidate's: above 1 is faster.
    pub ratio: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// Bounds the chance of such blocks if the candidate were not better by more than the margin, wherever the duel stopped.
    pub p_value: f64,
    /// Pairs of blocks.
    pub pairs: u32,
    /// The gain that counted, as a fraction above 0: the mission's, or the noise where that was larger.
    #[serde(default)]
    pub margin: f64,
    /// What got slower than is allowed, whatever the whole gained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setback: Option<Setback>,
}

impl Comparison {
    /// Returns ` beyond 4.10%`, the margin that a gain had to beat and did not surely beat; nothing where that is not why the
    /// verdict is what it is.
    pub fn beyond(&self) -> String {
        if self.ratio > 1.0 && self.verdict != Verdict::Improved && self.setback.is_none() {
            format!(" beyond {:.2}%", self.margin * 100.0)
        } else {
            String::new()
        }
    }
}

/// A part of a measurement in which the candidate is slower than is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setback {
    /// The case, or the metric over all calls.
    pub of: String,
    /// Incumbent's time over candidate's there: below 1 is slower.
    pub ratio: f64,
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is slower: {:.3}x", self.of, self.ratio)
    }
}

/// How a kernel failed. The change is at fault; the iteration ends in REVERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelFailure {
    /// It does not compile or load.
    Compile,
    /// Its output differs from the reference.
    WrongAnswer,
    /// Its process ended by a signal or an unexpected exit.
    Crash,
    /// It ran past the measurement's time.
    Timeout,
}

impl fmt::Display for KernelFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compile => "compile error",
            Self::WrongAnswer => "wrong answer",
            Self::Crash => "crash",
            Self::Timeout => "time-out",
        })
    }
}

/// How a measurement failed through no fault of the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InfraFailure {
    /// The runner could not be reached or could not start the job.
    Runner,
    /// The runner's own time-out.
    RunnerTimeout,
    /// The harness ended without a result, or with one that cannot be read.
    NoResult,
    /// The result came from another device than the mission's.
    WrongDevice,
    /// The incumbent, measured beside the candidate, failed.
    Incumbent,
}

impl fmt::Display for InfraFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runner => "runner failed",
            Self::RunnerTimeout => "runner timed out",
            Self::NoResult => "no result",
            Self::WrongDevice => "wrong device",
            Self::Incumbent => "incumbent failed",
        })
    }
}

/// What came of one measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result", try_from = "Keys")]
#[expect(clippy::large_enum_variant, reason = "a measurement is the common case")]
pub enum Outcome {
    /// Every case of every block passed.
    Measured {
        /// Where.
        device: Device,
        /// The change, or at the baseline the kernel as it was found.
        candidate: Side,
        /// The kernel it is compared with; absent in a smoke test and at the baseline.
        #[serde(skip_serializing_if = "Option::is_none")]
        incumbent: Option<Side>,
        /// The comparison; present exactly where the incumbent is.
        #[serde(skip_serializing_if = "Option::is_none")]
        comparison: Option<Comparison>,
        /// How far one pair's ratio strayed, as a fraction; absent with too few blocks.
        #[serde(skip_serializing_if = "Option::is_none")]
        noise: Option<f64>,
    },
    /// The kernel is at fault.
    KernelFailed {
        /// How.
        failure: KernelFailure,
        /// A short account, with lines where the compiler gave them.
        message: String,
    },
    /// The kernel is not at fault.
    InfraFailed {
        /// How.
        failure: InfraFailure,
        /// A short account.
        message: String,
    },
}

impl Outcome {
    /// Returns the candidate's metric, where there is one.
    pub fn candidate_us(&self) -> Option<Micros> {
        match self {
            Self::Measured { candidate, .. } => Some(candidate.us),
            Self::KernelFailed { .. } | Self::InfraFailed { .. } => None,
        }
    }

    /// Returns the comparison with the incumbent, where there is one.
    pub fn comparison(&self) -> Option<&Comparison> {
        match self {
            Self::Measured { comparison, .. } => comparison.as_ref(),
            Self::KernelFailed { .. } | Self::InfraFailed { .. } => None,
        }
    }
}

/// The keys of an [`Outcome`] as they stand. A tag among them would be looked for by way of a copy of every one.
#[derive(Deserialize)]
struct Keys {
    result: Word,
    device: Option<Device>,
    candidate: Option<Side>,
    incumbent: Option<Side>,
    comparison: Option<Comparison>,
    noise: Option<f64>,
    failure: Option<Failure>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Measured,
    KernelFailed,
    InfraFailed,
}

/// Of either kind: they share no word.
#[derive(Deserialize)]
#[serde(untagged)]
enum Failure {
    Kernel(KernelFailure),
    Infra(InfraFailure),
}

impl TryFrom<Keys> for Outcome {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        let Keys { result, device, candidate, incumbent, comparison, noise, failure, message } = keys;
        match (result, failure) {
            (Word::Measured, _) => Ok(Self::Measured {
                device: device.ok_or("a measured outcome has a `device`")?,
                candidate: candidate.ok_or("a measured outcome has a `candidate`")?,
                incumbent,
                comparison,
                noise,
            }),
            (Word::KernelFailed, Some(Failure::Kernel(failure))) => {
                Ok(Self::KernelFailed { failure, message: message.ok_or("a failure has a `message`")? })
            }
            (Word::InfraFailed, Some(Failure::Infra(failure))) => {
                Ok(Self::InfraFailed { failure, message: message.ok_or("a failure has a `message`")? })
            }
            (Word::KernelFailed | Word::InfraFailed, _) => Err("a failed outcome has a `failure` of its kind"),
        }
    }
}

/// What a measurement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// `test-run`.
    Test,
    /// `benchmark-run` with the candidate profile.
    Candidate,
    /// `benchmark-run` with the final profile.
    Final,
    /// Once more before the commit: the text that is about to be committed, in a fresh process with fresh inputs.
    Recheck,
    /// The run's end: the best kernel against the one found at the start.
    Headline,
}

impl Purpose {
    /// Returns the profile whose effort it takes.
    pub fn profile(self) -> Profile {
        match self {
            Self::Test | Self::Recheck => Profile::Smoke,
            Self::Candidate => Profile::Candidate,
            Self::Final | Self::Headline => Profile::Final,
        }
    }

    /// Returns the stem of its artifact's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Candidate => "candidate",
            Self::Final => "final",
            Self::Recheck => "recheck",
            Self::Headline => "headline",
        }
    }
}

/// Where an artifact lies and what it says: its path below the run's folder, such as `iter-0007/test.txt`, and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// Below the run's folder, with `/` between the parts.
    pub path: String,
    /// Of the file's bytes.
    pub hash: ContentHash,
}

/// Returns the path of a measurement's artifact below the run's folder.
///
/// The headline's lie in a folder of their own. `round` counts from 1 the measurements of one purpose in one iteration: a repetition after an infra failure or the larger
/// second duel after an ambiguous one has the number in its name.
pub fn artifact_path(iteration: Iteration, purpose: Purpose, round: u32) -> String {
    let stem = purpose.as_str();
    let folder = if purpose == Purpose::Headline { stem.to_owned() } else { iteration.folder() };
    if round <= 1 { format!("{folder}/{stem}.txt") } else { format!("{folder}/{stem}-{round}.txt") }
}

/// The decision of an analysis, and of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Decision {
    /// Go on with the change; after the confirmation, commit it.
    Keep,
    /// Put the incumbent back.
    Revert,
}

impl FromStr for Decision {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "KEEP" => Ok(Self::Keep),
            "REVERT" => Ok(Self::Revert),
            other => Err(UnknownName::new(other, "KEEP, REVERT")),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "KEEP",
            Self::Revert => "REVERT",
        })
    }
}

/// The words of an analysis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// Keep or revert.
    pub decision: Decision,
    /// The change or the metric in a sentence.
    pub summary: String,
    /// What the signals say.
    pub feedback: String,
    /// The next single change.
    pub next_step: String,
}
