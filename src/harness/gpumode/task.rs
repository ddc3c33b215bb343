//! What a `task.yml` says.

use std::path::Path;

use super::cases::{self, Case};
use super::files::{self, TaskFile};
use super::lang::Lang;
use super::yaml::{Node, Yaml};
use crate::harness::HarnessError;
use crate::stats::Ranking;

/// Seconds, where the task does not say.
const DEFAULT_TIMEOUT: u32 = 180;

/// A task whose files have been read.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) files: Vec<TaskFile>,
    pub(super) lang: Lang,
    pub(super) description: Option<String>,
    pub(super) tests: Vec<Case>,
    /// Those that count.
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
        let files = files::read(&root.need("files", "list the task's files")?, path)?;
        let cases = |name| cases::read(&root.need(name, "add a list of cases")?);
        let (ranking, mut benchmarks) = (ranking(&root)?, cases("benchmarks")?);
        if ranking == Ranking::Last {
            // The last alone is what GPU MODE's own runner asks for then, and what some evaluators can report.
            benchmarks.drain(..benchmarks.len().saturating_sub(1));
        }
        let seconds = |name| root.get(name)?.map_or(Ok(DEFAULT_TIMEOUT), |node| node.seconds());
        Ok(Self {
            lang: Lang::read(&root, &files)?,
            files,
            description: root
                .get("description")?
                .map(|node| node.text().map(|text| text.trim().to_owned()))
                .transpose()?,
            tests: cases("tests")?,
            benchmarks,
            timeouts: Timeouts {
                test: seconds("test_timeout")?,
                benchmark: seconds("benchmark_timeout")?,
                ranked: seconds("ranked_timeout")?,
            },
            ranking,
        })
    }
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
