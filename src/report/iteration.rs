//! The report of an iteration, and of the baseline, in the mission's own order.

use crate::protocol::{Decision, Finding, IterationRecord, Purpose, RunState};

use super::style::{Block, Tone};
use super::text::{ROW, one_line, or_dash, short_sha};
use super::words;

/// Returns the report of one finished iteration, as a block of styled lines.
///
/// Its rows are those that the mission prompt asks for: change tried, smoke/test result, candidate and final benchmark
/// result, parsed metric, decision, next single change; and the device, without which a figure says nothing.
pub fn iteration_report(state: &RunState, record: &IterationRecord) -> String {
    let (tone, mark) = match record.decision {
        Decision::Keep => (Tone::Good, "KEEP"),
        Decision::Revert => (Tone::Warn, "REVERT"),
    };
    let title = format!("{} {}", Tone::Strong.paint(&format!("iteration {}:", record.iteration)), tone.paint(mark));
    let mut block = Block::new(title);
    block
        .row("Change tried", change(record))
        .row("Smoke/test result", test(record.test.as_ref()))
        .row("Candidate benchmark result", words::finding(record.candidate.as_ref(), Purpose::Candidate))
        .row("Final benchmark result", words::finding(record.confirmation.as_ref(), Purpose::Final));
    if let Some(recheck) = &record.recheck {
        block.row("Recheck before the commit", test(Some(recheck)));
    }
    block
        .row(&format!("Parsed {}", state.run.terms.metric), parsed(record))
        .row("Decision", tone.paint(&decision(record)))
        .row("Next single change", or_dash(one_line(&record.next_step, ROW)))
        .row("Device", words::device_of(state));
    block.text()
}

/// Returns the report of the baseline, as a block of styled lines; `None` before its metric is known.
pub fn baseline_report(state: &RunState) -> Option<String> {
    let baseline = state.baseline.as_ref()?;
    let blocker = state.blocked.as_deref().map_or_else(|| "none".to_owned(), |message| one_line(message, ROW));
    let best = state.best_us.unwrap_or(baseline.us);
    let artifacts: Vec<_> = baseline.artifacts.iter().map(|artifact| one_line(&artifact.path, 80)).collect();
    let mut block = Block::new(Tone::Strong.paint("baseline: the kernel as found"));
    block
        .row("Kernel", one_line(&state.run.kernel, ROW))
        .row(&format!("Parsed {}", state.run.terms.metric), baseline.us.to_string())
        .row("Best known", best.to_string())
        .row("Target", words::target(state))
        .row("Blocker", blocker)
        .row(
            "Next single change",
            words::next_step(state).map_or_else(|| "not proposed yet".to_owned(), |step| one_line(step, ROW)),
        )
        .row("Artifacts", or_dash(artifacts.join(", ")))
        .row("Device", words::device_of(state));
    Some(block.text())
}

fn change(record: &IterationRecord) -> String {
    let by = record.by.as_ref().map(|by| format!(" (by {})", one_line(by.name(), 60))).unwrap_or_default();
    let change = match (one_line(&record.change, ROW), record.kernel) {
        (change, _) if !change.is_empty() => change,
        (_, Some(_)) => "a change without a description".to_owned(),
        (_, None) => "none: the model changed nothing".to_owned(),
    };
    change + &by
}

fn test(found: Option<&Finding>) -> String {
    let text = words::finding(found, Purpose::Test);
    if matches!(found, Some(Finding::Passed(_))) { format!("passed, {text}") } else { text }
}

/// The metric of the most thorough measurement that the change passed.
fn parsed(record: &IterationRecord) -> String {
    [(&record.confirmation, "final"), (&record.candidate, "candidate"), (&record.test, "smoke")]
        .into_iter()
        .find_map(|(found, profile)| match found {
            Some(Finding::Passed(figure)) => Some(format!("{} ({profile})", figure.us)),
            _ => None,
        })
        .unwrap_or_else(|| "none".to_owned())
}

/// The decision with its commit or its cause.
fn decision(record: &IterationRecord) -> String {
    let commit = record.kept.as_ref().map(|kept| format!(", commit {}", short_sha(&kept.sha)));
    let cause = record.cause.map(|cause| format!(": {}", cause.describe()));
    let infra = record.infra.as_deref().map(|message| format!(": {}", one_line(message, ROW)));
    format!(
        "{}{}{}{}",
        record.decision,
        commit.unwrap_or_default(),
        cause.unwrap_or_default(),
        infra.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{KernelFailure, Purpose, RevertCause};
    use crate::report::night::{Night, plain, started};

    fn last(night: &Night) -> String {
        plain(&iteration_report(&night.state, night.state.ledger.last().unwrap()))
    }

    #[test]
    fn a_kept_change_is_reported_with_its_duels_and_its_commit() {
        let mut night = Night::begin();
        night.baseline(812.0).kept("unroll by 4", 812.0, 412.3, "vectorise the loads");
        insta::assert_snapshot!(last(&night));
    }

    #[test]
    fn a_failed_test_is_reported_with_the_failure() {
        let mut night = Night::begin();
        night.baseline(812.0).edit("use tensor cores");
        night.fail(Purpose::Test, KernelFailure::Compile, "kernel.cu(12): error: expected a `;`\n1 error");
        night.analyse(Decision::Revert, "try again without them").revert(RevertCause::TestFailed);
        insta::assert_snapshot!(last(&night));
    }

    #[test]
    fn a_final_benchmark_that_confirms_nothing_is_reported_as_such() {
        let mut night = Night::begin();
        night.baseline(812.0).edit("luck");
        night.measure(Purpose::Test, 700.0, 812.0).analyse(Decision::Keep, "");
        night.measure(Purpose::Candidate, 700.0, 812.0).analyse(Decision::Keep, "");
        night.measure(Purpose::Final, 811.0, 812.0).analyse(Decision::Revert, "").revert(RevertCause::NotConfirmed);
        let text = last(&night);
        assert!(text.contains("1.162x"), "the candidate's ratio stands: {text}");
        assert!(text.contains("1.001x") && text.contains("not improved"), "{text}");
        assert!(text.contains("REVERT: the final benchmark did not confirm the gain"), "{text}");
    }

    #[test]
    fn an_infra_failure_is_not_blamed_on_the_change() {
        let mut night = Night::begin();
        night.baseline(812.0).edit("fine").infra(Purpose::Test, "ssh: no route").infra(Purpose::Test, "ssh: no route");
        night.revert(RevertCause::Infra);
        let text = last(&night);
        assert!(text.contains("Smoke/test result           not run"), "{text}");
        assert!(text.contains("REVERT: the infrastructure failed twice: ssh: no route"), "{text}");
    }

    #[test]
    fn an_iteration_without_a_change_says_so() {
        let mut night = Night::begin();
        night.baseline(812.0);
        let (iteration, cause) = (night.state.iteration, Some(RevertCause::Stuck));
        night.apply(crate::protocol::Event::IterationFinished { iteration, decision: Decision::Revert, cause });
        let text = last(&night);
        assert!(text.contains("none: the model changed nothing"), "{text}");
        assert!(text.contains("Parsed median_us            none"), "{text}");
    }

    #[test]
    fn hostile_words_reach_the_terminal_as_harmless_single_rows() {
        let hostile = format!("\u{1b}[2J\u{1b}]8;;file:///etc\u{7}x\nDecision  KEEP\r{}", "y".repeat(100_000));
        let mut night = Night::begin();
        night.baseline(812.0).edit(&hostile).fail(Purpose::Test, KernelFailure::Crash, &hostile);
        night.analyse(Decision::Revert, &hostile).revert(RevertCause::TestFailed);
        let styled = iteration_report(&night.state, night.state.ledger.last().unwrap());
        let text = plain(&styled);
        assert_eq!(text.lines().count(), 9, "a title and eight rows: {text}");
        assert!(text.lines().all(|line| line.chars().count() < 340), "{text}");
        assert!(!text.contains('\u{1b}') && !styled.contains("\u{1b}[2J") && !styled.contains("\u{1b}]"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("  Decision")).count(), 1);
    }

    #[test]
    fn the_baseline_is_reported_once_it_is_known() {
        let mut night = Night::begin();
        assert_eq!(baseline_report(&night.state), None);
        night.baseline(812.0);
        insta::assert_snapshot!(plain(&baseline_report(&night.state).unwrap()));
    }

    #[test]
    fn figures_from_the_cpu_always_say_so() {
        let mut night = Night::with(started("cpu"));
        night.baseline(812.0).kept("unroll", 812.0, 400.0, "");
        let device = "measured on the cpu, not on a GPU: cpu (AMD EPYC 9654)";
        assert!(last(&night).contains(device));
        assert!(baseline_report(&night.state).unwrap().contains(device));
    }
}
