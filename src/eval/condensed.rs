//! A recorded measurement: of each block and case the two times that a decision follows from.

use serde::{Deserialize, Serialize};

use crate::harness::{CaseResult, Role};
use crate::protocol::{BadMicros, MetricName, Micros};
use crate::stats::Ranking;
use crate::tools::{Readings, compared};

/// The time by which a case is compared, and the one that is shown, in microseconds.
type Times = [Micros; 2];

/// The blocks of a measurement, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condensed {
    #[serde(default, skip_serializing_if = "is_usual")]
    pub(super) ranking: Ranking,
    /// Whether the blocks took turns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) in_turns: bool,
    cases: Vec<String>,
    /// Block by block, case by case.
    candidate: Vec<Vec<Times>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    incumbent: Vec<Vec<Times>>,
}

fn is_usual(ranking: &Ranking) -> bool {
    *ranking == Ranking::default()
}

impl Condensed {
    /// Condenses what the processes left.
    pub(super) fn of(metric: MetricName, readings: &Readings) -> Result<Self, BadMicros> {
        let times = compared(readings)?;
        let side = |role| {
            let blocks = readings.blocks.iter().zip(&times).filter(|(block, _)| block.role == role);
            let blocks = blocks.map(|(block, times)| {
                let cases = block.cases.iter().zip(times);
                cases.map(|(case, compared)| Ok([*compared, case.shown(metric)?])).collect::<Result<_, _>>()
            });
            blocks.collect::<Result<Vec<Vec<Times>>, _>>()
        };
        let first = readings.blocks.first();
        Ok(Self {
            ranking: readings.ranking,
            in_turns: readings.turn_calls.is_some(),
            cases: first.into_iter().flat_map(|block| &block.cases).map(|case| case.id.clone()).collect(),
            candidate: side(Role::Candidate)?,
            incumbent: side(Role::Incumbent)?,
        })
    }

    /// Checks what the format alone does not say.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.candidate.is_empty() || self.cases.is_empty() {
            return Err("recorded: there is no block, or no case".to_owned());
        }
        if self.is_duel() && self.incumbent.len() != self.candidate.len() {
            return Err("recorded: the sides have unequal numbers of blocks".to_owned());
        }
        if self.candidate.iter().chain(&self.incumbent).any(|block| block.len() != self.cases.len()) {
            return Err("recorded: a block has another number of cases than `cases`".to_owned());
        }
        Ok(())
    }

    pub(super) fn is_duel(&self) -> bool {
        !self.incumbent.is_empty()
    }

    /// Returns a block's result; `None` behind the last.
    pub(super) fn block(&self, role: Role, place: usize) -> Option<Vec<CaseResult>> {
        let side = if role == Role::Candidate { &self.candidate } else { &self.incumbent };
        let times = side.get(place)?;
        Some(self.cases.iter().zip(times).map(|(id, times)| case(id, *times)).collect())
    }
}

/// The calls of a turn in what [`Condensed::block`] returns.
pub(super) const CONDENSED_TURN: usize = 5;

/// Makes calls of which the steady time, the fastest of each turn and the metric are those again.
fn case(id: &str, [steady, shown]: Times) -> CaseResult {
    let upper = if shown.get() > steady.get() { shown } else { steady };
    let turn: [Micros; CONDENSED_TURN] = [steady, steady, upper, upper, upper];
    CaseResult { id: id.to_owned(), time_us: [turn, turn].concat(), mean_us: Some(shown) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Device;
    use crate::tools::{Reading, log_ratios};

    #[test]
    fn what_is_condensed_is_compared_and_shown_as_before() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut us = |spread: f64| Micros::new(100.0 * (1.0 + spread * random.f64())).unwrap();
        let case = |time_us: Vec<Micros>, mean_us| CaseResult { id: "c".to_owned(), time_us, mean_us };
        let cases: Vec<CaseResult> = vec![
            case((0..37).map(|_| us(0.5)).collect(), None),
            case(vec![us(0.0)], None),
            case((0..12).map(|_| us(0.2)).collect(), Some(us(0.1))),
        ];
        let device = Device { name: "cpu".to_owned(), compute_capability: None };
        let blocks = [Role::Incumbent, Role::Candidate].map(|role| Reading {
            role,
            device: device.clone(),
            cases: cases.clone(),
            conditions: None,
        });
        let readings = Readings { expected: 2, blocks: blocks.to_vec(), ..Readings::default() };
        for metric in [MetricName::MedianUs, MetricName::MeanUs, MetricName::GmeanUs] {
            let text = serde_json::to_string(&Condensed::of(metric, &readings).unwrap()).unwrap();
            let condensed: Condensed = serde_json::from_str(&text).unwrap();
            condensed.check().unwrap();
            let again = condensed.block(Role::Candidate, 0).unwrap();
            for (before, after) in cases.iter().zip(&again) {
                assert_eq!(before.steady().unwrap(), after.steady().unwrap());
                assert_eq!(before.shown(metric).unwrap(), after.shown(metric).unwrap());
            }
            assert_eq!(condensed.block(Role::Incumbent, 1), None);
        }
    }

    #[test]
    fn blocks_that_took_turns_are_compared_as_before_to_the_last_digits() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut block = |role| {
            let time_us = (0..60).map(|_| Micros::new(100.0 * (1.0 + 0.3 * random.f64())).unwrap()).collect();
            let cases = vec![CaseResult { id: "c".to_owned(), time_us, mean_us: None }];
            let device = Device { name: "cpu".to_owned(), compute_capability: None };
            Reading { role, device, cases, conditions: None }
        };
        let roles = [Role::Incumbent, Role::Candidate, Role::Candidate, Role::Incumbent];
        let blocks: Vec<Reading> = roles.map(&mut block).into();
        let readings = Readings { expected: 4, blocks, turn_calls: Some(5), ..Readings::default() };
        let condensed = Condensed::of(MetricName::MedianUs, &readings).unwrap();
        assert!(condensed.in_turns);
        let blocks = roles.iter().zip([0, 0, 1, 1]).zip(&readings.blocks);
        let blocks = blocks
            .map(|((role, place), block)| Reading { cases: condensed.block(*role, place).unwrap(), ..block.clone() });
        let again = Readings { blocks: blocks.collect(), ..readings.clone() };
        for (before, after) in log_ratios(&readings).iter().zip(log_ratios(&again)) {
            assert!((before - after).abs() < 1e-12, "{before} and {after}");
        }
        for (before, after) in readings.blocks.iter().zip(&again.blocks) {
            let [before, after] = [before, after].map(|block| block.cases[0].shown(MetricName::MedianUs).unwrap());
            assert_eq!(before, after);
        }
    }

    #[test]
    fn what_fits_no_measurement_is_refused() {
        for text in [
            r#"{"cases":[],"candidate":[[]]}"#,
            r#"{"cases":["a"],"candidate":[]}"#,
            r#"{"cases":["a"],"candidate":[[[1,1]]],"incumbent":[[[1,1]],[[1,1]]]}"#,
            r#"{"cases":["a","b"],"candidate":[[[1,1]]]}"#,
        ] {
            serde_json::from_str::<Condensed>(text).unwrap().check().unwrap_err();
        }
    }
}
