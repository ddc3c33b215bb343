//! The command line of the tools: the flags of the original's scripts.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::mission::RunnerChoice;
use crate::protocol::{Decision, MetricName, Profile};

/// What `tool` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct ToolArgs {
    /// Print every tool's JSON schema, or write each into a file of the folder DIR.
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub schemas: Option<Option<PathBuf>>,
    /// Which tool.
    #[command(subcommand)]
    pub tool: Option<ToolCommand>,
}

/// Which tool.
#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Run the smoke test of a kernel, and write its artifact.
    TestRun(MeasureArgs),
    /// Measure a kernel, alone or against another text, and write the artifact.
    BenchmarkRun(BenchmarkArgs),
    /// Append an analysis to an artifact.
    AppendAnalysis(AnalysisArgs),
    /// Change a kernel; the text before is kept for `revert`.
    EditKernel(EditArgs),
    /// Take the last change by `edit-kernel` back, if the kernel still holds it.
    Revert(KernelArgs),
    /// Print lines of the kernel, its harness, or an artifact.
    ReadFile(ReadArgs),
}

/// A kernel in its repository.
#[derive(Debug, Args)]
pub struct KernelArgs {
    /// The kernel, relative to the repository's root.
    #[arg(long, value_name = "FILE")]
    pub kernel: PathBuf,
    /// A folder of the repository; the current one by default.
    #[arg(long, value_name = "DIR")]
    pub repo_root: Option<PathBuf>,
}

/// What a measurement takes.
#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// Which kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The harness; by default the one that the kernel names in a line `#!AFTERHOURS harness FILE`.
    #[arg(long, value_name = "FILE")]
    pub harness: Option<PathBuf>,
    /// The device that the result must come from.
    #[arg(long, value_name = "NAME", default_value = "B200")]
    pub gpu: String,
    /// Where it runs: `local` or `slurm`, which is told of partition and device by its own variables, such as
    /// SALLOC_PARTITION.
    #[arg(long, value_name = "RUNNER", default_value = "local")]
    pub runner: RunnerChoice,
    /// How thoroughly: smoke for a test, candidate or final for a benchmark.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<Profile>,
    /// Where the artifact goes, instead of `artifacts/` of the repository.
    #[arg(long, value_name = "FILE")]
    pub artifact: Option<PathBuf>,
    /// Where a copy of the raw result goes, beside the one next to the artifact.
    #[arg(long, value_name = "FILE")]
    pub json_out: Option<PathBuf>,
    /// Names the artifact, instead of the time.
    #[arg(long)]
    pub tag: Option<String>,
    /// Seconds before the measurement is ended.
    #[arg(long, value_name = "N")]
    pub timeout_seconds: Option<u32>,
    /// Timed calls of each case in a block.
    #[arg(long, value_name = "N")]
    pub repeats: Option<u32>,
    /// Timed calls of each stage, such as 8,16,32.
    #[arg(long, value_name = "LIST")]
    pub stage_repeats: Option<String>,
    /// Skip the later stages when a stage's median is above this; 0 never does.
    #[arg(long, value_name = "US")]
    pub early_stop_us: Option<f64>,
    /// The figure.
    #[arg(long, value_name = "NAME", default_value = "median_us")]
    pub metric: MetricName,
    /// Print the artifact's path alone.
    #[arg(long)]
    pub artifact_only: bool,
}

/// What a benchmark takes.
#[derive(Debug, Args)]
pub struct BenchmarkArgs {
    /// What to measure.
    #[command(flatten)]
    pub measure: MeasureArgs,
    /// Measure in turn with this other text of the kernel, and compare.
    #[arg(long, value_name = "FILE")]
    pub incumbent: Option<PathBuf>,
}

/// What an analysis takes.
#[derive(Debug, Args)]
pub struct AnalysisArgs {
    /// The artifact.
    #[arg(long, value_name = "FILE")]
    pub artifact: PathBuf,
    /// KEEP or REVERT.
    #[arg(long, value_name = "KEEP|REVERT")]
    pub decision: Decision,
    /// The change or the metric in a sentence.
    #[arg(long)]
    pub summary: String,
    /// What the signals say.
    #[arg(long)]
    pub feedback: String,
    /// The next single change.
    #[arg(long)]
    pub next_step: String,
}

/// What an edit takes.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Which kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The change in one line.
    #[arg(long)]
    pub change: String,
    /// Text of the kernel that occurs once; goes with one `--replace`, and both may be given several times.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub search: Vec<String>,
    /// What stands in its place.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub replace: Vec<String>,
    /// A file with the kernel's whole new text, instead of replacements.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["search", "replace"])]
    pub text_file: Option<PathBuf>,
}

/// What reading takes.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// `kernel`, `harness`, or a file below `artifacts/`.
    #[arg(long)]
    pub path: String,
    /// Which kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The harness.
    #[arg(long, value_name = "FILE")]
    pub harness: Option<PathBuf>,
    /// The first line, from 1.
    #[arg(long, value_name = "N")]
    pub first: Option<u64>,
    /// The last line.
    #[arg(long, value_name = "N")]
    pub last: Option<u64>,
}
