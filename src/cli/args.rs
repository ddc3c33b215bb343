//! The command line as clap reads it. The doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::tool_args::ToolArgs;
use crate::mission::{ModelChoice, RunnerChoice};
use crate::protocol::RunId;

/// Makes one kernel faster, unattended: a model proposes, the code decides.
#[derive(Debug, Parser)]
#[command(name = "agent", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Begin a run of a mission.
    Run(RunArgs),
    /// Go on with a run where its journal ends.
    Resume(ResumeArgs),
    /// Ask a run to stop: it finishes its step and puts the change in flight back.
    Stop(RunName),
    /// Show how a run stands.
    Status(StatusArgs),
    /// Show what a run came to.
    Report(ReportArgs),
    /// Make every refusal, verdict and decision of a run again from its evidence, and show where today's code differs.
    Replay(ReplayArgs),
    /// Use one of the model's tools by hand or from a script.
    Tool(ToolArgs),
    /// Deploy what the mission says, or else its runner needs, if that has changed since it last succeeded.
    Deploy(DeployArgs),
    /// Play scenarios: real runs with scripted replies and measurements, held against what is expected of them.
    Eval(EvalArgs),
    /// Show what this machine has for each runner, harness and model, and what it lacks.
    Doctor(DoctorArgs),
    /// A block of the native harness.
    #[command(hide = true)]
    Worker {
        /// What to measure.
        spec: PathBuf,
    },
    /// The process of the native harness in which a kernel in C runs.
    #[command(hide = true)]
    Kernel {
        /// The kernel, as it was built.
        library: PathBuf,
    },
    /// The build of a CUDA kernel of the native harness.
    #[command(hide = true)]
    Build {
        /// What is to be measured.
        spec: PathBuf,
    },
    /// A compiler that looks at a kernel before it is measured.
    #[command(hide = true)]
    Compile,
    /// The process that starts a harness's program and keeps its answer.
    #[command(hide = true)]
    Launch {
        /// What it starts, for a reader of the command line: the orders come on standard input.
        #[arg(last = true)]
        shown: Vec<std::ffi::OsString>,
    },
    /// The far side of a runner: a job comes on standard input, answers go to standard output.
    #[command(hide = true)]
    Job,
    /// The parent of a harness's process.
    #[command(hide = true)]
    Supervise {
        /// Limits, and whom to report to.
        #[arg(long)]
        orders: String,
        /// The program with its arguments.
        #[arg(last = true)]
        command: Vec<std::ffi::OsString>,
    },
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The mission's file.
    #[arg(long, value_name = "FILE")]
    pub mission: PathBuf,
    /// A variable of the mission's text; may be given several times.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    pub vars: Vec<(String, String)>,
    /// A name for the run; by default made from the kernel and the time.
    #[arg(long, value_name = "ID")]
    pub run_id: Option<RunId>,
    /// What may differ from the mission.
    #[command(flatten)]
    pub choices: Choices,
    /// What is shown.
    #[command(flatten)]
    pub view: ViewArgs,
}

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// A mission: exit code 3 where it cannot run here.
    #[arg(long, value_name = "FILE")]
    pub mission: Option<PathBuf>,
    /// A variable of the mission's text; may be given several times.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair, requires = "mission")]
    pub vars: Vec<(String, String)>,
    /// What may differ from the mission.
    #[command(flatten)]
    pub choices: Choices,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What `resume` takes.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunName,
    /// What may differ from before. A larger number of iterations lets a run go on that has spent its budget.
    #[command(flatten)]
    pub choices: Choices,
    /// What is shown.
    #[command(flatten)]
    pub view: ViewArgs,
}

/// What the command line decides instead of the mission.
#[derive(Debug, Args)]
pub struct Choices {
    /// Who proposes: `tuner`, `openai:NAME`, or `replay:PATH` with a recording, a run's folder or a run's id.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<ModelChoice>,
    /// Where measurements run: `local`, `slurm` or `modal`.
    #[arg(long, value_name = "RUNNER")]
    pub runner: Option<RunnerChoice>,
    /// The number of iterations after which the run ends.
    #[arg(long, value_name = "N")]
    pub max_iterations: Option<u32>,
}

/// What a running run shows.
#[derive(Clone, Copy, Debug, Args)]
pub struct ViewArgs {
    /// One JSON event a line on standard output, as the journal has them.
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// The last line alone.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Which run.
#[derive(Debug, Args)]
pub struct RunName {
    /// A run's id or the path of its folder; the newest run by default.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// What `status` takes.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunName,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `report` takes.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunName,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
    /// Write the report as one HTML page into FILE.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub html: Option<PathBuf>,
}

/// What `replay` takes.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunName,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `deploy` takes.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The mission's file.
    #[arg(long, value_name = "FILE")]
    pub mission: PathBuf,
    /// A variable of the mission's text; may be given several times.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    pub vars: Vec<(String, String)>,
    /// Where measurements are to run, if not where the mission says.
    #[arg(long, value_name = "RUNNER")]
    pub runner: Option<RunnerChoice>,
}

/// What `eval` takes.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A scenario's folder, or a folder of them; by default `evals` in the repository.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
    /// Write the results as JUnit's XML into FILE as well.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Make a scenario of a run, by its id or folder, and play it.
    #[arg(long, value_name = "RUN", conflicts_with = "paths")]
    pub record: Option<String>,
    /// The scenario's folder; by default `evals/RUN` in the repository.
    #[arg(long, value_name = "FOLDER", requires = "record")]
    pub to: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
