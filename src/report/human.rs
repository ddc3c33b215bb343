//! The live view for a person.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::protocol::{Event, Moment, RunState};
use crate::runner::Progress;

use super::iteration::{baseline_report, iteration_report};
use super::meter::Meter;
use super::observer::{Observer, Outlet};
use super::run::Report;
use super::status::Liveness;
use super::steps;
use super::style::{Block, Tone};
use super::text::{LINE, ROW, one_line};
use super::words;

/// The observer for a person: a line for each step, a block for each iteration, a moving line for what is under way.
#[derive(Debug)]
pub struct Human<W> {
    out: Outlet<W>,
    meter: Meter,
    folder: PathBuf,
    last: Printed,
}

/// What was printed last: two blocks share the empty line between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printed {
    Line,
    Block,
}

impl<W: Write> Human<W> {
    /// Returns an observer that writes styled text to `out`; the run's files lie in `folder`.
    pub fn new(out: W, meter: Meter, folder: PathBuf) -> Self {
        Self { out: Outlet::new(out), meter, folder, last: Printed::Line }
    }

    fn line(&mut self, text: &str) {
        self.print(&format!("{text}\n"));
        self.last = Printed::Line;
    }

    fn block(&mut self, text: &str) {
        let gap = if self.last == Printed::Block { "" } else { "\n" };
        self.print(&format!("{gap}{text}\n"));
        self.last = Printed::Block;
    }

    fn print(&mut self, text: &str) {
        let out = &mut self.out;
        self.meter.aside(|| out.put(text));
    }
}

impl<W: Write> Observer for Human<W> {
    fn event(&mut self, before: &Moment, event: &Event, _line: &str, after: &RunState) {
        // Whatever was under way has come to its event.
        self.meter.end();
        if let Some((tone, text)) = steps::step(before, event, after) {
            let mark = if matches!(tone, Tone::Warn | Tone::Bad) { '!' } else { '·' };
            self.line(&tone.paint(&format!("{mark} {text}")));
        }
        match event {
            Event::RunStarted(_) => self.block(&opening(after)),
            Event::IterationFinished { .. } => {
                if let Some(record) = after.ledger.last() {
                    self.block(&iteration_report(after, record));
                }
            }
            Event::RunStopped { .. } => self.block(&ending(after, &self.folder)),
            _ if before.baseline_us.is_none() => {
                if let Some(report) = baseline_report(after) {
                    self.block(&report);
                }
            }
            _ => {}
        }
        if let Some(task) = steps::task(event, after) {
            self.meter.begin(task);
        }
    }

    fn progress(&mut self, progress: Progress) {
        self.meter.progress(&progress);
    }

    fn note(&mut self, text: &str) {
        self.line(&Tone::Faint.paint(&format!("· {}", one_line(text, LINE))));
    }
}

fn opening(state: &RunState) -> String {
    let run = &state.run;
    let mut block = Block::new(format!("{} {}", Tone::Strong.paint("run"), Tone::Strong.paint(run.run_id.as_str())));
    block
        .row("Mission", one_line(&run.mission, ROW))
        .row("Kernel", one_line(&run.kernel, ROW))
        .row("Harness", one_line(&run.harness, ROW))
        .row("Target", words::target(state))
        .row("Device", one_line(&run.terms.gpu.0, 80))
        .row("Model", one_line(&run.model, ROW))
        .row("Runner", one_line(&run.runner, ROW))
        .row("Branch", one_line(&run.branch, ROW));
    block.text()
}

fn ending(state: &RunState, folder: &Path) -> String {
    let report = Report::new(state, state.last_event, Liveness::Gone, folder);
    let status = &report.status;
    let reason = status.stop_detail.as_deref().map(|detail| one_line(detail, 600)).unwrap_or_default();
    let mut block = Block::new(format!("{} {reason}", Tone::Strong.paint("run over:")));
    block
        .row("Result", words::lead(state).sentence())
        .row("Decisions", format!("{} kept, {} reverted", status.keeps, status.reverts))
        .row("Commits", format!("{} on branch {}", status.commits.len(), one_line(&status.branch, 100)))
        .row("Time", status.time())
        .row("Tokens", status.tokens_text())
        .row("Device", words::device_of(state))
        .row("Report", one_line(&folder.join("report.html").display().to_string(), ROW));
    if status.stop_reason.as_deref() != Some("target_reached") {
        block.row("To go on", format!("agent resume {}", status.run_id));
    }
    block.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ContentHash, Decision, Purpose, Refusal, RevertCause, Rule, StopReason, StopSource, Tool};
    use crate::report::night::{Night, plain, started};

    fn shown(night: &Night) -> String {
        let mut out = Vec::new();
        let mut human = Human::new(&mut out, Meter::hidden(), "/runs/night-1".into());
        night.show(&mut human);
        human.progress(Progress::Building);
        plain(&String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_good_night_reads_from_the_start_to_the_report() {
        insta::assert_snapshot!(shown(&Night::success()));
    }

    #[test]
    fn a_bad_night_shows_everything_that_a_person_should_know() {
        let mut run = started("cpu");
        run.deploy_due = Some(ContentHash::of(b"app"));
        let mut night = Night::with(run);
        let deploy =
            || Event::DeployStarted { command: "deploy.sh\u{1b}[2J".to_owned(), watched: ContentHash::of(b"app") };
        night.apply(deploy()).apply(Event::DeployFinished { exit_code: 1, output: "a\n\nno\u{7} token\n".to_owned() });
        night.apply(deploy()).apply(Event::DeployFinished { exit_code: 0, output: String::new() });
        night.baseline(812.0).turn();
        let refusal = Refusal {
            rule: Rule::OrderOfSteps,
            message: "test-run is not legal in phase idle".to_owned(),
            legal: vec![Tool::EditKernel],
        };
        night.apply(Event::CallRefused { call: "c1".to_owned(), tool: "test-run".to_owned(), refusal });
        let message = "no such line".to_owned();
        night.apply(Event::CallFailed { call: "c2".to_owned(), tool: "read-file".to_owned(), message });
        let path = "src/\nkernel.c".to_owned();
        night.apply(Event::FileRead { call: "c3".to_owned(), path, first: 1, last: 80 });
        night.apply(Event::OutsideEdit { found: ContentHash::of(b"theirs"), rescued: "rescued/1.c".to_owned() });
        night.edit("unroll").infra(Purpose::Test, "no route").measure(Purpose::Test, 700.0, 812.0);
        night.analyse(Decision::Keep, "benchmark it").measure(Purpose::Candidate, 700.0, 812.0);
        night.apply(Event::RunResumed { pid: 77, budget: None });
        night.apply(Event::StopRequested { by: StopSource::Signal }).revert(RevertCause::UserStop);
        night.stop(StopReason::User);
        insta::assert_snapshot!(shown(&night));
    }

    #[test]
    fn a_target_that_the_last_duel_does_not_confirm_is_said_not_to_be_reached() {
        let mut night = Night::begin();
        night.baseline(812.0).kept("unroll", 812.0, 405.0, "");
        night.apply(Event::Closing { reason: StopReason::TargetReached }).measure(Purpose::Headline, 430.0, 812.0);
        assert!(shown(&night).contains("; the target is not confirmed, the loop goes on"));
    }

    #[test]
    fn an_ambiguous_final_benchmark_announces_the_larger_one() {
        let mut night = Night::begin();
        night.state.run.terms.profiles.final_.pairs = 4;
        night.baseline(812.0).edit("maybe");
        night.measure(Purpose::Test, 700.0, 812.0).analyse(Decision::Keep, "");
        night.measure(Purpose::Candidate, 700.0, 812.0).analyse(Decision::Keep, "").measure(
            Purpose::Final,
            700.0,
            812.0,
        );
        let text = shown(&night);
        assert!(text.contains("ambiguous beyond 1.00%, p 0.0999 · 4 pairs; a larger duel follows"), "{text}");
    }

    #[test]
    fn a_note_is_one_harmless_line() {
        let mut out = Vec::new();
        Human::new(&mut out, Meter::hidden(), "/runs".into()).note("a\nb\u{1b}[2J");
        assert_eq!(plain(&String::from_utf8(out).unwrap()), "· a b␛[2J\n");
    }
}
