//! The status of a run, as an object for programs.

use jiff::Timestamp;
use serde::Serialize;

use crate::protocol::{ArtifactRef, Finding, Gpu, Iteration, IterationRecord, MetricName, Micros, Phase, RunState};
use crate::stats;

use super::words;

/// Whether a process carries the run on at this moment: it then holds the run's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// A process holds the lock.
    Live,
    /// None does: the run is over, or was interrupted.
    Gone,
}

/// The status of a run, as `agent status --json` prints it. The fields up to `commits` are a contract.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The run's name.
    pub run_id: String,
    /// The mission's file, as given.
    pub mission: String,
    /// Which calls are legal.
    pub phase: Phase,
    /// One word for the reason for which the run is over, such as `budget_wall`; null while it is not.
    pub stop_reason: Option<String>,
    /// The device that the last measurement came from, by its own name.
    pub device: Option<String>,
    /// The figure that is optimised.
    pub metric_name: MetricName,
    /// The metric that ends the run, in microseconds. A target relative to the baseline is null until that is measured.
    pub target_us: Option<f64>,
    /// The metric of the kernel as found, in microseconds.
    pub baseline_us: Option<Micros>,
    /// The metric of the best kernel, in microseconds, from the duel that confirmed it.
    pub best_us: Option<Micros>,
    /// How many times faster the best kernel is than the one found. Once the two have met in the last duel, the ratio that
    /// this duel measured; before, `baseline_us / best_us`, which compares figures of two measurements and is a guide only.
    pub speedup: Option<f64>,
    /// The iteration under way, 0 for the baseline; once the loop is over, the last one that ended.
    pub iteration: Iteration,
    /// Iterations that ended in KEEP.
    pub keeps: u32,
    /// Iterations that ended in REVERT.
    pub reverts: u32,
    /// Calls that broke a rule.
    pub refusals: u32,
    /// Measurements that failed for reasons of the infrastructure.
    pub infra_failures: u32,
    /// Exchanges with the model.
    pub round_trips: u32,
    /// Tokens of all exchanges.
    pub tokens: Tokens,
    /// Money for the model, in US dollars.
    pub cost_usd: f64,
    /// Time in which the run was active, in seconds: up to now where a process carries it on, else up to its last event.
    pub wall_s: f64,
    /// Time in harnesses and in waiting for the device, in seconds.
    pub harness_s: f64,
    /// Time in the model, in seconds.
    pub model_s: f64,
    /// The program's own time for a tool call, in milliseconds.
    pub overhead_ms: Overhead,
    /// The branch that receives the commits.
    pub branch: String,
    /// The commits, oldest first.
    pub commits: Vec<Commit>,
    /// The reason for which the run is over in a sentence, the message of a blocked run included.
    pub stop_detail: Option<String>,
    /// The last duel of the best kernel against the one found, where it gave a figure.
    pub headline: Option<HeadlineFigures>,
    /// Whether a process carries the run on.
    pub live: bool,
    /// The device that the mission asks for.
    pub gpu: Gpu,
    /// Times that somebody else edited the kernel file.
    pub outside_edits: u32,
    /// Times that the run went on in a new process.
    pub resumes: u32,
    /// Legal calls that could not be carried out.
    pub failed_calls: u32,
    /// Exchanges with the model for each iteration that is over; null before the first.
    pub round_trips_per_iteration: Option<f64>,
    /// Attempts to ask the model that came to nothing.
    pub model_faults: u32,
    /// Answers of the model that had something wrong with their form.
    pub format_errors: u32,
    /// How far the ratio of one pair of blocks strays, as a fraction: the median of the last measurements that showed it.
    pub noise: Option<f64>,
    /// The gain that counts now, as a fraction: the mission's `min_improvement`, or the noise where that is larger.
    pub margin: f64,
}

/// Tokens, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Of the prompts, the cached ones included.
    pub prompt: u64,
    /// Of the prompts, taken from the provider's cache.
    pub cached: u64,
    /// Of the answers.
    pub completion: u64,
}

/// Quantiles by nearest rank; null before the first call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overhead {
    /// Half of the calls took at most this long.
    pub p50: Option<f64>,
    /// 99 of 100 calls took at most this long.
    pub p99: Option<f64>,
}

/// A commit of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Commit {
    /// The iteration that kept the change.
    pub iteration: Iteration,
    /// Its name in git.
    pub sha: String,
    /// The metric in the final benchmark, in microseconds.
    pub metric_us: Option<Micros>,
    /// The records of test, candidate and final benchmark, and of the last check.
    pub artifacts: Vec<ArtifactRef>,
}

/// The figures of the last duel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeadlineFigures {
    /// The original's time over the best kernel's: above 1 is faster.
    pub ratio: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// The metric of the kernel as found, in microseconds.
    pub original_us: Option<Micros>,
    /// The metric of the best kernel, in microseconds.
    pub final_us: Micros,
}

impl Status {
    /// Returns the status of a run at the time `now`.
    pub fn of(state: &RunState, now: Timestamp, liveness: Liveness) -> Self {
        let (run, counters, usage) = (&state.run, &state.counters, &state.counters.usage);
        let live = liveness == Liveness::Live;
        let wall_ms = if live && state.stop.is_none() { state.active_ms_at(now) } else { state.active_ms };
        let baseline_us = state.baseline.as_ref().map(|baseline| baseline.us);
        let headline = headline_figures(state);
        let guide = baseline_us.zip(state.best_us).map(|(baseline, best)| baseline.get() / best.get());
        Self {
            run_id: run.run_id.to_string(),
            mission: run.mission.clone(),
            phase: state.phase,
            stop_reason: state.stop.as_ref().map(|reason| reason.code()),
            device: state.device.clone(),
            metric_name: run.terms.metric,
            target_us: state.target_us(),
            baseline_us,
            best_us: state.best_us,
            speedup: headline.map(|headline| headline.ratio).or(guide),
            iteration: iteration(state),
            keeps: counters.keeps,
            reverts: counters.reverts,
            refusals: counters.refusals,
            infra_failures: counters.infra_failures,
            round_trips: counters.round_trips,
            tokens: Tokens { prompt: usage.prompt, cached: usage.cached, completion: usage.completion },
            cost_usd: usage.usd,
            wall_s: seconds(wall_ms),
            harness_s: seconds(counters.harness_ms),
            model_s: seconds(counters.model_ms),
            overhead_ms: overhead(&counters.overheads_us),
            branch: run.branch.clone(),
            commits: commits(state),
            stop_detail: state.stop.as_ref().map(ToString::to_string),
            headline,
            live,
            gpu: run.terms.gpu.clone(),
            outside_edits: counters.outside_edits,
            resumes: counters.resumes,
            failed_calls: counters.failed_calls,
            round_trips_per_iteration: (!state.ledger.is_empty())
                .then(|| f64::from(counters.round_trips) / state.ledger.len() as f64),
            model_faults: counters.model_faults,
            format_errors: counters.format_errors,
            noise: stats::noise(&state.noise),
            margin: stats::margin(run.terms.min_improvement, &state.noise),
        }
    }
}

fn iteration(state: &RunState) -> Iteration {
    if matches!(state.phase, Phase::Closing | Phase::Stopped) {
        state.ledger.last().map_or(Iteration::BASELINE, |record| record.iteration)
    } else {
        state.iteration
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn overhead(micros: &[u64]) -> Overhead {
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let rank = |percent: usize| {
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).map(|us| *us as f64 / 1000.0)
    };
    Overhead { p50: rank(50), p99: rank(99) }
}

fn commits(state: &RunState) -> Vec<Commit> {
    let commit = |record: &IterationRecord| {
        let kept = record.kept.as_ref()?;
        let metric_us = match &record.confirmation {
            Some(Finding::Passed(figure)) => Some(figure.us),
            _ => None,
        };
        let (sha, artifacts) = (kept.sha.clone(), kept.artifacts.clone());
        Some(Commit { iteration: record.iteration, sha, metric_us, artifacts })
    };
    state.ledger.iter().filter_map(commit).collect()
}

fn headline_figures(state: &RunState) -> Option<HeadlineFigures> {
    let figure = words::present_headline(state)?.result.as_ref()?;
    let found = figure.comparison.as_ref()?;
    Some(HeadlineFigures {
        ratio: found.ratio,
        low: found.low,
        high: found.high,
        original_us: figure.incumbent_us,
        final_us: figure.us,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BudgetKind, Event, Purpose, StopReason, StopSource, Target};
    use crate::report::night::{Night, started};
    use jiff::SignedDuration;

    fn of(night: &Night, liveness: Liveness) -> Status {
        Status::of(&night.state, night.now() + SignedDuration::from_secs(60), liveness)
    }

    #[test]
    fn the_object_has_the_contract_s_fields_in_their_order() {
        insta::assert_json_snapshot!(of(&Night::success(), Liveness::Gone));
    }

    #[test]
    fn a_run_that_has_only_begun_has_nulls_and_no_invented_figure() {
        let status = of(&Night::begin(), Liveness::Live);
        let json = serde_json::to_value(&status).unwrap();
        for field in [
            "stop_reason",
            "device",
            "baseline_us",
            "best_us",
            "speedup",
            "stop_detail",
            "headline",
            "round_trips_per_iteration",
        ] {
            assert!(json[field].is_null(), "{field}: {json}");
        }
        assert_eq!((&json["overhead_ms"]["p50"], &json["phase"]), (&serde_json::Value::Null, &"baseline".into()));
        assert_eq!(json["target_us"], 410.0);
    }

    #[test]
    fn a_relative_target_is_unknown_until_the_baseline_is() {
        let mut run = started("B200");
        run.terms.target = Target::Speedup(2.0);
        let mut night = Night::with(run);
        assert_eq!(of(&night, Liveness::Live).target_us, None);
        night.baseline(812.0);
        assert_eq!(of(&night, Liveness::Live).target_us, Some(406.0));
    }

    #[test]
    fn the_speed_up_is_a_guide_until_the_last_duel_has_measured_it() {
        let mut night = Night::begin();
        night.baseline(812.0).kept("unroll", 812.0, 405.0, "");
        let status = of(&night, Liveness::Live);
        assert_eq!((status.headline, status.speedup), (None, Some(812.0 / 405.0)));
        night.apply(Event::Closing { reason: StopReason::TargetReached });
        night.measure(Purpose::Headline, 405.0, 700.0);
        let status = of(&night, Liveness::Live);
        assert_eq!(status.speedup, status.headline.map(|headline| headline.ratio));
        assert!((status.speedup.unwrap() - 700.0 / 405.0).abs() < 1e-9);
    }

    #[test]
    fn a_duel_of_an_earlier_best_is_no_headline() {
        let mut run = started("B200");
        run.terms.target = Target::Speedup(2.0);
        let mut night = Night::with(run);
        night.baseline(812.0).kept("unroll", 812.0, 405.0, "");
        night.apply(Event::Closing { reason: StopReason::TargetReached });
        night.measure(Purpose::Headline, 405.0, 700.0);
        assert_eq!(night.state.phase, Phase::Idle, "the target was not confirmed");
        assert!(of(&night, Liveness::Live).headline.is_some());
        night.kept("swizzle", 405.0, 300.0, "");
        let status = of(&night, Liveness::Live);
        assert_eq!((status.headline, status.speedup), (None, Some(812.0 / 300.0)));
    }

    #[test]
    fn only_active_time_counts() {
        let mut night = Night::begin();
        night.baseline(812.0);
        let (live, gone) = (of(&night, Liveness::Live), of(&night, Liveness::Gone));
        assert_eq!(live.wall_s - gone.wall_s, 60.0, "time goes on only where a process does");
        night.stop(StopReason::User);
        let (live, gone) = (of(&night, Liveness::Live), of(&night, Liveness::Gone));
        assert_eq!(live.wall_s, gone.wall_s, "a run that is over costs no time");
    }

    #[test]
    fn a_stopped_run_names_its_reason_and_its_last_iteration() {
        let mut night = Night::begin();
        night.baseline(812.0).slower("pad", 812.0, 900.0, "");
        night.apply(Event::StopRequested { by: StopSource::Command }).stop(StopReason::User);
        let status = of(&night, Liveness::Gone);
        assert_eq!((status.stop_reason.as_deref(), status.iteration), (Some("user"), Iteration(1)));
        let mut night = Night::begin();
        night.baseline(812.0).stop(StopReason::Budget { budget: BudgetKind::NoProgress });
        assert_eq!(of(&night, Liveness::Gone).stop_reason.as_deref(), Some("budget_no_progress"));
    }

    #[test]
    fn quantiles_are_of_the_calls_that_were_made() {
        assert_eq!(overhead(&[]), Overhead { p50: None, p99: None });
        assert_eq!(overhead(&[3000]), Overhead { p50: Some(3.0), p99: Some(3.0) });
        let calls: Vec<u64> = (1..=200).rev().map(|ms| ms * 1000).collect();
        assert_eq!(overhead(&calls), Overhead { p50: Some(100.0), p99: Some(198.0) });
    }
}
