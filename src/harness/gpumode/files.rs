//! The files of a task: where they lie, and where its evaluator finds them.

use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::yaml::{Node, Yaml};
use crate::harness::HarnessError;
use crate::harness::open::read as read_file;

/// The source that stands for the kernel.
const SUBMISSION: &str = "@SUBMISSION@";

/// A file of the block's folder.
#[derive(Clone, Debug)]
pub(super) struct TaskFile {
    /// Below the block's folder.
    pub(super) name: PathBuf,
    pub(super) source: Source,
}

/// Where a file comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// It is the kernel.
    Submission,
    /// It lies beside the task, and is kept as it was when the task was opened.
    File { path: PathBuf, text: Vec<u8> },
}

/// Reads `files`: a list of `{name, source}`, or a map from name to source.
pub(super) fn read(node: &Node<'_>, task: &Path) -> Result<Vec<TaskFile>, HarnessError> {
    let mut files: Vec<TaskFile> = Vec::new();
    let root = root(task);
    for (name_at, name, source) in entries(node)? {
        let name = PathBuf::from(name);
        if name.as_os_str().is_empty() || !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(name_at.bad(format_args!(
                "{:?} does not lie below the folder in which the task runs; write a relative path without `..`",
                name.display()
            )));
        }
        if files.iter().any(|file| file.name == name) {
            return Err(name_at.bad(format_args!("{:?} stands here twice; remove one of the two", name.display())));
        }
        let source = if source.text()? == SUBMISSION { Source::Submission } else { load(&source, task, &root)? };
        files.push(TaskFile { name, source });
    }
    match files.iter().filter(|file| matches!(file.source, Source::Submission)).count() {
        1 => Ok(files),
        0 => Err(node.bad(format_args!(
            "none is the kernel; add `{{\"name\": \"submission.py\", \"source\": \"{SUBMISSION}\"}}`, or `submission.cu` for `cu`"
        ))),
        _ => Err(node.bad(format_args!("more than one is the kernel; keep one `{SUBMISSION}`"))),
    }
}

/// Returns the place, name and source of each entry.
fn entries<'a>(node: &Node<'a>) -> Result<Vec<(Node<'a>, &'a str, Node<'a>)>, HarnessError> {
    if let Yaml::Map(map) = node.value() {
        let entry = |name: &'a String| Ok((node.clone(), name.as_str(), node.need(name, "name its source")?));
        return map.keys().map(entry).collect();
    }
    let remedy = "write `{\"name\": …, \"source\": …}`";
    let entry = |entry: Node<'a>| {
        let name = entry.need("name", remedy)?;
        Ok((name.clone(), name.text()?, entry.need("source", remedy)?))
    };
    node.list()?.into_iter().map(entry).collect()
}

/// Reads a source. Tasks share files through `..`, and links: they may lead anywhere in the repository, and not out of it.
fn load(at: &Node<'_>, task: &Path, root: &Path) -> Result<Source, HarnessError> {
    let source = Path::new(at.text()?);
    if at.text()?.starts_with('@') && at.text()?.ends_with('@') {
        return Err(at.bad(format_args!(
            "{source:?} stands for a file of GPU MODE's own, which does not come with the task; put it beside the task, and name it"
        )));
    }
    if source.is_absolute() || source.as_os_str().is_empty() {
        return Err(at.bad(format_args!("{source:?} is no relative path; name it as seen from the task's folder")));
    }
    let path = task.with_file_name("").join(source);
    let found = fs::canonicalize(&path).map_err(|error| {
        let cause = if Errno::from_io_error(&error) == Some(Errno::LOOP) {
            "its links lead round in a circle".to_owned()
        } else {
            error.to_string()
        };
        at.bad(format_args!("{source:?} cannot be read ({cause}); add the file, or mend its path"))
    })?;
    if !found.starts_with(root) {
        return Err(at.bad(format_args!("{source:?} leads out of {}; copy the file into it", root.display())));
    }
    let text = read_file(&found).map_err(|error| at.bad(error))?;
    Ok(Source::File { path: found, text })
}

/// Returns the repository around a task; without one, the folder above the task's, where shared files lie.
fn root(task: &Path) -> PathBuf {
    let folder = task.parent().unwrap_or(task);
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let repository = folder.ancestors().find(|above| above.join(".git").exists());
    repository.or(folder.parent()).unwrap_or(&folder).to_owned()
}
