//! What all lines of a block say together.
//!
//! A failure is believed from any line. A pass is believed where nothing contradicts it: stages in order and none twice, as
//! many results as cases, and a mean over the cases that is theirs.

use indexmap::IndexMap;

use super::line::{Errors, Line, Stage, Stats};
use crate::harness::CaseResult;
use crate::harness::result::clip;
use crate::protocol::Micros;
use crate::stats;

/// How far two figures for the same thing may lie apart: a tenth, as there are several medians of an even number of calls, and
/// in microseconds what PyGPUBench's single decimal hides.
const FRACTION: f64 = 0.1;
const DECIMAL: f64 = 0.05;

/// What was said.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::harness) enum Said {
    /// Nothing of a measurement.
    Nothing,
    /// A case failed.
    Failed(String),
    /// It cannot be believed.
    Unsound(String),
    /// Every case passed.
    Cases(Vec<CaseResult>),
}

/// The stages of one case.
#[derive(Debug, Default)]
struct Stages {
    stages: Vec<Stage>,
    stopped_early: bool,
}

/// The lines of a block, sorted.
#[derive(Debug, Default)]
struct Lines {
    by_case: IndexMap<String, Stages>,
    passes: Vec<Stats>,
    gmean: Option<f64>,
}

impl Said {
    /// Reads what a harness printed.
    pub(in crate::harness) fn parse(text: &str) -> Self {
        let found: Vec<Line> = text.lines().filter_map(Line::parse).collect();
        if let Some(failure) = found.iter().find_map(failure) {
            return Self::Failed(clip(&failure));
        }
        match Lines::sort(found).and_then(Lines::cases) {
            Err(message) => Self::Unsound(clip(&message)),
            Ok(cases) if cases.is_empty() => Self::Nothing,
            Ok(cases) => Self::Cases(cases),
        }
    }

    /// Tells how it contradicts the result object with these cases, if it does.
    pub(in crate::harness) fn contradicts(&self, cases: &[CaseResult]) -> Option<String> {
        match self {
            Self::Failed(line) => {
                Some(format!("the result says that every case passed, and the harness printed: {line}"))
            }
            Self::Cases(said) if said.len() == cases.len() => {
                let median = |case: &CaseResult| {
                    stats::median(&case.time_us.iter().map(|us| us.get()).collect::<Vec<_>>()).unwrap_or(f64::NAN)
                };
                // Stages alone give no figure that is exact enough.
                let exact = said.iter().zip(cases).filter(|(said, _)| said.mean_us.is_some());
                let mut figures = exact.map(|(said, case)| (&case.id, median(said), median(case)));
                figures.find(|(_, printed, written)| !close(*printed, *written)).map(|(id, printed, written)| {
                    format!("case {}: the harness printed {printed} µs, and its result says {written} µs", clip(id))
                })
            }
            Self::Nothing | Self::Unsound(_) | Self::Cases(_) => None,
        }
    }
}

fn failure(line: &Line) -> Option<String> {
    match line {
        Line::Fail(text) => Some(text.clone()),
        Line::Stage(Stage { case, index, errors: Errors::Some(errors), .. }) => {
            Some(format!("case {case}: stage {index} has errors: {errors}"))
        }
        _ => None,
    }
}

impl Lines {
    fn sort(found: Vec<Line>) -> Result<Self, String> {
        let mut lines = Self::default();
        for line in found {
            match line {
                Line::Stage(stage) => lines.by_case.entry(stage.case.clone()).or_default().push(stage)?,
                Line::EarlyStop => match lines.by_case.last_mut() {
                    Some((_, stages)) => stages.stopped_early = true,
                    None => return Err("it stopped early before any stage".to_owned()),
                },
                Line::Pass(stats) => lines.passes.push(stats),
                Line::Gmean(us) => {
                    if lines.gmean.replace(us).is_some() {
                        return Err("gmean_us is said twice".to_owned());
                    }
                }
                Line::Incomplete(text) => return Err(format!("a run was not completed: {text}")),
                Line::Unreadable(text) => return Err(format!("this line cannot be read: {text}")),
                Line::Fail(text) => return Err(text),
            }
        }
        Ok(lines)
    }

    /// Returns the cases, and checks them against each other.
    fn cases(self) -> Result<Vec<CaseResult>, String> {
        let staged = self.by_case.iter().map(|(name, stages)| Ok((name.as_str(), stages.median(name)?)));
        let staged = staged.collect::<Result<Vec<_>, String>>()?;
        if !staged.is_empty() && !self.passes.is_empty() && staged.len() != self.passes.len() {
            return Err(format!("stages of {} cases, and results of {}", staged.len(), self.passes.len()));
        }
        for ((name, stages), stats) in self.by_case.iter().zip(&self.passes) {
            if !stages.allow(stats.median) {
                return Err(format!("case {name}: no stage is near the median {} µs", stats.median));
            }
        }
        let named = |at: usize, name: &str| if name.is_empty() { (at + 1).to_string() } else { name.to_owned() };
        let cases: Vec<(String, f64, Option<f64>)> = if self.passes.is_empty() {
            staged.iter().enumerate().map(|(at, (name, median))| (named(at, name), *median, None)).collect()
        } else {
            let name = |at: usize| staged.get(at).map_or("", |(name, _)| name);
            let case = |(at, stats): (usize, &Stats)| (named(at, name(at)), stats.median, Some(stats.mean));
            self.passes.iter().enumerate().map(case).collect()
        };
        let medians: Vec<f64> = cases.iter().map(|(_, median, _)| *median).collect();
        if let Some((said, is)) =
            self.gmean.zip(stats::geometric_mean(&medians)).filter(|(said, is)| !close(*said, *is))
        {
            return Err(format!("gmean_us is said to be {said}, and the cases' is {is}"));
        }
        let micros = |us| Micros::new(us).map_err(|error| error.to_string());
        let case = |(id, median, mean): (String, f64, Option<f64>)| {
            Ok(CaseResult { id, time_us: vec![micros(median)?], mean_us: mean.map(micros).transpose()? })
        };
        cases.into_iter().map(case).collect()
    }
}

impl Stages {
    fn push(&mut self, stage: Stage) -> Result<(), String> {
        let expected = self.stages.len() + 1;
        let of = self.stages.first().map_or(stage.of, |first| first.of);
        if self.stopped_early || stage.index as usize != expected || stage.of != of || stage.index > of {
            let Stage { case, index, of, .. } = stage;
            return Err(format!("case {case}: stage {index}/{of} is out of its order"));
        }
        self.stages.push(stage);
        Ok(())
    }

    /// Returns the median of the stages' medians, each counted as often as it has calls.
    fn median(&self, name: &str) -> Result<f64, String> {
        let last = self.stages.last().filter(|last| last.index == last.of || self.stopped_early);
        if last.is_none() {
            return Err(format!("case {name}: its last stages are missing"));
        }
        let mut weighted: Vec<(f64, u32)> = self.stages.iter().map(|stage| (stage.median_us, stage.repeats)).collect();
        weighted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half = weighted.iter().map(|(_, repeats)| f64::from(*repeats)).sum::<f64>() / 2.0;
        let mut counted = 0.0;
        let middle = weighted.iter().find(|(_, repeats)| {
            counted += f64::from(*repeats);
            counted >= half
        });
        middle.map(|(median, _)| *median).ok_or_else(|| format!("case {name}: it has no calls"))
    }

    /// Tells whether these stages can have that median over all their calls: it lies between theirs.
    fn allow(&self, median: f64) -> bool {
        let low = self.stages.iter().map(|stage| stage.median_us).fold(f64::INFINITY, f64::min);
        let high = self.stages.iter().map(|stage| stage.median_us).fold(0.0, f64::max);
        (low <= median && median <= high) || close(low, median) || close(median, high)
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= FRACTION * a.max(b) + DECIMAL
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: &str = "stage=1/3 repeats=12 median_us=9.9 errors=0\nstage=2/3 repeats=24 median_us=9.7 errors=0\n\
                          stage=3/3 repeats=24 median_us=9.8 errors=0\n";
    const PASS: &str = "✅ 9.8 ± 0.21 µs [9.5 - 9.75 - 10.9]\n";

    fn figures(text: &str) -> Vec<(String, f64, Option<f64>)> {
        match Said::parse(text) {
            Said::Cases(cases) => {
                cases.into_iter().map(|case| (case.id, case.time_us[0].get(), case.mean_us.map(Micros::get))).collect()
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    fn unsound(text: &str) -> String {
        match Said::parse(text) {
            Said::Unsound(message) => message,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn stages_and_results_give_a_case_each() {
        assert_eq!(figures(STAGES), [("1".to_owned(), 9.8, None)]);
        assert_eq!(figures(PASS), [("1".to_owned(), 9.75, Some(9.8))]);
        assert_eq!(figures(&format!("{STAGES}{PASS}")), [("1".to_owned(), 9.75, Some(9.8))]);
        assert_eq!(figures(&format!("{PASS}noise\n{PASS}")).len(), 2);
        let two = STAGES.replace("stage=", "case_set=a case_index=0 stage=")
            + &STAGES.replace("stage=", "case_set=a case_index=1 stage=");
        assert_eq!(
            figures(&format!("{two}gmean_us=9.8\n")).iter().map(|case| &case.0).collect::<Vec<_>>(),
            ["a/0", "a/1"]
        );
        let early = "stage=1/3 repeats=8 median_us=1300 errors=0\nEARLY_STOP: 1300 > 1200\n";
        assert_eq!(figures(early), [("1".to_owned(), 1300.0, None)]);
        assert_eq!(Said::parse("nothing here\nPASS\n"), Said::Nothing);
    }

    #[test]
    fn any_failure_is_believed() {
        for text in [
            format!("{STAGES}{PASS}FAIL\n"),
            format!("❌ 9.8 ± 0.21 µs [9.5 - 9.75 - 10.9]\n{PASS}"),
            STAGES.replace("9.7 errors=0", "9.7 errors=3"),
            format!("{STAGES}{STAGES}FAIL twice\n"),
        ] {
            assert!(matches!(Said::parse(&text), Said::Failed(_)), "{text}");
        }
    }

    #[test]
    fn contradictions_are_not_believed() {
        let table = [
            (format!("{STAGES}{STAGES}"), "out of its order"),
            (format!("{STAGES}stage=3/3 repeats=24 median_us=0.1 errors=0\n"), "out of its order"),
            (STAGES.replace("stage=2/3", "stage=2/2"), "out of its order"),
            (STAGES.lines().take(2).collect::<Vec<_>>().join("\n"), "missing"),
            (format!("{STAGES}{PASS}{PASS}"), "stages of 1 cases, and results of 2"),
            (format!("{STAGES}✅ 0.2 ± 0.01 µs [0.1 - 0.2 - 0.3]\n"), "no stage is near"),
            (format!("{PASS}gmean_us=1.0\n"), "gmean_us is said to be 1"),
            (format!("{PASS}gmean_us=9.75\ngmean_us=9.75\n"), "twice"),
            (format!("{PASS}⚠️ 9.8 ± 0.2 µs [9.5 - 9.7 - 10.9]\n"), "not completed"),
            (format!("{PASS}PASS 9.8 ± x [1]\n"), "cannot be read"),
            (format!("EARLY_STOP: 3\n{STAGES}"), "before any stage"),
        ];
        for (text, expected) in table {
            let message = unsound(&text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_written_result_is_held_against_what_is_printed() {
        let case = |us| CaseResult { id: "n".to_owned(), time_us: vec![Micros::new(us).unwrap()], mean_us: None };
        let said = Said::parse(PASS);
        assert_eq!(said.contradicts(&[case(9.8)]), None);
        assert!(said.contradicts(&[case(4.0)]).unwrap().contains("printed 9.75 µs, and its result says 4 µs"));
        assert_eq!(said.contradicts(&[case(4.0), case(5.0)]), None);
        assert!(Said::parse("FAIL\n").contradicts(&[case(4.0)]).unwrap().contains("printed: FAIL"));
        assert_eq!(Said::Nothing.contradicts(&[case(4.0)]), None);
    }
}
