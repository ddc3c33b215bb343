//! How a task in CUDA is built: what its `config` says, and what `nvcc` is told.
//!
//! The options that hold for every task are those of GPU MODE's own runner, in `consts.py` of gpu-mode/kernelbot, without
//! those that make `ptxas` and `nvlink` tell of their work.

use std::path::{Component, Path};

use super::files::TaskFile;
use super::yaml::{Node, Yaml};
use crate::harness::{HarnessError, arch};
use crate::protocol::Gpu;

/// The program that is built.
pub(super) const PROGRAM: &str = "eval.out";

/// What `config` may hold.
const KEYS: [&str; 4] = ["sources", "include_dirs", "defines", "compile_flags"];

/// For every task. Exceptions may be made by `compile_flags`, which come later.
const OPTIONS: [&str; 8] = [
    "--std=c++20",
    "-O3",
    "-DNDEBUG",
    "--expt-extended-lambda",
    "--expt-relaxed-constexpr",
    "-forward-unknown-to-host-compiler",
    "-Xcompiler=-fno-strict-aliasing",
    "-Xcompiler=-Wno-psabi",
];

/// A build, as its task describes it.
#[derive(Debug)]
pub(super) struct Build {
    /// Names of the task's files.
    sources: Vec<String>,
    /// Include folders, definitions and flags, in this order.
    options: Vec<String>,
    libraries: Vec<String>,
}

impl Build {
    /// Reads `config`, and the task's `libraries`.
    pub(super) fn read(root: &Node<'_>, files: &[TaskFile]) -> Result<Self, HarnessError> {
        let config = root.need("config", "write `config: {sources: [\"eval.cu\"]}`")?;
        if let Some(key) = config.map()?.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let at = config.get(key)?.unwrap_or_else(|| config.clone());
            return Err(at.bad(format_args!("a task in CUDA has no such key; known are {}", KEYS.join(", "))));
        }
        let mut options = texts(&config, "include_dirs", include)?;
        if let Some(defines) = config.get("defines")? {
            for name in defines.map()?.keys() {
                options.push(define(&defines, name)?);
            }
        }
        options.extend(texts(&config, "compile_flags", flag)?);
        Ok(Self { sources: sources(&config, files)?, options, libraries: texts(root, "libraries", library)? })
    }

    /// Returns what `nvcc` is told where the program is to run on `gpu`.
    pub(super) fn args(&self, gpu: &Gpu) -> Vec<String> {
        // Of a device that nobody here knows, the machine that has it does.
        let arch = format!("-arch={}", arch::of(gpu).unwrap_or("native"));
        let end = ["-o", PROGRAM].map(str::to_owned);
        let options = OPTIONS.map(str::to_owned).into_iter().chain([arch]).chain(self.options.iter().cloned());
        options.chain(self.sources.iter().cloned()).chain(self.libraries.iter().cloned()).chain(end).collect()
    }
}

fn sources(config: &Node<'_>, files: &[TaskFile]) -> Result<Vec<String>, HarnessError> {
    let node = config.need("sources", "list the files that nvcc compiles, such as `[\"eval.cu\"]`")?;
    let sources = node.list()?;
    if sources.is_empty() {
        return Err(node.bad("is empty; list the files that nvcc compiles, such as `[\"eval.cu\"]`"));
    }
    let mut names: Vec<String> = Vec::new();
    for source in sources {
        let name = source.text()?;
        if !files.iter().any(|file| file.name == Path::new(name)) {
            return Err(source.bad(format_args!("{name:?} is not among the names of `files`; add it there")));
        }
        if name.starts_with('-') {
            return Err(source.bad(format_args!("{name:?} would be read as an option; rename the file")));
        }
        if names.iter().any(|known| known == name) {
            return Err(source.bad(format_args!("{name:?} stands here twice; remove one of the two")));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Reads a list of texts, absent or not, each by `read`.
fn texts(
    node: &Node<'_>,
    name: &str,
    read: fn(&Node<'_>, &str) -> Result<String, HarnessError>,
) -> Result<Vec<String>, HarnessError> {
    let list = node.get(name)?.map_or(Ok(Vec::new()), |list| list.list())?;
    list.iter().map(|entry| read(entry, entry.text()?)).collect()
}

fn include(at: &Node<'_>, folder: &str) -> Result<String, HarnessError> {
    let path = Path::new(folder);
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if folder.is_empty() || !(path.is_absolute() || is_below) {
        return Err(at.bad(format_args!(
            "{folder:?} does not lie below the folder in which the task is built; write a relative path without `..`, or an \
             absolute one of the machine that measures"
        )));
    }
    Ok(format!("-I{folder}"))
}

fn define(defines: &Node<'_>, name: &str) -> Result<String, HarnessError> {
    let at = defines.get(name)?;
    let place = at.as_ref().unwrap_or(defines);
    let is_identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|first: char| !first.is_ascii_digit());
    if !is_identifier {
        return Err(place.bad(format_args!("{name:?} is no name of a macro; use letters, digits and `_`")));
    }
    match at.as_ref().map(Node::value) {
        None => Ok(format!("-D{name}")),
        Some(Yaml::Text(text)) => Ok(format!("-D{name}={text}")),
        Some(Yaml::Int(number)) => Ok(format!("-D{name}={number}")),
        Some(Yaml::Float(number)) if number.is_finite() => Ok(format!("-D{name}={number:?}")),
        Some(_) => Err(place.bad("cannot be a macro's value; write a number or a text, or nothing")),
    }
}

fn flag(at: &Node<'_>, flag: &str) -> Result<String, HarnessError> {
    if flag.starts_with('-') {
        return Ok(flag.to_owned());
    }
    Err(at.bad(format_args!(
        "{flag:?} is no flag; begin it with `-`, and write one with a value as one word, `-name=value`"
    )))
}

fn library(at: &Node<'_>, name: &str) -> Result<String, HarnessError> {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.+".contains(c)) {
        return Ok(format!("-l{name}"));
    }
    Err(at.bad(format_args!("{name:?} is no library's name; write it without `lib` and ending, such as `cublas`")))
}
