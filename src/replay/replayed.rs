//! What a replay came to.

use std::fmt::Write as _;

use serde::Serialize;

use super::divergence::Divergence;

/// What a replay made again, and where it first came to something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The run's name.
    pub run_id: String,
    /// The program that began the run.
    pub program: String,
    /// Events that agree.
    pub events: u64,
    /// Iterations that ended.
    pub iterations: u64,
    /// Calls of the model that passed the gate, or could not be carried out, again.
    pub calls: u64,
    /// Calls that were refused again, by the same rule.
    pub refusals: u64,
    /// Changes that gave the same text again.
    pub edits: u64,
    /// Measurements that were judged alike again.
    pub verdicts: u64,
    /// Analyses that stand in their artifacts as the journal has them.
    pub analyses: u64,
    /// Commits that hold the text that was measured.
    pub commits: u64,
    /// Commits that are out of reach here: the repository is elsewhere, or has them no more.
    pub commits_out_of_reach: u64,
    /// The bytes of an unfinished last line.
    pub torn_bytes: u64,
    /// Why the run ended, where it did.
    pub stop_reason: Option<String>,
    /// The first point at which today's code says something else.
    pub divergence: Option<Divergence>,
}

impl Replayed {
    /// Tells whether everything agrees.
    pub fn agrees(&self) -> bool {
        self.divergence.is_none()
    }

    /// Returns the table for a person.
    pub fn text(&self) -> String {
        let mut text = format!("run         {} ({})\n", self.run_id, self.program);
        let rows = [
            ("events", self.events),
            ("iterations", self.iterations),
            ("calls", self.calls),
            ("refusals", self.refusals),
            ("edits", self.edits),
            ("verdicts", self.verdicts),
            ("analyses", self.analyses),
            ("commits", self.commits),
        ];
        for (name, count) in rows {
            let _ = writeln!(text, "{name:<10}  {count:>8}");
        }
        if self.commits_out_of_reach > 0 {
            let _ = writeln!(text, "{} more commits are out of reach here", self.commits_out_of_reach);
        }
        if self.torn_bytes > 0 {
            let _ = writeln!(text, "the last line is unfinished, and left out");
        }
        let end = self.stop_reason.as_deref().map_or("the run is not over".to_owned(), |stop| format!("stop: {stop}"));
        match &self.divergence {
            None => {
                let _ = writeln!(text, "all agree with today's code; {end}");
            }
            Some(Divergence { seq, event, journal, today }) => {
                let _ = writeln!(text, "DIVERGES at event {seq} ({event})");
                let _ = writeln!(text, "  the journal:  {journal}\n  today's code: {today}");
            }
        }
        text
    }
}
