//! `agent tool`: the model's tools for a person or a script, without a run around them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;

use super::error::{CliError, chain};
use super::exit::Exit;
use super::tool_args::{
    AnalysisArgs, BenchmarkArgs, EditArgs, KernelArgs, MeasureArgs, ReadArgs, ToolArgs, ToolCommand,
};
use super::tool_undo;
use super::world::{here, own_path, runtime};
use crate::artifact::{self, AnalysisEntry, Mode};
use crate::gate::Gate;
use crate::harness;
use crate::mission::{RunnerChoice, SandboxChoice, SlurmSettings};
use crate::protocol::{Analysis, Controls, Gpu, Profile, Profiles, Tool};
use crate::report::outcome_text;
use crate::runner::{Local, Modal, Runner, Slurm};
use crate::session::{self, SessionError};
use crate::stats::{Aim, NIGHT, Rule};
use crate::tools::{self, Bench, Context, EditKernel, Order, ReadFile, Readable, Replacement, Yardstick};
use crate::workspace::Workspace;

pub(super) fn tool(args: ToolArgs) -> Result<ExitCode, CliError> {
    if let Some(folder) = args.schemas {
        return schemas(folder.as_deref()).map(ExitCode::from);
    }
    match args.tool {
        Some(ToolCommand::TestRun(args)) => measure(&args, Mode::Test, None),
        Some(ToolCommand::BenchmarkRun(BenchmarkArgs { measure: args, incumbent })) => {
            measure(&args, Mode::Benchmark, incumbent.as_deref())
        }
        Some(ToolCommand::AppendAnalysis(args)) => append_analysis(args).map(ExitCode::from),
        Some(ToolCommand::EditKernel(args)) => edit(args).map(ExitCode::from),
        Some(ToolCommand::Revert(args)) => revert(&args).map(ExitCode::from),
        Some(ToolCommand::ReadFile(args)) => read(&args).map(ExitCode::from),
        None => Err(CliError::usage("name a tool, or --schemas")),
    }
}

fn schemas(folder: Option<&Path>) -> Result<Exit, CliError> {
    let Some(folder) = folder else {
        let all: Vec<_> = Tool::ALL.into_iter().map(tools::schema).collect();
        print(&format!("{:#}\n", serde_json::Value::Array(all)));
        return Ok(Exit::Ok);
    };
    for tool in Tool::ALL {
        let path = folder.join(format!("{tool}.json"));
        std::fs::write(&path, format!("{:#}\n", tools::schema(tool)))
            .map_err(|error| CliError::environment(format!("failed to write {}: {error}", path.display())))?;
    }
    Ok(Exit::Ok)
}

fn workspace(args: &KernelArgs) -> Result<Workspace, CliError> {
    let start = here()?.join(args.repo_root.as_deref().unwrap_or(Path::new("")));
    Ok(Workspace::open(&start, &args.kernel).map_err(SessionError::from)?)
}

fn measure(args: &MeasureArgs, mode: Mode, incumbent: Option<&Path>) -> Result<ExitCode, CliError> {
    let workspace = workspace(&args.kernel)?;
    let candidate = workspace.read_kernel().map_err(SessionError::from)?;
    let incumbent = incumbent.map(read_file).transpose()?;
    let profile = profile(args.profile, mode)?;
    let controls = controls(args)?;
    let effort = controls.apply(Profiles::default().get(profile));
    let gpu = Gpu(args.gpu.clone());
    let harness_file = harness_file(&workspace, args.harness.as_deref(), &candidate)?;
    let harness = harness::open(&harness_file).map_err(SessionError::from)?;
    harness.supports(workspace.kernel_path(), &gpu).map_err(SessionError::from)?;
    if args.runner == RunnerChoice::Local {
        harness.equipped().map_err(SessionError::from)?;
    }
    let harness_name = harness.name().to_owned();
    let kernel = workspace.kernel_path();
    let gate = Gate::new(own_path()?, kernel, &gpu).with_reference(incumbent.clone()).beside(harness.builds());
    let bench = Bench {
        harness,
        runner: runner(args.runner)?,
        gate: Some(gate),
        yardstick: Yardstick { gpu: gpu.clone(), metric: args.metric, roofline_us: None },
    };
    let seed = getrandom::u64().map_err(|error| CliError::environment(format!("no random numbers: {error}")))?;
    // A single measurement is a night of its own.
    let aim = if profile == Profile::Final { Aim::Confirm { level: NIGHT } } else { Aim::Screen };
    let rule = Rule { margin: 0.01, aim, most: effort.pairs }.winnable();
    let order = Order { profile, effort: &effort, candidate: &candidate, incumbent: incumbent.as_deref(), seed, rule };
    let started = session::now();
    let measured = runtime()?
        .block_on(tools::measure(&bench, order, &mut |_| {}))
        .map_err(|error| CliError::environment(chain(&error)))?;
    let path = artifact_path(args, &workspace, mode, started);
    let git_hash = workspace.git_hash().map_err(SessionError::from)?;
    let context = Context {
        workspace: &workspace,
        git_hash: git_hash.as_deref(),
        harness_file: &harness_file,
        harness_name: &harness_name,
        gpu: &gpu,
        mode,
        started,
        extra: vec![("metric".to_owned(), args.metric.to_string())],
    };
    tools::write(&path, &context, order, &measured).map_err(SessionError::from)?;
    if let Some(copy) = &args.json_out {
        std::fs::copy(path.with_extension("json"), copy)
            .map_err(|error| CliError::environment(format!("failed to write {}: {error}", copy.display())))?;
    }
    if args.artifact_only {
        print(&format!("{}\n", path.display()));
    } else {
        print(&format!("{}\nARTIFACT_PATH={}\n", outcome_text(&measured.outcome, args.metric), path.display()));
    }
    Ok(ExitCode::from(u8::try_from(tools::exit_code(&measured)).unwrap_or(1)))
}

fn runner(choice: RunnerChoice) -> Result<Box<dyn Runner>, CliError> {
    let agent = own_path()?;
    let scratch = std::env::temp_dir().join(format!("afterhours-tool-{}", std::process::id()));
    match choice {
        RunnerChoice::Local => Ok(Box::new(Local::new(agent, scratch))),
        RunnerChoice::Slurm => {
            let slurm = Slurm::new(agent, SlurmSettings::default(), SandboxChoice::default(), &scratch);
            Ok(Box::new(slurm.map_err(SessionError::from)?))
        }
        RunnerChoice::Modal => Ok(Box::new(Modal::new(&agent, SandboxChoice::default()).map_err(SessionError::from)?)),
    }
}

fn profile(given: Option<Profile>, mode: Mode) -> Result<Profile, CliError> {
    match (given, mode) {
        (None | Some(Profile::Smoke), Mode::Test) => Ok(Profile::Smoke),
        (None, Mode::Benchmark) => Ok(Profile::Candidate),
        (Some(profile @ (Profile::Candidate | Profile::Final)), Mode::Benchmark) => Ok(profile),
        (Some(profile), Mode::Test) => Err(CliError::usage(format!("test-run takes --profile smoke, not {profile}"))),
        (Some(profile), Mode::Benchmark) => {
            Err(CliError::usage(format!("benchmark-run takes --profile candidate or final, not {profile}")))
        }
    }
}

fn controls(args: &MeasureArgs) -> Result<Controls, CliError> {
    let controls = Controls {
        repeats: args.repeats,
        stage_repeats: args.stage_repeats.as_deref().map(tools::parse_stages).transpose().map_err(CliError::usage)?,
        early_stop_us: args.early_stop_us,
        timeout_seconds: args.timeout_seconds,
    };
    tools::check_controls(&controls).map_err(CliError::usage)?;
    Ok(controls)
}

/// Finds the harness: the one given, or the one that the kernel names.
fn harness_file(workspace: &Workspace, given: Option<&Path>, kernel: &[u8]) -> Result<PathBuf, CliError> {
    if let Some(given) = given {
        return Ok(workspace.repo_root().join(given));
    }
    let text = String::from_utf8_lossy(kernel);
    let named = text.lines().find_map(|line| {
        let line = line.trim_start_matches(['/', ' ']);
        let rest = ["#!AFTERHOURS", "#!PYGPUBENCH", "#!POPCORN"].iter().find_map(|mark| line.strip_prefix(mark))?;
        rest.trim().strip_prefix("harness").map(|path| path.trim().to_owned())
    });
    named.map(|path| workspace.repo_root().join(path)).ok_or_else(|| {
        CliError::usage(
            "no harness: give --harness FILE, or name it in the kernel with a line `#!AFTERHOURS harness FILE`",
        )
    })
}

fn artifact_path(args: &MeasureArgs, workspace: &Workspace, mode: Mode, started: Timestamp) -> PathBuf {
    if let Some(path) = &args.artifact {
        return path.clone();
    }
    let stem = workspace.kernel_path().file_stem().unwrap_or_default().to_string_lossy();
    let tag = args.tag.clone().unwrap_or_else(|| artifact::stamp(started));
    let folder = workspace.repo_root().join("artifacts");
    let named = |tag: &str| folder.join(artifact::standalone_name(&stem, mode, tag));
    // Two measurements in one second, or under one tag, are two records.
    let later = (2_u32..).map(|number| named(&format!("{tag}-{number}")));
    std::iter::once(named(&tag)).chain(later).find(|path| !path.exists()).unwrap_or_else(|| named(&tag))
}

fn append_analysis(args: AnalysisArgs) -> Result<Exit, CliError> {
    let AnalysisArgs { artifact: path, decision, summary, feedback, next_step } = args;
    let analysis = Analysis { decision, summary, feedback, next_step };
    let entry = AnalysisEntry { timestamp_utc: Timestamp::now(), analysis };
    artifact::append_analysis(&path, &entry).map_err(|error| CliError::usage(chain(&error)))?;
    Ok(Exit::Ok)
}

fn edit(args: EditArgs) -> Result<Exit, CliError> {
    if args.search.len() != args.replace.len() {
        return Err(CliError::usage(format!(
            "each --search needs one --replace: {} and {} were given",
            args.search.len(),
            args.replace.len()
        )));
    }
    let workspace = workspace(&args.kernel)?;
    let before = workspace.read_kernel().map_err(SessionError::from)?;
    let text = args.text_file.as_deref().map(read_file).transpose()?;
    let pairs = args.search.into_iter().zip(args.replace);
    let change = EditKernel {
        change: args.change,
        edits: text.is_none().then(|| pairs.map(|(search, replace)| Replacement { search, replace }).collect()),
        text: text.map(|text| String::from_utf8_lossy(&text).into_owned()),
    };
    let after =
        tools::edit(&String::from_utf8_lossy(&before), &change).map_err(|error| CliError::usage(error.to_string()))?;
    tool_undo::remember(&workspace, &before, after.as_bytes())?;
    workspace.write_kernel(after.as_bytes()).map_err(SessionError::from)?;
    Ok(Exit::Ok)
}

fn revert(args: &KernelArgs) -> Result<Exit, CliError> {
    let workspace = workspace(args)?;
    tool_undo::take_back(&workspace)?;
    Ok(Exit::Ok)
}

fn read(args: &ReadArgs) -> Result<Exit, CliError> {
    let workspace = workspace(&args.kernel)?;
    let harness: Vec<_> = args.harness.iter().map(|path| workspace.repo_root().join(path)).collect();
    let artifacts = workspace.repo_root().join("artifacts");
    let readable = Readable::new(workspace.repo_root(), &artifacts, workspace.kernel_path(), &harness, &[]);
    let wanted = ReadFile { path: args.path.clone(), first: args.first, last: args.last };
    let lines = readable.read(&wanted).map_err(|error| CliError::usage(error.to_string()))?;
    print(&lines.text);
    Ok(Exit::Ok)
}

fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| CliError::usage(format!("failed to read {}: {error}", path.display())))
}

fn print(text: &str) {
    // A reader that has gone away, such as `head`, is no error.
    let _ = anstream::stdout().write_all(text.as_bytes());
}
