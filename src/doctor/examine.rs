//! The examination: each thing in turn.

use std::env;
use std::thread::available_parallelism;

use super::check::{Area, Check, Findings, State};
use super::gpu;
use super::program::{ask, first_line};
use crate::harness::nvrtc::nvrtc;
use crate::mission::{Mission, RunnerChoice};
use crate::protocol::Device;
use crate::sandbox::Protections;

/// Python's packages that harnesses import, and the one with Modal's client.
const OF_HARNESSES: [&str; 3] = ["torch", "triton", "pygpubench"];
const OF_MODAL: &str = "modal";

const C_COMPILER: &str = "C compiler";
const PYTHON: &str = "Python";
const NVRTC: &str = "NVRTC";
const NVCC: &str = "nvcc";
const SLURM: &str = "Slurm";
const MODAL: &str = "Modal";

/// Looks at this machine; where a mission is given, also at what of it the mission needs.
pub async fn examine(mission: Option<&Mission>) -> Findings {
    let devices = gpu::devices().await;
    let packages = packages().await;
    let mut checks = vec![machine()];
    checks.extend(sandbox());
    checks.push(Check::of(
        Area::Harness,
        C_COMPILER,
        first_line("cc", &["--version"]).await,
        "install gcc or clang: native harnesses for the processor build with it",
    ));
    checks.push(Check::of(
        Area::Harness,
        PYTHON,
        first_line("python3", &["--version"]).await,
        "install Python 3: harnesses in Python and GPU MODE tasks are started with it",
    ));
    for package in OF_HARNESSES {
        let look = has(&packages, package);
        checks.push(Check::of(Area::Harness, package, look, "pip install it, where a harness imports it"));
    }
    checks.push(gpu::check(&devices));
    checks.push(Check::of(
        Area::Gpu,
        NVRTC,
        nvrtc().map(|found| found.library.display().to_string()).ok_or_else(|| "no libnvrtc was found".to_owned()),
        "pip install nvidia-cuda-nvrtc, or install the CUDA toolkit: CUDA kernels are compiled with it",
    ));
    checks.push(Check::of(
        Area::Gpu,
        NVCC,
        nvcc().await,
        "install the CUDA toolkit, or add the folder of its nvcc to PATH: GPU MODE tasks in CUDA are built with it",
    ));
    checks.push(Check::of(Area::Runner, SLURM, slurm().await, "run where `salloc` and `scontrol` reach a cluster"));
    checks.push(Check::of(
        Area::Runner,
        MODAL,
        has(&packages, OF_MODAL).and_then(|version| modal_credentials().map(|place| format!("{version}, {place}"))),
        "pip install modal, and `modal token new`",
    ));
    checks.push(Check::of(
        Area::Model,
        "OPENAI_API_KEY",
        key(),
        "set it, or name `api_key_env` or `api_key_file` in the mission",
    ));
    let mission = mission.map(|mission| lacks(mission, &checks, &devices));
    Findings { checks, mission }
}

/// Says what of these a mission needs and does not find.
fn lacks(mission: &Mission, checks: &[Check], devices: &Result<Vec<Device>, String>) -> Vec<String> {
    let is_local = mission.runner == RunnerChoice::Local;
    let extension = mission.harness.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let gpu = &mission.terms.gpu;
    let needed = match (mission.runner, extension) {
        (RunnerChoice::Slurm, _) => Some(SLURM),
        (RunnerChoice::Modal, _) => Some(MODAL),
        (RunnerChoice::Local, "toml") if gpu.is_cpu() => Some(C_COMPILER),
        (RunnerChoice::Local, "toml") => Some(NVRTC),
        // Its task says which, and says so where it is opened.
        (RunnerChoice::Local, "yml" | "yaml") => None,
        (RunnerChoice::Local, _) => Some(PYTHON),
    };
    let missing = checks.iter().filter(|check| Some(check.name) == needed && check.state == State::Missing);
    let missing = missing.map(|check| format!("it needs {}: {}", check.name, check.detail));
    missing.chain(gpu::lacks(gpu, devices).filter(|_| is_local)).collect()
}

fn machine() -> Check {
    let cores = available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown");
    Check::here(Area::Machine, "processor", format!("{cores} cores, load {load}"))
}

fn sandbox() -> Vec<Check> {
    let Protections { had, missing } = Protections::probe();
    let remedy = "mend that, or run without it; `sandbox: required` in the mission refuses to";
    let missing = missing
        .into_iter()
        .map(|missing| Check::missing(Area::Sandbox, missing.protection.name(), missing.reason, remedy));
    had.into_iter().map(|had| Check::here(Area::Sandbox, had.name(), "holds")).chain(missing).collect()
}

/// Returns each package that Python finds, with its version.
async fn packages() -> Result<Vec<(String, String)>, String> {
    let packages = [&OF_HARNESSES[..], &[OF_MODAL]].concat();
    // The packages themselves are not imported: that takes seconds, and may start what nobody asked for.
    let program = format!(
        "import importlib.metadata as m\nfor p in {packages:?}:\n try: print(p, m.version(p))\n except m.PackageNotFoundError: pass"
    );
    let text = ask("python3", &["-c", &program]).await?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect())
}

fn has(packages: &Result<Vec<(String, String)>, String>, package: &str) -> Result<String, String> {
    let packages = packages.as_ref().map_err(Clone::clone)?;
    let found = packages.iter().find(|(name, _)| name == package);
    found.map(|(_, version)| version.clone()).ok_or_else(|| format!("python3 has no package {package}"))
}

async fn nvcc() -> Result<String, String> {
    let text = ask("nvcc", &["--version"]).await?;
    let release = text.lines().find(|line| line.contains("release")).or_else(|| text.lines().next());
    Ok(release.unwrap_or_default().trim().to_owned())
}

async fn slurm() -> Result<String, String> {
    let version = first_line("salloc", &["--version"]).await?;
    let answer = first_line("scontrol", &["ping"]).await?;
    Ok(format!("{version}; {answer}"))
}

/// Says where Modal's credentials lie, without reading them.
fn modal_credentials() -> Result<&'static str, String> {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("MODAL_TOKEN_ID") && is_set("MODAL_TOKEN_SECRET") {
        return Ok("credentials in the environment");
    }
    let file = env::home_dir().map(|home| home.join(".modal.toml"));
    if file.is_some_and(|file| file.is_file()) {
        return Ok("credentials in ~/.modal.toml");
    }
    Err("there are no credentials".to_owned())
}

/// Says whether there is a key, never which.
fn key() -> Result<String, String> {
    match env::var_os("OPENAI_API_KEY") {
        None => Err("it is not set".to_owned()),
        Some(key) if key.is_empty() => Err("it is empty".to_owned()),
        Some(_) => Ok("set".to_owned()),
    }
}
