//! The table of iterations, as text and page both show it.

use crate::protocol::{Decision, Figure, Finding, IterationRecord, RunState};

use super::style::Tone;
use super::text::{one_line, or_dash, padded, times};

/// The table's columns.
pub(super) const HEADS: [&str; 7] = ["#", "change", "smoke", "candidate", "final", "decision", "cause"];

/// The widest that a change or a cause may be in the terminal.
const CHANGE: usize = 44;
const CAUSE: usize = 48;

/// One iteration's cells, in the order of [`HEADS`]. They are harmless in a terminal, and not escaped for a page.
pub(super) fn cells(record: &IterationRecord, width: usize) -> [String; 7] {
    let cause = match (record.cause, &record.infra) {
        (Some(cause), Some(infra)) => format!("{}: {infra}", cause.describe()),
        (Some(cause), None) => cause.describe().to_owned(),
        (None, _) => String::new(),
    };
    [
        record.iteration.to_string(),
        or_dash(one_line(&record.change, width)),
        cell(record.test.as_ref(), |figure| figure.us.to_string()),
        cell(record.candidate.as_ref(), ratio),
        cell(record.confirmation.as_ref(), ratio),
        record.decision.to_string(),
        one_line(&cause, width.max(CAUSE)),
    ]
}

fn cell(found: Option<&Finding>, passed: impl Fn(&Figure) -> String) -> String {
    match found {
        Some(Finding::Passed(figure)) => passed(figure),
        Some(Finding::Failed { failure, .. }) => failure.to_string(),
        None => "-".to_owned(),
    }
}

fn ratio(figure: &Figure) -> String {
    figure.comparison.as_ref().map_or_else(|| figure.us.to_string(), |found| times(found.ratio))
}

/// Returns the table for a terminal, the columns aligned.
pub(super) fn table(state: &RunState) -> Vec<String> {
    let rows: Vec<_> = state.ledger.iter().map(|record| (record.decision, cells(record, CHANGE))).collect();
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| {
            let width = |cell: Option<&str>| cell.map_or(0, |cell| cell.chars().count());
            let heads = width(HEADS.get(column).copied());
            rows.iter().map(|(_, cells)| width(cells.get(column).map(String::as_str))).fold(heads, usize::max)
        })
        .collect();
    let line = |cells: &[&str]| {
        let cells: Vec<_> = cells.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![Tone::Faint.paint(&line(&HEADS))];
    for (decision, cells) in &rows {
        let text = line(&cells.each_ref().map(String::as_str));
        lines.push(match decision {
            Decision::Keep => Tone::Good.paint(&text),
            Decision::Revert => text,
        });
    }
    lines
}
