//! The report of a run: the result first, then how it came about.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;

use crate::protocol::{Budget, RunState};

use super::curve::Curve;
use super::rows;
use super::status::{Liveness, Status};
use super::style::{Block, Tone};
use super::text::{ROW, counted, dollars, duration, one_line, short_sha, thousands};
use super::words;

/// The report of a run at one moment.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    pub(super) state: &'a RunState,
    pub(super) status: Status,
    pub(super) folder: &'a Path,
}

impl<'a> Report<'a> {
    /// Returns the report of the run whose files lie in `folder`, at the time `now`.
    pub fn new(state: &'a RunState, now: Timestamp, liveness: Liveness, folder: &'a Path) -> Self {
        Self { state, status: Status::of(state, now, liveness), folder }
    }

    /// Returns the report for a person, as styled lines.
    pub fn text(&self) -> String {
        let state = self.state;
        let lead = words::lead(state);
        let mut block = Block::new(lead.sentence());
        for (label, value) in self.facts() {
            block.row(label, value);
        }
        let mut text = block.text();
        self.budget(&mut text);
        if let Some(curve) = Curve::of(state) {
            section(&mut text, "best so far, by iteration (log scale; ● kept, · other candidates, ┄ target)");
            lines(&mut text, curve.plot());
        }
        if !state.ledger.is_empty() {
            section(&mut text, "iterations");
            lines(&mut text, rows::table(state));
            lines(&mut text, RATIO_NOTE.map(|line| Tone::Faint.paint(line)));
        }
        self.commits(&mut text);
        self.closing(&mut text);
        text
    }

    /// The facts under the headline, as text and page both show them.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let (state, status) = (self.state, &self.status);
        vec![
            ("run", format!("{}, mission {}", status.run_id, one_line(&status.mission, 100))),
            ("ended", self.ending()),
            ("device", words::device_of(state)),
            ("kernel", one_line(&state.run.kernel, 100)),
            ("harness", format!("{}, runner {}", one_line(&state.run.harness, 100), one_line(&state.run.runner, 40))),
            ("model", one_line(&state.run.model, 100)),
            ("target", words::target(state)),
            ("decisions", format!("{} kept, {} reverted", status.keeps, status.reverts)),
            ("calls", status.calls()),
            ("time", status.time()),
            ("tokens", status.tokens_text()),
            ("overhead", status.overhead_text()),
            ("outside edits", status.outside_edits.to_string()),
        ]
    }

    fn ending(&self) -> String {
        match (&self.status.stop_detail, self.status.live) {
            (Some(detail), _) => one_line(detail, 600),
            (None, true) => format!("not yet: running, phase {}", self.status.phase.name()),
            (None, false) => format!("interrupted in phase {}", self.status.phase.name()),
        }
    }

    /// What was spent of what may be spent: name, spent, limit.
    pub(super) fn budget_rows(&self) -> Vec<(&'static str, String, String)> {
        let (status, counters) = (&self.status, &self.state.counters);
        let Budget { iterations, wall_ms, tokens, usd, no_progress, infra_failures, .. } = self.state.run.terms.budget;
        let limit = |limit: Option<String>| limit.map_or_else(|| "no limit".to_owned(), |limit| format!("of {limit}"));
        let count = |limit: Option<u32>| limit.map(|limit| thousands(limit.into()));
        let spent = status.tokens.prompt.saturating_add(status.tokens.completion);
        vec![
            ("iterations", thousands(self.state.ledger.len() as u64), limit(count(iterations))),
            ("wall", duration((status.wall_s * 1000.0) as u64), limit(wall_ms.map(duration))),
            ("tokens", thousands(spent), limit(tokens.map(thousands))),
            ("usd", dollars(status.cost_usd), limit(usd.map(dollars))),
            ("no_progress", thousands(counters.no_progress.into()), limit(count(no_progress))),
            ("infra_failures", thousands(counters.infra_unrecovered.into()), limit(count(infra_failures))),
        ]
    }

    fn budget(&self, text: &mut String) {
        section(text, "budget, spent of allowed");
        let rows = self.budget_rows();
        let width = rows.iter().map(|(_, spent, _)| spent.chars().count()).max().unwrap_or(0);
        lines(text, rows.iter().map(|(name, spent, limit)| format!("{name:<14}  {spent:>width$}  {limit}")));
    }

    fn commits(&self, text: &mut String) {
        section(text, &format!("commits on branch {}", one_line(&self.status.branch, 100)));
        if self.status.commits.is_empty() {
            lines(text, ["none".to_owned()]);
        }
        for commit in &self.status.commits {
            let us = commit.metric_us.map(|us| us.to_string()).unwrap_or_default();
            let paths: Vec<_> = commit.artifacts.iter().map(|artifact| one_line(&artifact.path, 80)).collect();
            let (sha, iteration) = (short_sha(&commit.sha), commit.iteration);
            lines(text, [format!("{sha}  iteration {iteration}, {us}  {}", paths.join(", "))]);
        }
    }

    fn closing(&self, text: &mut String) {
        section(text, "what next");
        lines(text, self.next_rows());
    }

    /// Where the evidence lies, and what a person may do now.
    pub(super) fn next_rows(&self) -> Vec<String> {
        let mut rows = vec![format!("artifacts and journal: {}", one_line(&self.folder.display().to_string(), ROW))];
        if let Some(step) = words::next_step(self.state) {
            rows.push(format!("the model's next step: {}", one_line(step, 2 * ROW)));
        }
        if !self.status.commits.is_empty() {
            rows.push(format!("to take the result: git merge {}", one_line(&self.status.branch, 100)));
        }
        if self.status.stop_reason.as_deref() != Some("target_reached") && !self.status.live {
            rows.push(format!("to go on: agent resume {}", self.status.run_id));
        }
        rows
    }

    /// Returns the run's end in one line: result, reason, commits.
    pub fn summary(&self) -> String {
        let lead = words::lead(self.state).sentence();
        let commits = counted(self.status.commits.len() as u64, "commit");
        let branch = one_line(&self.status.branch, 100);
        let (id, ending) = (&self.status.run_id, self.ending());
        format!("run {id}: {ending}; {lead}; {commits} on {branch}; {}", words::device_of(self.state))
    }
}

/// What the ratios of the table mean, in two lines.
pub(super) const RATIO_NOTE: [&str; 2] = [
    "A ratio is the incumbent's time over the candidate's, from paired blocks of one duel: above 1 is faster.",
    "Intervals cover it with 95% where there are pairs enough, and are the widest possible ones below that.",
];

fn section(text: &mut String, title: &str) {
    writeln!(text, "\n{}", Tone::Strong.paint(title)).ok();
}

fn lines(text: &mut String, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        writeln!(text, "  {line}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BudgetKind, Event, KernelFailure, Purpose, StopReason, StopSource};
    use crate::report::night::{Night, plain, started};

    fn text(night: &Night) -> String {
        plain(&Report::new(&night.state, night.now(), Liveness::Gone, Path::new("/runs/night-1")).text())
    }

    #[test]
    fn a_night_that_reached_its_target_leads_with_the_measured_ratio() {
        insta::assert_snapshot!(text(&Night::success()));
    }

    #[test]
    fn a_run_that_has_only_begun_reports_without_a_figure() {
        let text = text(&Night::begin());
        assert!(text.starts_with("no measured speed-up: the kernel as found has not been measured\n"), "{text}");
        assert!(text.contains("no measurement yet; the mission asks for B200"), "{text}");
        assert!(!text.contains("µs,") && !text.contains("\niterations\n"), "{text}");
    }

    #[test]
    fn a_baseline_that_fails_its_own_harness_is_the_reason() {
        let mut night = Night::begin();
        night.fail(Purpose::Test, KernelFailure::WrongAnswer, "case 0");
        let message = "the kernel as found does not pass its own harness (wrong answer): case 0".to_owned();
        night.stop(StopReason::Blocked { message });
        let text = text(&night);
        assert!(text.contains("blocked: the kernel as found does not pass its own harness (wrong answer)"), "{text}");
        assert!(text.contains("agent resume night-1"), "{text}");
    }

    #[test]
    fn a_night_without_a_kept_change_says_that_there_is_nothing_to_measure() {
        let mut night = Night::begin();
        night.baseline(812.0).slower("pad the rows", 812.0, 900.0, "unroll");
        night.stop(StopReason::Budget { budget: BudgetKind::Iterations });
        let text = text(&night);
        assert!(text.starts_with("no measured speed-up: no change was kept"), "{text}");
        assert!(text.contains("the budget `iterations` is spent"), "{text}");
        assert!(text.contains("the model's next step: unroll"), "{text}");
    }

    #[test]
    fn a_user_s_stop_before_the_last_duel_leaves_the_ratio_unmeasured() {
        let mut night = Night::begin();
        night.baseline(812.0).kept("unroll", 812.0, 500.0, "vectorise");
        night.apply(Event::StopRequested { by: StopSource::Signal }).stop(StopReason::User);
        let text = text(&night);
        assert!(
            text.starts_with("no measured speed-up: the run ended before the best kernel met the original"),
            "{text}"
        );
        assert!(text.contains("git merge agent/night-1"), "{text}");
    }

    #[test]
    fn a_last_duel_without_a_figure_says_whose_fault_it_was() {
        let closing = || {
            let mut night = Night::begin();
            night.baseline(812.0).kept("unroll", 812.0, 500.0, "vectorise");
            night.apply(Event::Closing { reason: StopReason::Budget { budget: BudgetKind::Wall } });
            night
        };
        let mut night = closing();
        night.infra(Purpose::Headline, "gone").infra(Purpose::Headline, "gone");
        assert!(text(&night).contains("failed for reasons of the infrastructure"));
        let mut night = closing();
        night.fail(Purpose::Headline, KernelFailure::Timeout, "slow");
        assert!(
            text(&night).contains("gave no figure in the last duel against the original, see headline/headline.txt")
        );
    }

    #[test]
    fn a_ratio_that_may_be_luck_is_not_sold_as_a_gain() {
        let mut night = Night::begin();
        night.baseline(812.0).kept("unroll", 812.0, 500.0, "");
        night.apply(Event::Closing { reason: StopReason::Budget { budget: BudgetKind::Wall } });
        night.measure(Purpose::Headline, 812.0, 812.0);
        assert!(text(&night).starts_with("1.000x the speed of the kernel as found"));
        assert!(text(&night).contains("no sure gain"));
    }

    #[test]
    fn a_cpu_night_says_that_it_was_one() {
        let mut night = Night::with(started("cpu"));
        night.baseline(812.0);
        assert!(text(&night).contains("measured on the cpu, not on a GPU: cpu (AMD EPYC 9654)"));
        let report = Report::new(&night.state, night.now(), Liveness::Live, Path::new("/runs/night-1"));
        assert!(report.summary().contains("measured on the cpu"));
    }

    #[test]
    fn a_long_night_s_curve_and_table_stay_in_shape() {
        let mut night = Night::begin();
        night.baseline(812.0);
        for n in 0..200 {
            if n % 40 == 7 {
                let from = night.state.best_us.unwrap().get();
                night.kept("a step", from, from * 0.8, "");
            } else {
                let best = night.state.best_us.unwrap().get();
                night.slower(&format!("try {n} \u{1b}[31m"), best, best * 1.3, "");
            }
        }
        let text = text(&night);
        let curve: Vec<_> = text.lines().filter(|line| line.contains('│') || line.contains('└')).collect();
        assert_eq!(curve.len(), 10, "{text}");
        assert!(curve.iter().all(|line| line.chars().count() <= 90), "{text}");
        assert_eq!(text.matches('●').count(), 6, "five kept changes and the legend: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 180 && !line.contains('\u{1b}')), "{text}");
    }
}
