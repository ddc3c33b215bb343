//! A measurement judged again from its record, and the analysis behind it.

use std::mem;

use super::audit::Audit;
use super::divergence::Disagreement;
use super::evidence::{Evidence, Filed};
use crate::artifact::{AnalysisEntry, render_analysis};
use crate::protocol::{ArtifactRef, MeasureSpec, Outcome, Pending, RunState, artifact_path};
use crate::stats::{self, Rule};
use crate::tools::{Recorded, Texts, Yardstick, judge_pairs};

impl Audit {
    /// Judges a measurement again.
    pub(super) fn measurement(
        &mut self,
        state: &RunState,
        outcome: &Outcome,
        artifact: &ArtifactRef,
        evidence: &mut Option<Result<Box<Evidence>, Disagreement>>,
    ) -> Result<(), Disagreement> {
        let Some(Pending::Measure(spec)) = &state.pending else { return Ok(()) };
        self.all_told()?;
        let path = artifact_path(state.iteration, spec.purpose, spec.round);
        if path != artifact.path {
            return Err(Disagreement::new(format!("the artifact is {}", artifact.path), format!("it is {path}")));
        }
        let evidence = evidence.get_or_insert_with(|| self.files.fetch(artifact));
        let Evidence { filed, recorded } = &mut **evidence.as_mut().map_err(|found| found.clone())?;
        self.filed = Some(mem::take(filed));
        let recorded = recorded
            .as_ref()
            .map_err(|error| Disagreement::new(format!("{path} is the record of a measurement"), error))?;
        judged_again(state, spec, outcome, recorded)?;
        self.found.verdicts += 1;
        Ok(())
    }

    /// Looks whether an analysis begins where the artifact ends.
    pub(super) fn analysis_started(&self, artifact: &str, length: u64) -> Result<(), Disagreement> {
        let Some(filed) = self.filed_as(artifact) else { return Ok(()) };
        if filed.told as u64 == length {
            return Ok(());
        }
        let journal = format!("{artifact} has {length} bytes before its analysis");
        Err(Disagreement::new(journal, format!("it has {}", filed.told)))
    }

    /// Looks whether the analysis stands in the artifact, word for word.
    pub(super) fn analysis_finished(&mut self, state: &RunState, artifact: &ArtifactRef) -> Result<(), Disagreement> {
        let Some(Pending::Analysis { timestamp, analysis, .. }) = &state.pending else { return Ok(()) };
        let Some(filed) = self.filed.as_mut().filter(|filed| filed.path == artifact.path) else { return Ok(()) };
        let entry = AnalysisEntry { timestamp_utc: *timestamp, analysis: analysis.clone() };
        let section = render_analysis(&entry);
        filed.hashing.update(section.as_bytes());
        let made = filed.hashing.hash();
        let journal = || format!("with its analysis {} hashes to {}", artifact.path, artifact.hash);
        if made != artifact.hash {
            return Err(Disagreement::new(journal(), format!("it hashes to {made}")));
        }
        let Some(rest) = filed.rest.strip_prefix(&section) else {
            return Err(Disagreement::new(journal(), "the file has another analysis: somebody edited it"));
        };
        filed.rest = rest.to_owned();
        filed.told += section.len();
        self.found.analyses += 1;
        Ok(())
    }

    /// Looks whether the journal tells of everything that stands in the artifact of the last measurement. Only at the
    /// journal's end may the artifact be ahead of it.
    pub(super) fn all_told(&self) -> Result<(), Disagreement> {
        match &self.filed {
            Some(Filed { path, told, rest, .. }) if !rest.is_empty() => Err(Disagreement::new(
                format!("{path} has {told} bytes"),
                format!("the file has {}: somebody appended to it", told + rest.len()),
            )),
            _ => Ok(()),
        }
    }

    fn filed_as(&self, path: &str) -> Option<&Filed> {
        self.filed.as_ref().filter(|filed| filed.path == path)
    }
}

fn judged_again(
    state: &RunState,
    spec: &MeasureSpec,
    outcome: &Outcome,
    recorded: &Recorded,
) -> Result<(), Disagreement> {
    let effort = state.effort(spec);
    if recorded.effort != effort {
        return Err(Disagreement::new(
            format!("it was measured with {:?}", recorded.effort),
            format!("the mission wants {effort:?}"),
        ));
    }
    let texts = Texts { candidate: spec.candidate, incumbent: spec.incumbent };
    let rule = stats::rule(state, spec.purpose, effort.pairs);
    let (today, pairs) = judge_pairs(&Yardstick::of(&state.run.terms), texts, &rule, &recorded.readings);
    if today == *outcome {
        return match outcome {
            Outcome::Measured { incumbent: Some(_), .. } => asked_for(&rule, recorded, &pairs),
            Outcome::Measured { .. } | Outcome::KernelFailed { .. } | Outcome::InfraFailed { .. } => Ok(()),
        };
    }
    let value = |outcome: &Outcome| serde_json::to_value(outcome).unwrap_or_default();
    Disagreement::between("outcome", &value(outcome), &value(&today)).map_or(Ok(()), Err)
}

/// Looks whether the duel of these `pairs` had those that its rule asked for, job by job. It may have ended before only where
/// the time that was left had been too short for another job like the last.
fn asked_for(rule: &Rule, recorded: &Recorded, pairs: &[f64]) -> Result<(), Disagreement> {
    let had = || format!("the duel has {} pairs", pairs.len());
    let (mut asked, mut jobs) = (0, Vec::new());
    while let Some(rest) = pairs.get(asked..).filter(|rest| !rest.is_empty()) {
        let more = rule.next(pairs.get(..asked).unwrap_or_default()) as usize;
        if more == 0 || more > rest.len() {
            return Err(Disagreement::new(had(), format!("its rule asks for {more} after the first {asked}")));
        }
        asked += more;
        jobs.push(more);
    }
    let more = rule.next(pairs);
    if more > 0 && !was_short_of_time(recorded, &jobs) {
        return Err(Disagreement::new(had(), format!("its rule asks for {more} more, and there was time for them")));
    }
    Ok(())
}

/// Tells whether a duel of jobs of so many pairs each had less time left than its last job took. Each job builds both texts
/// anew before its blocks.
fn was_short_of_time(recorded: &Recorded, jobs: &[usize]) -> bool {
    let (seconds, pairs) = (&recorded.seconds, jobs.iter().sum::<usize>());
    let builds = seconds.len().saturating_sub(2 * pairs) / jobs.len().max(1);
    let processes = builds + 2 * jobs.last().copied().unwrap_or_default();
    let last: f64 = seconds.iter().rev().take(processes).sum();
    let spent: f64 = seconds.iter().sum();
    2.0 * f64::from(recorded.effort.timeout_seconds) - spent < last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{CaseResult, Role};
    use crate::protocol::{Device, Micros, Profile, Profiles};
    use crate::stats::Aim;
    use crate::tools::{Reading, Readings, log_ratios};

    /// A first job whose rule wants more, in processes of a second each: two builds, and two blocks a pair.
    fn undecided(rule: &Rule) -> Recorded {
        let block = |role, us: f64| Reading {
            role,
            device: Device { name: "cpu (test)".to_owned(), compute_capability: None },
            cases: vec![CaseResult { id: "c".to_owned(), time_us: vec![Micros::new(us).unwrap()], mean_us: None }],
            conditions: None,
        };
        let first = rule.next(&[]);
        let pair = |number| {
            [block(Role::Incumbent, 100.0), block(Role::Candidate, if number % 4 == 0 { 102.0 } else { 95.0 })]
        };
        let blocks: Vec<_> = (0..first).flat_map(pair).collect();
        Recorded {
            outcome: Outcome::KernelFailed { failure: crate::protocol::KernelFailure::Crash, message: String::new() },
            effort: Profiles::default().get(Profile::Final).clone(),
            seconds: vec![1.0; 2 + blocks.len()],
            readings: Readings { expected: blocks.len(), blocks, ..Readings::default() },
        }
    }

    #[test]
    fn a_duel_may_end_undecided_only_where_its_time_was_too_short_for_another_job() {
        let rule = Rule { margin: 0.01, aim: Aim::Confirm { level: stats::level(&[]) }, most: 60 };
        let mut recorded = undecided(&rule);
        let took = recorded.seconds.len() as u32;
        assert!(rule.next(&log_ratios(&recorded.readings)) > 0, "it is undecided");
        recorded.effort.timeout_seconds = took;
        let found = asked_for(&rule, &recorded, &log_ratios(&recorded.readings)).unwrap_err();
        assert!(format!("{found:?}").contains("there was time for them"), "{found:?}");
        recorded.effort.timeout_seconds = took - 1;
        assert!(asked_for(&rule, &recorded, &log_ratios(&recorded.readings)).is_ok());
    }
}
