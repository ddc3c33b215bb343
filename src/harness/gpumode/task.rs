//! What a `task.yml` says.

use std::path::Path;

use super::cases::{self, Case};
use super::files::{self, TaskFile};
use super::yaml::{Node, Yaml};
use crate::harness::HarnessError;
use crate::stats::Ranking;

/// Seconds, where the task does not say.
const DEFAULT_TIMEOUT: u32 = 180;

/// A task whose files have been read.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) files: Vec<TaskFile>,
    /// The file that is started.
    pub(super) main: String,
    pub(super) description: Option<String>,
    pub(super) tests: Vec<Case>,
    pub(super) benchmarks: Vec<Case>,
    pub(super) timeouts: Timeouts,
    pub(super) ranking: Ranking,
}

/// Seconds for one process of each mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) test: u32,
    pub(super) benchmark: u32,
    pub(super) ranked: u32,
}

impl Task {
    /// Parses `text`, the content of the file at the absolute path `path`. Keys that concern a leaderboard alone are ignored.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Self, HarnessError> {
        let yaml = Yaml::parse(path, text)?;
        let root = Node::root(path, &yaml);
        let lang = root.need("lang", "write `lang: \"py\"`")?;
        if lang.text()? != "py" {
            return Err(lang.bad(format_args!(
                "{:?} is no language that can be run here; only tasks in \"py\" can, which may compile CUDA themselves",
                lang.text()?
            )));
        }
        let files = files::read(&root.need("files", "list the task's files")?, path)?;
        let cases = |name| cases::read(&root.need(name, "add a list of cases")?);
        let seconds = |name| root.get(name)?.map_or(Ok(DEFAULT_TIMEOUT), |node| node.seconds());
        Ok(Self {
            main: main(&root, &files)?,
            files,
            description: root
                .get("description")?
                .map(|node| node.text().map(|text| text.trim().to_owned()))
                .transpose()?,
            tests: cases("tests")?,
            benchmarks: cases("benchmarks")?,
            timeouts: Timeouts {
                test: seconds("test_timeout")?,
                benchmark: seconds("benchmark_timeout")?,
                ranked: seconds("ranked_timeout")?,
            },
            ranking: ranking(&root)?,
        })
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

fn ranking(root: &Node<'_>) -> Result<Ranking, HarnessError> {
    let Some(node) = root.get("ranking_by")? else { return Ok(Ranking::Last) };
    match node.text()? {
        "last" => Ok(Ranking::Last),
        "mean" => Ok(Ranking::ArithmeticMean),
        "geom" => Ok(Ranking::GeometricMean),
        other => Err(node.bad(format_args!("{other:?} is no ranking; write last, mean or geom"))),
    }
}
