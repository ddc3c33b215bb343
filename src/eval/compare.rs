//! What was expected beside what came.

use super::expected::{Ended, Expected};
use super::play::{ExitCode, Played};
use crate::protocol::{Event, Rule, StopReason};

/// Returns a line for each difference.
pub(super) fn differences(expected: &Expected, played: &Played, exit_code: ExitCode) -> Vec<String> {
    let state = &played.state;
    let stop = state.stop.as_ref();
    let ended = state.ledger.iter().map(|record| Ended { decision: record.decision, cause: record.cause });
    let refusals = played.refusals().map(Rule::name).collect::<Vec<_>>();
    let wanted = |list: &[Ended]| list.iter().map(word).collect::<Vec<_>>().join(", ");
    let found = wanted(&ended.collect::<Vec<_>>());
    let detail = stop.map(ToString::to_string).unwrap_or_default();
    let rules = |rules: &Vec<Rule>| rules.iter().map(|rule| rule.name()).collect::<Vec<_>>().join(", ");
    [
        differs("stop", expected.stop.clone(), stop.map(|stop| stop.code()).unwrap_or_default())
            .map(|line| format!("{line} ({detail})")),
        differs("exit", expected.exit, stop.map(exit_code).unwrap_or_default()),
        differs("iterations", expected.iterations.as_deref().map(wanted), found),
        differs("refusals", expected.refusals.as_ref().map(rules), refusals.join(", ")),
        differs("kernel", expected.kernel.clone(), played.kernel.clone()),
        differs("commits", expected.commits, played.commits),
        expected.blocked.as_deref().and_then(|part| unsaid(part, stop)),
        expected.events.as_deref().and_then(|wanted| missing(wanted, &played.events)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn unsaid(part: &str, stop: Option<&StopReason>) -> Option<String> {
    match stop {
        Some(StopReason::Blocked { message }) if message.contains(part) => None,
        Some(StopReason::Blocked { message }) => Some(format!("blocked: {message:?} does not say {part:?}")),
        _ => Some(format!("blocked: expected {part:?}, and the run was not blocked")),
    }
}

fn word(ended: &Ended) -> String {
    match ended.cause {
        None => ended.decision.to_string(),
        Some(cause) => {
            let cause = serde_json::to_value(cause).ok();
            format!("{} {}", ended.decision, cause.as_ref().and_then(|cause| cause.as_str()).unwrap_or_default())
        }
    }
}

fn differs<T: PartialEq + std::fmt::Debug>(key: &str, expected: Option<T>, found: T) -> Option<String> {
    let expected = expected.filter(|expected| *expected != found)?;
    Some(format!("{key}: expected {expected:?}, found {found:?}"))
}

/// Returns the first of `wanted` that does not come after those before it.
fn missing(wanted: &[String], events: &[Event]) -> Option<String> {
    let names: Vec<String> = events.iter().map(name).collect();
    let mut rest = names.iter();
    let place = wanted.iter().position(|event| !rest.any(|found| found == event))?;
    let event = wanted.get(place)?;
    let before = if names.contains(event) { " after those before it" } else { "" };
    Some(format!("events[{place}]: there is no {event}{before}; found {}", names.join(", ")))
}

fn name(event: &Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_default();
    value.get("type").and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}
