//! The status of a run, as a screen for people.

use crate::protocol::{Iteration, Micros};

use super::status::{Status, Tokens};
use super::style::{Block, Tone};
use super::text::{counted, dollars, duration, micros, one_line, or_dash, short_sha, thousands, times};
use super::words;

/// Commits that a person is shown, the newest ones; the object has all of them.
const SHOWN_COMMITS: usize = 5;

impl Status {
    /// Returns the status for a person: styled lines, no more than a screen of them.
    pub fn text(&self) -> String {
        let mut block = Block::new(format!("{}  {}", Tone::Strong.paint(&self.run_id), self.activity()));
        block
            .row("mission", one_line(&self.mission, 100))
            .row("phase", self.phase_text())
            .row("device", words::device(self.device.as_deref(), &self.gpu))
            .row(self.metric_name.as_str(), self.metric())
            .row("speed-up", self.speedup_text())
            .row("decisions", format!("{} kept, {} reverted", self.keeps, self.reverts))
            .row("calls", self.calls())
            .row("tokens", self.tokens_text())
            .row("time", self.time())
            .row("overhead", self.overhead_text());
        if self.outside_edits > 0 {
            block.row("outside edits", Tone::Warn.paint(&self.outside_edits.to_string()));
        }
        if self.resumes > 0 {
            block.row("resumed", counted(self.resumes.into(), "time"));
        }
        block.row("branch", one_line(&self.branch, 100));
        self.commit_rows(&mut block);
        block.text()
    }

    fn activity(&self) -> String {
        match (&self.stop_detail, self.live) {
            (Some(detail), _) if self.stop_reason.as_deref() == Some("target_reached") => Tone::Good.paint(detail),
            (Some(detail), _) => Tone::Warn.paint(&one_line(detail, 400)),
            (None, true) => Tone::Good.paint("running"),
            (None, false) => Tone::Bad.paint(&format!("interrupted; `agent resume {}` goes on", self.run_id)),
        }
    }

    fn phase_text(&self) -> String {
        let phase = self.phase.name();
        if self.iteration == Iteration::BASELINE {
            phase.to_owned()
        } else {
            format!("{phase}, iteration {}", self.iteration)
        }
    }

    fn metric(&self) -> String {
        let us = |us: Option<f64>| us.map_or_else(|| "not known yet".to_owned(), micros);
        format!(
            "best {}, baseline {}, target {}",
            us(self.best_us.map(Micros::get)),
            us(self.baseline_us.map(Micros::get)),
            us(self.target_us)
        )
    }

    fn speedup_text(&self) -> String {
        match (&self.headline, self.speedup) {
            (Some(found), _) => {
                let interval = words::interval(found.low, found.high);
                format!(
                    "{} {interval} against the kernel as found, in one duel",
                    Tone::Strong.paint(&times(found.ratio))
                )
            }
            (None, Some(_)) if self.keeps == 0 => "none: no change was kept".to_owned(),
            (None, Some(guide)) => {
                let rest = if self.stop_reason.is_some() { "no last duel was made" } else { "the last duel will tell" };
                format!("{} by separate measurements; {rest}", times(guide))
            }
            (None, None) => "not known yet".to_owned(),
        }
    }

    pub(super) fn calls(&self) -> String {
        let each = self.round_trips_per_iteration.map(|each| format!(" ({each:.1} an iteration)")).unwrap_or_default();
        format!(
            "{}{each}, {} refused, {} failed; {}, {}, {}",
            counted(self.round_trips.into(), "round trip"),
            self.refusals,
            self.failed_calls,
            counted(self.infra_failures.into(), "infra failure"),
            counted(self.model_faults.into(), "model fault"),
            counted(self.format_errors.into(), "format error"),
        )
    }

    pub(super) fn tokens_text(&self) -> String {
        let Tokens { prompt, cached, completion } = self.tokens;
        let [prompt, cached, completion] = [prompt, cached, completion].map(thousands);
        format!("{prompt} prompt ({cached} cached), {completion} completion, {}", dollars(self.cost_usd))
    }

    pub(super) fn time(&self) -> String {
        let [wall, harness, model] = [self.wall_s, self.harness_s, self.model_s].map(|s| duration((s * 1000.0) as u64));
        format!("{wall}, of which harness {harness}, model {model}")
    }

    pub(super) fn overhead_text(&self) -> String {
        match (self.overhead_ms.p50, self.overhead_ms.p99) {
            (Some(p50), Some(p99)) => format!("{p50:.1} ms a call, 99 of 100 below {p99:.1} ms"),
            _ => "no call so far".to_owned(),
        }
    }

    fn commit_rows(&self, block: &mut Block) {
        let hidden = self.commits.len().saturating_sub(SHOWN_COMMITS);
        if self.commits.is_empty() {
            block.row("commits", "none");
        }
        for (place, commit) in self.commits.iter().skip(hidden).enumerate() {
            let label = if place == 0 { "commits" } else { "" };
            let us = or_dash(commit.metric_us.map(|us| us.to_string()).unwrap_or_default());
            block.row(label, format!("{}  iteration {}, {us}", short_sha(&commit.sha), commit.iteration));
        }
        if hidden > 0 {
            block.row("", format!("and {} before", counted(hidden as u64, "commit")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StopReason;
    use crate::report::Liveness;
    use crate::report::night::{Night, plain, started};

    fn of(night: &Night, liveness: Liveness) -> Status {
        Status::of(&night.state, night.now(), liveness)
    }

    #[test]
    fn a_run_that_has_only_begun_fills_its_screen_without_a_figure() {
        insta::assert_snapshot!(plain(&of(&Night::begin(), Liveness::Live).text()));
    }

    #[test]
    fn a_finished_run_fills_its_screen() {
        insta::assert_snapshot!(plain(&of(&Night::success(), Liveness::Gone).text()));
    }

    #[test]
    fn a_speed_up_is_never_shown_for_more_than_it_is() {
        let mut night = Night::begin();
        night.baseline(812.0);
        assert!(of(&night, Liveness::Live).text().contains("none: no change was kept"));
        night.kept("unroll", 812.0, 500.0, "");
        assert!(of(&night, Liveness::Live).text().contains("1.624x by separate measurements; the last duel will tell"));
        night.stop(StopReason::User);
        assert!(of(&night, Liveness::Gone).text().contains("1.624x by separate measurements; no last duel was made"));
    }

    #[test]
    fn a_blocked_run_on_the_cpu_says_both() {
        let mut night = Night::with(started("cpu"));
        night.baseline(812.0).stop(StopReason::Blocked { message: "no key;\u{1b}[2J set one".to_owned() });
        let text = plain(&of(&night, Liveness::Gone).text());
        assert!(text.starts_with("night-1  blocked: no key;␛[2J set one\n"), "{text}");
        assert!(text.contains("measured on the cpu, not on a GPU: cpu (AMD EPYC 9654)"), "{text}");
    }

    #[test]
    fn an_interrupted_run_says_how_to_go_on() {
        let mut night = Night::begin();
        night.baseline(812.0).turn().edit("unroll");
        let text = plain(&of(&night, Liveness::Gone).text());
        assert!(text.starts_with("night-1  interrupted; `agent resume night-1` goes on"), "{text}");
        assert!(text.contains("edited, iteration 1"), "{text}");
        let text = plain(&of(&night, Liveness::Live).text());
        assert!(text.starts_with("night-1  running\n"), "{text}");
    }

    #[test]
    fn the_text_fits_a_screen_whatever_the_night_brought() {
        let mut night = Night::begin();
        night.baseline(812.0);
        for n in 0..12 {
            let from = 812.0 * 0.9_f64.powi(n);
            night.kept(&format!("change {n}"), from, from * 0.9, "");
        }
        let text = plain(&of(&night, Liveness::Live).text());
        assert!(text.lines().count() <= 24, "{text}");
        assert!(text.contains("and 7 commits before"), "{text}");
    }
}
