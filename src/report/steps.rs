//! One short line for each event that a person wants to see.

use crate::protocol::{
    Budget, Event, Figure, Iteration, MeasureSpec, Moment, Outcome, Pending, Phase, Purpose, RunState, StopReason,
    StopSource, Usage,
};
use crate::stats;

use super::style::Tone;
use super::text::{LINE, counted, dollars, duration, one_line, or_dash, short_sha, thousands};
use super::words;

/// The lines of a failed command's output that are shown: its last ones.
const OUTPUT_LINES: usize = 6;

/// Returns what an event says, and how it went; nothing where the event's result, or a block, will say it.
pub(super) fn step(before: &Moment, event: &Event, after: &RunState) -> Option<(Tone, String)> {
    let folder = before.iteration.folder();
    Some(match event {
        Event::RunResumed { pid, budget } => (Tone::Plain, resumed(*pid, budget.as_ref(), after)),
        Event::DeployStarted { command, .. } => (Tone::Plain, format!("deploy: {}", one_line(command, LINE))),
        Event::DeployFinished { exit_code: 0, .. } => (Tone::Good, "deploy done".to_owned()),
        Event::DeployFinished { exit_code, output } => (Tone::Bad, deploy_failed(*exit_code, output)),
        // The built-in tuner answers at once and costs nothing: its calls speak for themselves.
        Event::TurnFinished { calls, usage, .. } if !calls.is_empty() && *usage == Usage::default() => return None,
        Event::TurnFinished { calls, usage, model_ms, problem, by } => {
            let tokens = thousands(usage.prompt.saturating_add(usage.completion));
            let cost = if usage.usd > 0.0 { format!(", {}", dollars(usage.usd)) } else { String::new() };
            let calls = counted(calls.len() as u64, "call");
            let by = by.as_ref().map_or_else(|| "model".to_owned(), |by| one_line(by.name(), 60));
            let problem = problem.map(|problem| format!(" ({})", problem.describe())).unwrap_or_default();
            (Tone::Faint, format!("{by}: {calls}{problem}, {}, {tokens} tokens{cost}", duration(*model_ms)))
        }
        Event::ModelFault { model, kind, message, wait_ms, .. } => {
            let (model, message) = (one_line(model, 60), one_line(message, LINE));
            (Tone::Warn, format!("{model}: {kind}: {message}; again in {}", duration(*wait_ms)))
        }
        Event::TurnAbandoned {} => (Tone::Warn, "the model is not waited for any longer".to_owned()),
        Event::Blocked { message } => (Tone::Bad, format!("blocked: {}", one_line(message, 600))),
        Event::CallRefused { tool, refusal, .. } => {
            let (tool, rule) = (one_line(tool, 40), refusal.rule.name());
            (Tone::Warn, format!("refused {tool} ({rule}): {}", one_line(&refusal.message, LINE)))
        }
        Event::CallFailed { tool, message, .. } => {
            (Tone::Warn, format!("{} failed: {}", one_line(tool, 40), one_line(message, LINE)))
        }
        Event::FileRead { path, first, last, .. } => {
            (Tone::Faint, format!("read-file {} lines {first} to {last}", one_line(path, 100)))
        }
        Event::EditStarted { change, .. } => {
            (Tone::Plain, format!("edit-kernel {folder}: {}", or_dash(one_line(change, LINE))))
        }
        Event::MeasureFinished { outcome, .. } => {
            let Some(Pending::Measure(spec)) = &before.pending else { return None };
            measured(spec, outcome, before, after)
        }
        Event::AnalysisFinished { artifact, .. } => {
            let Some(Pending::Analysis { analysis, .. }) = &before.pending else { return None };
            let path = one_line(&artifact.path, 80);
            (Tone::Faint, format!("append-analysis {path} {}", analysis.decision))
        }
        Event::RevertFinished { .. } => {
            let Some(Pending::Revert { cause, .. }) = &before.pending else { return None };
            (Tone::Plain, format!("reverted {folder}: {}", cause.describe()))
        }
        Event::CommitFinished { sha } => {
            let branch = one_line(&after.run.branch, 100);
            (Tone::Good, format!("committed {} on {branch}", short_sha(sha)))
        }
        Event::OutsideEdit { rescued, .. } => {
            let rescued = one_line(rescued, LINE);
            (Tone::Warn, format!("somebody else edited the kernel file; their text is safe in {rescued}"))
        }
        Event::Closing { reason } => {
            let why = match reason {
                StopReason::TargetReached => "the best kernel claims the target".to_owned(),
                other => format!("the loop is over, {other}"),
            };
            (Tone::Strong, format!("{why}: it now meets the original in one last duel"))
        }
        Event::StopRequested { by } => {
            let how = match by {
                StopSource::Signal => "by a signal",
                StopSource::Command => "by `agent stop`",
            };
            (Tone::Warn, format!("stop requested {how}; a change in flight is put back first"))
        }
        Event::RunStarted(_)
        | Event::TurnStarted {}
        | Event::EditFinished { .. }
        | Event::MeasureStarted(_)
        | Event::AnalysisStarted { .. }
        | Event::RevertStarted { .. }
        | Event::CommitStarted { .. }
        | Event::IterationFinished { .. }
        | Event::RunStopped { .. } => return None,
    })
}

/// Returns what is under way from this event on, for the meter.
pub(super) fn task(event: &Event, after: &RunState) -> Option<String> {
    match event {
        Event::DeployStarted { .. } => Some("deploying".to_owned()),
        Event::TurnStarted {} => Some(format!("asking the model ({})", after.phase.name())),
        Event::MeasureStarted(spec) => Some(name(spec, after.iteration)),
        _ => None,
    }
}

/// The tool's name with what it measures.
fn name(spec: &MeasureSpec, iteration: Iteration) -> String {
    let folder = iteration.folder();
    match spec.purpose {
        Purpose::Test => format!("test-run {folder}"),
        Purpose::Candidate | Purpose::Final => format!("benchmark-run {folder} {}", spec.purpose.as_str()),
        Purpose::Recheck => format!("recheck {folder}"),
        Purpose::Headline => "last duel against the original".to_owned(),
    }
}

fn resumed(pid: u32, budget: Option<&Budget>, after: &RunState) -> String {
    let (phase, kept) = (after.phase.name(), after.counters.keeps);
    let done = counted(after.ledger.len() as u64, "iteration");
    let best = after.best_us.map(|us| format!(", best {us}")).unwrap_or_default();
    let raised = if budget.is_some() { ", with a new budget" } else { "" };
    format!("resumed by process {pid} in phase {phase}{raised}: {done} so far, {kept} kept{best}")
}

fn measured(spec: &MeasureSpec, outcome: &Outcome, before: &Moment, after: &RunState) -> (Tone, String) {
    let name = name(spec, before.iteration);
    match outcome {
        Outcome::Measured { candidate, incumbent, comparison, noise: shown, .. } => {
            let figure = Figure {
                us: candidate.us,
                incumbent_us: incumbent.as_ref().map(|side| side.us),
                comparison: comparison.clone(),
            };
            let text = format!("{name} passed {}{}", words::figure(&figure, spec.purpose), sequel(before, after));
            let min_improvement = after.run.terms.min_improvement;
            let is_too_much = |noise: f64| noise > min_improvement;
            let earlier = after.noise.split_last().and_then(|(_, earlier)| stats::noise(earlier));
            // The noise is told after the baseline in any case, and after a duel that showed it where it is too much: with what
            // would help where that is news.
            match stats::noise(&after.noise).filter(|_| shown.is_some()) {
                Some(noise) if comparison.is_none() || is_too_much(noise) && !earlier.is_some_and(is_too_much) => {
                    let (tone, noise) = words::noise(noise, min_improvement);
                    (tone, format!("{text}; {noise}"))
                }
                Some(noise) if is_too_much(noise) => (Tone::Warn, format!("{text}; noise {:.2}%", noise * 100.0)),
                Some(_) | None => (Tone::Plain, text),
            }
        }
        Outcome::KernelFailed { failure, message } => {
            (Tone::Warn, format!("{name} failed, {failure}: {}{}", one_line(message, LINE), sequel(before, after)))
        }
        Outcome::InfraFailed { failure, message } => {
            let sequel = if after.current.again.is_some() { "; once more" } else { "; for the second time" };
            (Tone::Warn, format!("{name} infra failure, {failure}: {}{sequel}", one_line(message, LINE)))
        }
    }
}

/// What the code makes of a measurement that is not simply the next step.
fn sequel(before: &Moment, after: &RunState) -> &'static str {
    let unconfirmed = before.closing == Some(StopReason::TargetReached) && after.closing.is_none();
    match after.phase {
        Phase::Idle if unconfirmed => "; the target is not confirmed, the loop goes on",
        _ if after.current.again.is_some() => "; a larger duel follows",
        _ => "",
    }
}

fn deploy_failed(exit_code: i32, output: &str) -> String {
    let lines: Vec<_> = output.lines().rev().filter(|line| !line.trim().is_empty()).take(OUTPUT_LINES).collect();
    let mut text = format!("deploy failed with exit code {exit_code}");
    for line in lines.iter().rev() {
        text.push_str("\n    ");
        text.push_str(&one_line(line, LINE));
    }
    text
}
