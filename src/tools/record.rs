//! The record of a measurement: its artifact and the raw result beside it.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{Reading, Readings};
use super::measure::{Measured, Order};
use crate::artifact::{self, Artifact, ArtifactError, Header, Mode, ResultObject, Written};
use crate::harness::{self, Exit, Failure, Language};
use crate::protocol::{ContentHash, Effort, Gpu, Outcome};
use crate::stats::Ranking;
use crate::workspace::{Workspace, WorkspaceError};

/// The most of all processes' standard output, and of their standard error, that an artifact holds, in bytes.
const MOST_OUTPUT: usize = 64 * 1024;

/// What an artifact says beside the measurement itself.
pub struct Context<'a> {
    /// The kernel's repository.
    pub workspace: &'a Workspace,
    /// The commit that the diff is against.
    pub git_hash: Option<&'a str>,
    /// The harness's file.
    pub harness_file: &'a Path,
    /// The harness's name.
    pub harness_name: &'a str,
    /// The device asked for.
    pub gpu: &'a Gpu,
    /// Test or benchmark.
    pub mode: Mode,
    /// When the measurement began.
    pub started: Timestamp,
    /// More keys for the header.
    pub extra: Vec<(String, String)>,
}

/// Why an artifact could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The artifact itself.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The diff in it.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

/// Writes the artifact to `path`, and the raw result beside it under the same name with `.json`.
///
/// # Errors
/// Where the disk refuses it, or the diff cannot be made.
pub fn write(
    path: &Path,
    context: &Context<'_>,
    order: Order<'_>,
    measured: &Measured,
) -> Result<Written, RecordError> {
    let result = result_object(context, order, measured).to_value()?;
    let text = String::from_utf8_lossy(order.candidate);
    let mut extra = context.extra.clone();
    extra.push(("kernel_hash".to_owned(), ContentHash::of(order.candidate).to_string()));
    if let Some(incumbent) = order.incumbent {
        extra.push(("incumbent_hash".to_owned(), ContentHash::of(incumbent).to_string()));
    }
    if let Outcome::Measured { device, .. } = &measured.outcome {
        extra.push(("device".to_owned(), device.name.clone()));
    }
    // A header's value is one line.
    extra.extend(measured.compiled.as_ref().map(|told| ("compiled".to_owned(), told.replace('\n', " · "))));
    if let Some(shown) = tripwires(context, &text) {
        extra.push(("tripwires".to_owned(), shown));
    }
    if !measured.hosts.is_empty() {
        extra.push(("host".to_owned(), measured.hosts.join(", ")));
    }
    if let Some(protections) = &measured.protections {
        extra.push(("sandbox".to_owned(), protections.to_string()));
    }
    let artifact = Artifact {
        header: Header {
            timestamp_utc: context.started,
            mode: context.mode,
            repo_root: context.workspace.repo_root().display().to_string(),
            git_hash: context.git_hash.unwrap_or("none").to_owned(),
            kernel_file: context.workspace.kernel_path().display().to_string(),
            kernel_file_relative: context.workspace.kernel_relative().to_owned(),
            harness_file: context.harness_file.display().to_string(),
            profile: order.profile,
            gpu: context.gpu.clone(),
            json_out: path.with_extension("json").display().to_string(),
            command: command_line(context, order),
            extra,
        },
        diff: context.workspace.diff_against(context.git_hash, &text)?,
        stdout: joined(measured, |ran| &ran.stdout),
        stderr: joined(measured, |ran| &ran.stderr),
        exit_code: exit_code(measured),
        json_result: result.clone(),
        analyses: Vec::new(),
    };
    artifact::write_result(path, &result)?;
    Ok(artifact::write(path, &artifact)?)
}

/// Returns the tripwires that the kernel trips, for whoever reads the artifact; `None` where it trips none.
fn tripwires(context: &Context<'_>, text: &str) -> Option<String> {
    let language = Language::of(context.workspace.kernel_path())?;
    let tripped = harness::tripped(language, "", text);
    let words: Vec<_> = tripped.iter().map(|tripped| format!("{} ({})", tripped.name, tripped.word)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Returns the command line that measures the same text again, by hand. What it is compared with is named by its hash.
fn command_line(context: &Context<'_>, order: Order<'_>) -> String {
    let tool = match context.mode {
        Mode::Test => "test-run",
        Mode::Benchmark => "benchmark-run",
    };
    let quoted = |text: &str| {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:,=".contains(c)) && !text.is_empty();
        if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    let stages: Vec<_> = order.effort.stage_repeats.iter().map(u32::to_string).collect();
    format!(
        "agent tool {tool} --kernel {} --harness {} --repo-root {} --gpu {} --profile {} --stage-repeats {} \
         --early-stop-us {} --timeout-seconds {}",
        quoted(context.workspace.kernel_relative()),
        quoted(&context.harness_file.display().to_string()),
        quoted(&context.workspace.repo_root().display().to_string()),
        quoted(&context.gpu.0),
        order.profile,
        stages.join(","),
        order.effort.early_stop_us.unwrap_or(0.0),
        order.effort.timeout_seconds,
    )
}

fn process(ran: &crate::harness::Ran) -> Value {
    json!({"command": ran.command, "exit_code": ran.exit.code(), "elapsed_seconds": ran.elapsed.as_secs_f64()})
}

/// Returns what the runner's exit code is for a reader of the original's artifacts: 0 only where the measurement stands.
pub fn exit_code(measured: &Measured) -> i32 {
    match (&measured.outcome, measured.output.ran.last()) {
        (Outcome::Measured { .. }, _) => 0,
        (_, Some(ran)) if !ran.exit.is_success() => ran.exit.code(),
        _ => 1,
    }
}

fn result_object(context: &Context<'_>, order: Order<'_>, measured: &Measured) -> ResultObject {
    ResultObject {
        exit_code: exit_code(measured),
        stdout: joined(measured, |ran| &ran.stdout),
        stderr: joined(measured, |ran| &ran.stderr),
        timed_out: measured.output.ran.iter().any(|ran| ran.exit == Exit::TimedOut),
        harness_name: context.harness_name.to_owned(),
        profile: order.profile.as_str().to_owned(),
        timeout_seconds: order.effort.timeout_seconds,
        elapsed_seconds: measured.elapsed.as_secs_f64(),
        stage_dir: String::new(),
        cache_volume: None,
        afterhours: json!(Ours {
            outcome: &measured.outcome,
            effort: order.effort,
            seed: order.seed.to_string(),
            processes: measured.output.ran.iter().map(process).collect(),
            readings: &measured.readings,
        }),
    }
}

/// What the original's result object does not have.
#[derive(Serialize)]
struct Ours<'a> {
    outcome: &'a Outcome,
    effort: &'a Effort,
    seed: String,
    processes: Vec<Value>,
    #[serde(flatten)]
    readings: &'a Readings,
}

/// What a result object says of its measurement: enough to judge it again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Keys")]
pub struct Recorded {
    /// What came of it.
    pub outcome: Outcome,
    /// How thoroughly it was measured.
    pub effort: Effort,
    /// What its processes left.
    pub readings: Readings,
    /// The wall time of each process, in seconds, in the order in which they ran.
    pub seconds: Vec<f64>,
}

/// The keys of a [`Recorded`] as they stand. A flattened struct would be read by way of a copy of every time in it.
#[derive(Deserialize)]
struct Keys {
    outcome: Outcome,
    effort: Effort,
    expected_blocks: usize,
    #[serde(default)]
    ranking: Ranking,
    #[serde(default)]
    turn_calls: Option<usize>,
    blocks: Vec<Reading>,
    failure: Option<Failure>,
    #[serde(default)]
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Process {
    elapsed_seconds: f64,
}

impl From<Keys> for Recorded {
    fn from(keys: Keys) -> Self {
        let Keys { outcome, effort, expected_blocks: expected, ranking, turn_calls, blocks, failure, processes } = keys;
        let seconds = processes.iter().map(|process| process.elapsed_seconds).collect();
        Self { outcome, effort, readings: Readings { expected, ranking, turn_calls, blocks, failure }, seconds }
    }
}

impl Recorded {
    /// Reads the text of a result object.
    ///
    /// # Errors
    /// Where it has no such record: the original's have none, and neither have those of this program's earliest versions.
    pub fn read(result: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Whole {
            afterhours: Option<Recorded>,
        }
        let whole: Whole = serde_json::from_str(result).map_err(|error| format!("the result: {error}"))?;
        whole.afterhours.ok_or_else(|| "the result has no key `afterhours`".to_owned())
    }
}

/// Joins what the processes printed; the middle of too much is cut.
fn joined(measured: &Measured, text: impl Fn(&crate::harness::Ran) -> &String) -> String {
    let mut all = String::new();
    for ran in &measured.output.ran {
        let printed = text(ran);
        if !printed.is_empty() {
            all.push_str(printed);
            if !printed.ends_with('\n') {
                all.push('\n');
            }
        }
    }
    if all.len() <= MOST_OUTPUT {
        return all;
    }
    let head = all.get(..all.floor_char_boundary(MOST_OUTPUT / 2)).unwrap_or_default();
    let tail = all.get(all.ceil_char_boundary(all.len() - MOST_OUTPUT / 2)..).unwrap_or_default();
    format!("{head}\n[{} bytes left out]\n{tail}", all.len() - head.len() - tail.len())
}
