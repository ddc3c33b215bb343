//! The language of a task: how its evaluator comes to run, and which kernels it takes.

use std::ffi::OsStr;
use std::path::Path;

use super::build::Build;
use super::files::TaskFile;
use super::yaml::Node;
use crate::harness::HarnessError;

/// What `lang` says, with what of `config` goes with it.
#[derive(Debug)]
pub(super) enum Lang {
    /// Python starts this one of the task's files.
    Python { main: String },
    /// `nvcc` builds a program of the task's sources.
    Cuda(Build),
}

impl Lang {
    /// Reads `lang` and `config`.
    pub(super) fn read(root: &Node<'_>, files: &[TaskFile]) -> Result<Self, HarnessError> {
        let lang = root.need("lang", "write `lang: \"py\"` or `lang: \"cu\"`")?;
        match lang.text()? {
            "py" => Ok(Self::Python { main: main(root, files)? }),
            "cu" => Build::read(root, files).map(Self::Cuda),
            other => Err(lang.bad(format_args!("{other:?} is no language of a task; write \"py\" or \"cu\""))),
        }
    }

    /// Tells whether a file's name is one of this language.
    pub(super) fn is_of(&self, kernel: &Path) -> bool {
        let extension = kernel.extension().and_then(OsStr::to_str).unwrap_or_default();
        match self {
            Self::Python { .. } => extension == "py",
            Self::Cuda(_) => matches!(extension, "cu" | "cuh"),
        }
    }

    /// Returns the names of such files, for a message.
    pub(super) fn names(&self) -> &'static str {
        match self {
            Self::Python { .. } => "Python, *.py",
            Self::Cuda(_) => "CUDA, *.cu or *.cuh",
        }
    }

    /// Returns the program that the task cannot do without, and how to get it.
    pub(super) fn program(&self) -> (&'static str, &'static str) {
        match self {
            Self::Python { .. } => ("python3", "install Python 3 (Debian: apt-get install python3)"),
            Self::Cuda(_) => ("nvcc", "install the CUDA toolkit, or add the folder of its nvcc to PATH"),
        }
    }
}

fn main(root: &Node<'_>, files: &[TaskFile]) -> Result<String, HarnessError> {
    let given = root.get("config")?.map(|config| config.get("main")).transpose()?.flatten();
    let main = given.as_ref().map_or(Ok("eval.py"), Node::text)?;
    if files.iter().any(|file| file.name == Path::new(main)) {
        return Ok(main.to_owned());
    }
    let problem = format!("{main:?} is not among the names of `files`; add it there");
    Err(match given {
        Some(node) => node.bad(problem),
        None => root.bad(format_args!("config.main: {problem}")),
    })
}
