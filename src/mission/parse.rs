//! From a mission's text to the mission.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::choice::{ModelChoice, RunnerChoice, SandboxChoice};
use super::document::{Document, MAX_MISSION_BYTES, too_large};
use super::error::{At, MissionError};
use super::front::FrontMatter;
use super::keys::closest;
use super::profiles;
use super::settings::{REPO_ROOT, Settings, key_of, known_names, names_of, scalar};
use super::slurm::SlurmSettings;
use super::variables::{is_name, render};
use crate::protocol::{Gpu, Target, Terms};

/// What counts as material where the mission does not say: 1%.
const DEFAULT_MIN_IMPROVEMENT: f64 = 0.01;

/// What to do: the terms that the code enforces, and the prompt that tells the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Mission {
    /// The kernel's path as written, relative to the repository's root.
    pub kernel: PathBuf,
    /// The harness's path as written, relative to the repository's root.
    pub harness: PathBuf,
    /// What the protocol needs to know.
    pub terms: Terms,
    /// Where measurements run.
    pub runner: RunnerChoice,
    /// What to ask a Slurm cluster for, where measurements run on one.
    pub slurm: SlurmSettings,
    /// Who proposes.
    pub model: ModelChoice,
    /// How far the kernel's processes must be confined.
    pub sandbox: SandboxChoice,
    /// More files and folders that the model may read, relative to the repository's root.
    pub read: Vec<PathBuf>,
    /// The tuner's seed, where the mission fixes it.
    pub seed: Option<u64>,
    /// Iterations that the tuner gets after each KEEP of another model's.
    pub tune: u32,
    /// The body, its variables replaced by their values.
    pub prompt: String,
    /// The file as it was.
    pub text: String,
}

/// Reads the mission in the file at `path`; `vars` are the command line's, as for [`parse`].
pub fn load(path: &Path, vars: &BTreeMap<String, String>) -> Result<Mission, MissionError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_MISSION_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| MissionError::Read { path: path.to_owned(), source })?;
    if bytes.len() > MAX_MISSION_BYTES {
        return Err(too_large(path));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let problem = format!("invalid UTF-8 at byte offset {offset}; save it as UTF-8");
        MissionError::Text { at: At::file(path), problem }
    })?;
    parse(path, &text, vars)
}

/// Parses a mission. `path` serves the messages alone.
///
/// `vars` are variables by name. One that is named like a key whose value is a text or a number, or by that key's other name
/// (`kernel_path`, `harness_path`, `metric_name`, `target_metric_us`), sets that key, so that prompt and terms agree. A
/// prompt may use `<repo_root>`; the caller, who knows it, gives it in `vars`.
pub fn parse(path: &Path, text: &str, vars: &BTreeMap<String, String>) -> Result<Mission, MissionError> {
    let document = Document::split(path, text)?;
    let settings = Settings::read(path, &document, vars)?;
    let front = settings.typed()?;
    let rendered = render(path, &document, &values(&settings, &front, vars)?)?;
    if let Some(name) = vars.keys().find(|name| !is_known(name) && !rendered.used.contains(*name)) {
        let names = rendered.used.iter().map(String::as_str).chain(known_names());
        let hint = match closest(name, names) {
            Some(close) => format!("did you mean {close}?"),
            None => format!("write <{name}> in the prompt, or leave the option out"),
        };
        return Err(MissionError::Unused { path: path.to_owned(), name: name.clone(), hint });
    }
    let missing = |key| MissionError::MissingKey { path: path.to_owned(), key };
    Ok(Mission {
        kernel: front.kernel.as_ref().ok_or_else(|| missing("kernel"))?.0.clone().into(),
        harness: front.harness.as_ref().ok_or_else(|| missing("harness"))?.0.clone().into(),
        runner: front.runner,
        slurm: front.slurm.clone(),
        sandbox: front.sandbox,
        model: front.model.clone(),
        read: front.read.iter().map(|path| PathBuf::from(&path.0)).collect(),
        seed: front.seed,
        tune: front.tune,
        terms: terms(path, &settings, front)?,
        prompt: rendered.prompt,
        text: text.to_owned(),
    })
}

fn is_known(name: &str) -> bool {
    name == REPO_ROOT || key_of(name).is_some()
}

fn terms(path: &Path, settings: &Settings<'_>, front: FrontMatter) -> Result<Terms, MissionError> {
    let target = match (front.target_us, front.target_speedup) {
        (Some(us), None) => Target::Us(us),
        (None, Some(speedup)) => Target::Speedup(speedup.0),
        (None, None) => return Err(MissionError::NoTarget { path: path.to_owned() }),
        (Some(_), Some(_)) => return Err(MissionError::TwoTargets { path: path.to_owned() }),
    };
    if let (Target::Us(us), Some(roofline)) = (target, front.roofline_us)
        && us < roofline
    {
        return Err(settings.bad("target_us", format!("{us} is below roofline_us, {roofline}: nothing could reach it")));
    }
    Ok(Terms {
        metric: front.metric,
        target,
        gpu: front.gpu.map(|name| Gpu(name.0)).unwrap_or_default(),
        min_improvement: front.min_improvement.map_or(DEFAULT_MIN_IMPROVEMENT, |fraction| fraction.0),
        roofline_us: front.roofline_us,
        forbidden: front.forbidden.into_iter().map(|name| name.0).collect(),
        profiles: profiles::merge(settings, &front.profiles)?,
        budget: front.budget.into(),
        deploy: front.deploy.map(Into::into),
    })
}

/// Returns the value of each variable that the prompt may have. The command line wins over the front matter.
fn values(
    settings: &Settings<'_>,
    front: &FrontMatter,
    vars: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, MissionError> {
    let mut values = BTreeMap::new();
    let gpu = front.gpu.as_ref().map_or_else(|| Gpu::default().0, |name| name.0.clone());
    let with_default = [
        ("metric", front.metric.to_string()),
        ("gpu", gpu),
        ("runner", front.runner.to_string()),
        ("model", front.model.to_string()),
    ];
    for (key, value) in with_default.into_iter().chain(settings.scalars()) {
        match key_of(key) {
            Some(key) => values.extend(names_of(key).map(|name| (name.to_owned(), value.clone()))),
            None => drop(values.insert(key.to_owned(), value)),
        }
    }
    for (name, value) in &front.vars {
        values.insert(name.clone(), own_variable(settings, name, value)?);
    }
    values.extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(values)
}

fn own_variable(settings: &Settings<'_>, name: &str, value: &Value) -> Result<String, MissionError> {
    let bad = |problem: String| settings.bad(&format!("vars.{name}"), problem);
    match (key_of(name), scalar(value)) {
        (Some(key), _) => Err(bad(format!("is the key {key} by another name, so that one must be set"))),
        (None, _) if !is_name(name) => Err(bad("is no name that a prompt could use".to_owned())),
        (None, Some(text)) => Ok(text),
        (None, None) => Err(bad("is neither a text nor a number".to_owned())),
    }
}
