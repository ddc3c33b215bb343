//! What was measured, in the fewest words that keep the evidence whole: ratio, interval, verdict.

use super::quote::one_line;
use crate::protocol::{
    Comparison, Decision, Evidence, Figure, Finding, IterationRecord, Outcome, Purpose, RevertCause,
};

/// The longest account of a failure in a row of the ledger, in characters.
const ACCOUNT: usize = 120;

/// Says what an iteration came to, without its change.
pub(super) fn came_to(record: &IterationRecord) -> String {
    match record.decision {
        Decision::Keep => match &record.confirmation {
            Some(Finding::Passed(figure)) => format!("KEEP {}", duel(figure)),
            Some(Finding::Failed { .. }) | None => "KEEP".to_owned(),
        },
        Decision::Revert => format!("REVERT {}", why_reverted(record)),
    }
}

fn why_reverted(record: &IterationRecord) -> String {
    let cause = record.cause.map_or("", RevertCause::describe);
    let found = [
        ("recheck", &record.recheck),
        ("final", &record.confirmation),
        ("candidate", &record.candidate),
        ("smoke", &record.test),
    ];
    let last = found.into_iter().find_map(|(name, finding)| finding.as_ref().map(|finding| (name, finding)));
    match (record.cause, last) {
        (Some(RevertCause::TestFailed | RevertCause::NotImproved | RevertCause::NotConfirmed), Some((name, found))) => {
            format!("{name} {}", finding(found))
        }
        (_, Some((name, found @ Finding::Passed(Figure { comparison: Some(_), .. })))) => {
            format!("{cause}; {name} {}", finding(found))
        }
        _ => cause.to_owned(),
    }
}

fn finding(finding: &Finding) -> String {
    match finding {
        Finding::Passed(figure) => duel(figure),
        Finding::Failed { failure, message } => format!("failed ({failure}): {}", one_line(message, ACCOUNT)),
    }
}

/// Returns `405.3 µs against 812.0 µs, 2.003x [1.980, 2.020], improved`.
fn duel(figure: &Figure) -> String {
    let mut text = figure.us.to_string();
    if let (Some(incumbent), Some(found)) = (figure.incumbent_us, &figure.comparison) {
        text.push_str(&format!(" against {incumbent}, {}", comparison(found)));
    }
    text
}

fn comparison(found: &Comparison) -> String {
    let Comparison { ratio, low, high, verdict, .. } = found;
    let setback = found.setback.as_ref().map(|setback| format!(": {}", one_line(&setback.to_string(), ACCOUNT)));
    format!("{ratio:.3}x [{low:.3}, {high:.3}], {verdict}{}{}", found.beyond(), setback.unwrap_or_default())
}

/// Returns the best ratio that an iteration's change was measured at, or how it failed, in a word or two.
pub(super) fn in_a_word(record: &IterationRecord) -> String {
    let figure = [&record.confirmation, &record.candidate].into_iter().flatten().find_map(|found| match found {
        Finding::Passed(figure) => figure.comparison.as_ref().map(|found| format!("{:.3}x", found.ratio)),
        Finding::Failed { failure, .. } => Some(failure.to_string()),
    });
    figure.unwrap_or_else(|| match (&record.test, record.cause) {
        (Some(Finding::Failed { failure, .. }), _) => failure.to_string(),
        (_, Some(cause)) => cause.describe().to_owned(),
        _ => String::new(),
    })
}

/// Says what a measurement of the change in flight found.
pub(super) fn evidence(purpose: Purpose, evidence: &Evidence) -> String {
    let found = match &evidence.outcome {
        Outcome::Measured { candidate, incumbent, comparison, .. } => {
            let (us, incumbent_us) = (candidate.us, incumbent.as_ref().map(|side| side.us));
            format!("passed, {}", duel(&Figure { us, incumbent_us, comparison: comparison.clone() }))
        }
        Outcome::KernelFailed { failure, message } => format!("failed ({failure}): {}", one_line(message, 600)),
        Outcome::InfraFailed { failure, message } => format!("no measurement ({failure}): {}", one_line(message, 200)),
    };
    format!("{}: {found} (artifact {})", purpose.as_str(), evidence.artifact.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Setback, Verdict};

    #[test]
    fn a_gain_that_was_not_enough_says_what_would_have_been_and_a_setback_is_named() {
        let mut found = Comparison {
            verdict: Verdict::NotImproved,
            ratio: 1.05,
            low: 1.03,
            high: 1.07,
            p_value: 0.4,
            pairs: 8,
            margin: 0.081,
            setback: None,
        };
        assert_eq!(comparison(&found), "1.050x [1.030, 1.070], not improved beyond 8.10%");
        found.setback = Some(Setback { of: "n=64".to_owned(), ratio: 0.9 });
        assert_eq!(comparison(&found), "1.050x [1.030, 1.070], not improved: n=64 is slower: 0.900x");
        (found.setback, found.ratio) = (None, 0.95);
        assert_eq!(comparison(&found), "0.950x [1.030, 1.070], not improved");
        (found.verdict, found.ratio) = (Verdict::Improved, 1.1);
        assert_eq!(comparison(&found), "1.100x [1.030, 1.070], improved");
    }
}
