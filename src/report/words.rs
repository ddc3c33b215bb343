//! The sentences that every report shares: figures, devices, targets, and the headline.

use crate::protocol::{Comparison, Figure, Finding, Gpu, Headline, Micros, Purpose, RunState, Target, Verdict};

use super::style::Tone;
use super::text::{ROW, counted, micros, one_line, times};

/// Says where the figures come from. A mission for the host's processor is never mistaken for one on a GPU.
pub(super) fn device(name: Option<&str>, gpu: &Gpu) -> String {
    let name = name.map(|name| one_line(name, 80));
    match (name, gpu.is_cpu()) {
        (Some(name), true) => format!("measured on the cpu, not on a GPU: {name}"),
        (Some(name), false) => name,
        (None, true) => "no measurement yet; the mission measures on the cpu, not on a GPU".to_owned(),
        (None, false) => format!("no measurement yet; the mission asks for {}", one_line(&gpu.0, 80)),
    }
}

/// Says where a run's figures come from.
pub(super) fn device_of(state: &RunState) -> String {
    device(state.device.as_deref(), &state.run.terms.gpu)
}

/// Says what a benchmark found: `412.3 µs, incumbent 812.0 µs · 1.970x [1.951, 1.985] · improved · 10 pairs`.
pub(super) fn figure(figure: &Figure, purpose: Purpose) -> String {
    let mut text = figure.us.to_string();
    if let Some(incumbent) = figure.incumbent_us {
        text.push_str(&format!(", incumbent {incumbent}"));
    }
    if let Some(found) = &figure.comparison {
        let (ratio, interval) = (times(found.ratio), interval(found.low, found.high));
        text.push_str(&format!(
            " · {ratio} {interval} · {} · {}",
            verdict(found, purpose),
            counted(found.pairs.into(), "pair")
        ));
        if let Some(setback) = &found.setback {
            text.push_str(&format!(" · {}", one_line(&setback.to_string(), 80)));
        }
    }
    text
}

/// Says what a comparison means.
fn verdict(found: &Comparison, purpose: Purpose) -> String {
    match (purpose, found.verdict) {
        // A candidate benchmark is too small for a verdict: it says whether the gain is worth confirming.
        (Purpose::Candidate, Verdict::NotImproved) => format!("no material gain{}", found.beyond()),
        (Purpose::Candidate, Verdict::Improved | Verdict::Ambiguous) => "material, to be confirmed".to_owned(),
        (_, Verdict::Ambiguous) => format!("ambiguous{}, p {:.4}", found.beyond(), found.p_value),
        (_, verdict) => format!("{verdict}{}", found.beyond()),
    }
}

/// Says how noisy the machine is, and what follows where it is too noisy for the gain that the mission asks for.
pub(super) fn noise(noise: f64, min_improvement: f64) -> (Tone, String) {
    let percent = |fraction: f64| format!("{:.2}%", fraction * 100.0);
    let mut text = format!("the noise of one pair of blocks is {}", percent(noise));
    if noise <= min_improvement {
        return (Tone::Plain, text);
    }
    text.push_str(&format!(
        ", too much for a min_improvement of {}: until it is less, only gains above the noise count; stop other work on the \
         machine, or raise profiles.candidate.repeats and profiles.final.repeats",
        percent(min_improvement)
    ));
    (Tone::Warn, text)
}

/// Returns an interval of a ratio.
pub(super) fn interval(low: f64, high: f64) -> String {
    format!("[{low:.3}, {high:.3}]")
}

/// Says what a measurement found.
pub(super) fn finding(found: Option<&Finding>, purpose: Purpose) -> String {
    match found {
        None => "not run".to_owned(),
        Some(Finding::Passed(passed)) => figure(passed, purpose),
        Some(Finding::Failed { failure, message }) => format!("failed, {failure}: {}", one_line(message, ROW)),
    }
}

/// Says what ends the run as a success.
pub(super) fn target(state: &RunState) -> String {
    let metric = state.run.terms.metric;
    match state.run.terms.target {
        Target::Us(us) => format!("{metric} of at most {us}"),
        Target::Speedup(factor) => {
            let us = state.target_us().map(|us| format!(", {metric} of at most {}", micros(us))).unwrap_or_default();
            format!("{} the speed of the kernel as found{us}", times(factor))
        }
    }
}

/// Returns the plan for the next change: that of the iteration under way, before its first analysis the last one's.
pub(super) fn next_step(state: &RunState) -> Option<&str> {
    let plans = [Some(&state.current.next_step), state.ledger.last().map(|record| &record.next_step)];
    plans.into_iter().flatten().map(|plan| plan.trim()).find(|plan| !plan.is_empty())
}

/// The last duel of the present best kernel against the original; one of an earlier best does not count.
pub(super) fn present_headline(state: &RunState) -> Option<&Headline> {
    state.headline.as_ref().filter(|headline| headline.kernel == state.incumbent)
}

/// The run's result in a few words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lead {
    /// A figure, or that there is none.
    pub(super) short: String,
    /// Stands between the two in a sentence.
    link: &'static str,
    /// What it means, or why there is none.
    pub(super) long: String,
    /// Whether it is a success.
    pub(super) tone: Tone,
}

impl Lead {
    /// Returns both in one styled sentence.
    pub(super) fn sentence(&self) -> String {
        format!("{}{}{}", self.tone.paint(&self.short), self.link, self.long)
    }
}

/// Says what the night brought: the last duel against the original, or that none was made and why.
pub(super) fn lead(state: &RunState) -> Lead {
    let figures = present_headline(state).and_then(|headline| headline.result.as_ref());
    if let Some((figure, found)) = figures.and_then(|figure| Some((figure, figure.comparison.as_ref()?))) {
        let sure = found.low > 1.0;
        let doubt = match (state.counters.keeps, sure) {
            (0, _) => "; no change was kept, so it met itself",
            (_, true) => "",
            (_, false) => "; the interval does not exclude 1: no sure gain",
        };
        let original = figure.incumbent_us.map(Micros::get).map(micros).unwrap_or_default();
        return Lead {
            short: times(found.ratio),
            link: " ",
            long: format!(
                "the speed of the kernel as found, interval {}: {original} to {} in one duel of {}{doubt}",
                interval(found.low, found.high),
                figure.us,
                counted(found.pairs.into(), "pair"),
            ),
            tone: if sure && state.counters.keeps > 0 { Tone::Good } else { Tone::Warn },
        };
    }
    Lead { short: "no measured speed-up".to_owned(), link: ": ", long: why_none(state), tone: Tone::Warn }
}

fn why_none(state: &RunState) -> String {
    if state.baseline.is_none() {
        return "the kernel as found has not been measured".to_owned();
    }
    if state.counters.keeps == 0 {
        return "no change was kept; the best kernel is the one found".to_owned();
    }
    match (present_headline(state), &state.stop) {
        (Some(headline), _) if headline.artifact.path.is_empty() => {
            "the last duel against the original failed for reasons of the infrastructure".to_owned()
        }
        (Some(headline), _) => format!(
            "the best kernel gave no figure in the last duel against the original, see {}",
            one_line(&headline.artifact.path, 80)
        ),
        (None, None) => "the best kernel meets the original in one last duel when the loop is over".to_owned(),
        (None, Some(_)) => "the run ended before the best kernel met the original in one last duel".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_too_noisy_for_the_mission_is_told_with_what_would_help() {
        assert_eq!(noise(0.0012, 0.01), (Tone::Plain, "the noise of one pair of blocks is 0.12%".to_owned()));
        let (tone, text) = noise(0.034, 0.01);
        assert_eq!(tone, Tone::Warn);
        for part in ["is 3.40%, too much for a min_improvement of 1.00%", "stop other work", "profiles.final.repeats"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
