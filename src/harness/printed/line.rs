//! One printed line.

/// A line that says something of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// `stage=1/3 repeats=12 median_us=9.812 errors=0`, `case_set=` and `case_index=` before it where there are several cases.
    Stage(Stage),
    /// `EARLY_STOP: …`: the case under way has no further stages.
    EarlyStop,
    /// `PASS <stats>` or `✅ <stats>`: a case.
    Pass(Stats),
    /// `FAIL …` or `❌ …`.
    Fail(String),
    /// `⚠️ …`: a run that was not completed.
    Incomplete(String),
    /// `gmean_us=…`: over the cases, in microseconds.
    Gmean(f64),
    /// It looks like one of these and cannot be read.
    Unreadable(String),
}

/// A stage of a case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    /// The case's name: empty where there is one case alone.
    pub(super) case: String,
    /// From 1.
    pub(super) index: u32,
    pub(super) of: u32,
    pub(super) repeats: u32,
    pub(super) median_us: f64,
    pub(super) errors: Errors,
}

/// What a stage says of wrong answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errors {
    /// PyGPUBench has counted none: `0`, or an empty list, or no count at all.
    None,
    Some(String),
}

/// `basic_stats` of a case's calls, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stats {
    pub(super) mean: f64,
    pub(super) best: f64,
    pub(super) median: f64,
    pub(super) worst: f64,
}

impl Line {
    /// Reads a line; `None` if it says nothing of a measurement.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let after = |marks: &[&str]| {
            let rest = marks.iter().find_map(|mark| text.strip_prefix(mark))?;
            (!rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')).then_some(rest)
        };
        if after(&["FAIL", "❌"]).is_some() {
            return Some(Self::Fail(text.to_owned()));
        }
        let pass = after(&["PASS", "✅"]);
        if after(&["⚠"]).is_some() || pass.is_some_and(|rest| rest.contains('⚠')) {
            return Some(Self::Incomplete(text.to_owned()));
        }
        if let Some(rest) = pass {
            let looks_like_stats = rest.contains('±') || rest.contains("BenchmarkStats(");
            return looks_like_stats.then(|| Stats::parse(rest).map_or_else(|| unreadable(text), Self::Pass));
        }
        if text.starts_with("EARLY_STOP:") {
            return Some(Self::EarlyStop);
        }
        if let Some(rest) = text.strip_prefix("gmean_us=") {
            return Some(time(rest.split_whitespace().next()?).map_or_else(|| unreadable(text), Self::Gmean));
        }
        let begins = ["stage=", "case_set=", "case_index="].iter().any(|key| text.starts_with(key));
        let is_stage = begins && text.contains("stage=") && text.contains("median_us=");
        is_stage.then(|| Stage::parse(text).map_or_else(|| unreadable(text), Self::Stage))
    }
}

fn unreadable(text: &str) -> Line {
    Line::Unreadable(text.to_owned())
}

impl Stage {
    fn parse(text: &str) -> Option<Self> {
        let pairs: Vec<(&str, &str)> = text.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        // A key that stands twice is as good as none.
        let one = |key: &str| {
            let mut found = pairs.iter().filter(|(name, _)| *name == key).map(|(_, value)| *value);
            found.next().filter(|_| found.next().is_none())
        };
        let (index, of) = one("stage")?.split_once('/')?;
        let named: Vec<&str> = ["case_set", "case_index"].into_iter().filter_map(one).collect();
        Some(Self {
            case: named.join("/"),
            index: index.parse().ok()?,
            of: of.parse().ok()?,
            repeats: one("repeats")?.parse().ok()?,
            median_us: time(one("median_us")?)?,
            errors: match one("errors")? {
                "0" | "[]" | "None" => Errors::None,
                other => Errors::Some(other.to_owned()),
            },
        })
    }
}

impl Stats {
    fn parse(text: &str) -> Option<Self> {
        let stats = Self::from_dataclass(text).or_else(|| Self::from_words(text))?;
        let within = |value: f64| stats.best <= value && value <= stats.worst;
        (within(stats.median) && within(stats.mean)).then_some(stats)
    }

    /// Reads `9.8 ± 0.21 µs [9.5 - 9.7 - 10.9]`: mean, deviation, and best, median, worst.
    fn from_words(text: &str) -> Option<Self> {
        let (mean, rest) = text.split_once('±')?;
        let (deviation, rest) = rest.split_once('[')?;
        let (figures, _) = rest.split_once(']')?;
        let unit = match deviation.split_whitespace().collect::<Vec<_>>().as_slice() {
            [_, "ns"] => 1e-3,
            [_, "µs" | "μs" | "us"] => 1.0,
            [_, "ms"] => 1e3,
            [_, "s"] => 1e6,
            _ => return None,
        };
        let figures: Option<Vec<f64>> = figures.split(" - ").map(|figure| time(figure.trim())).collect();
        let [best, median, worst] = figures?.try_into().ok()?;
        let mean = time(mean.split_whitespace().last()?)?;
        let [mean, best, median, worst] = [mean, best, median, worst].map(|figure: f64| figure * unit);
        Some(Self { mean, best, median, worst })
    }

    /// Reads `BenchmarkStats(runs=…, best=…, …)`. Calls that are missing make it unreadable.
    fn from_dataclass(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("BenchmarkStats(")?;
        let (fields, _) = rest.split_once(')')?;
        let pairs: Vec<(&str, &str)> = fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
        let one = |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        if one("expected").is_some_and(|expected| one("runs") != Some(expected)) {
            return None;
        }
        let figure = |key| one(key).and_then(time);
        Some(Self { mean: figure("mean")?, best: figure("best")?, median: figure("median")?, worst: figure("worst")? })
    }
}

/// Reads a number that can be a time.
fn time(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|us| us.is_finite() && *us > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_in_use_is_read() {
        let stats = Line::Pass(Stats { mean: 9.8, best: 9.5, median: 9.7, worst: 10.9 });
        for text in [
            "PASS 9.8 ± 0.21 µs [9.5 - 9.7 - 10.9]",
            "✅ 9.8 ± 0.21 µs [9.5 - 9.7 - 10.9]",
            "  ✅ 9.8 ± 0.21 μs [9.5 - 9.7 - 10.9]  ",
            "PASS 9.8 ± 0.21 us [9.5 - 9.7 - 10.9]",
            "PASS BenchmarkStats(runs=60, best=9.5, worst=10.9, median=9.7, mean=9.8, std=0.21, err=0.03)",
            "✅ BenchmarkStats(runs=60, expected=60, best=9.5, worst=10.9, median=9.7, mean=9.8, std=0.21, err=0.03)",
        ] {
            assert_eq!(Line::parse(text), Some(stats.clone()), "{text}");
        }
        let milliseconds = Line::parse("PASS 1.5 ± 0.1 ms [1.25 - 1.5 - 2.0]").unwrap();
        assert_eq!(milliseconds, Line::Pass(Stats { mean: 1500.0, best: 1250.0, median: 1500.0, worst: 2000.0 }));
        let stage = |case: &str, errors| Stage {
            case: case.to_owned(),
            index: 1,
            of: 3,
            repeats: 12,
            median_us: 9.812,
            errors,
        };
        let table = [
            ("stage=1/3 repeats=12 median_us=9.812 errors=0", stage("", Errors::None)),
            ("stage=1/3 repeats=12 median_us=9.812 errors=[]", stage("", Errors::None)),
            ("stage=1/3 repeats=12 median_us=9.812 errors=None", stage("", Errors::None)),
            ("stage=1/3 repeats=12 median_us=9.812 errors=2", stage("", Errors::Some("2".to_owned()))),
            ("case_set=a case_index=4 stage=1/3 repeats=12 median_us=9.812 errors=0", stage("a/4", Errors::None)),
        ];
        for (text, expected) in table {
            assert_eq!(Line::parse(text), Some(Line::Stage(expected)), "{text}");
        }
        assert_eq!(Line::parse("EARLY_STOP: 1300 above 1200"), Some(Line::EarlyStop));
        assert_eq!(Line::parse("gmean_us=12.5"), Some(Line::Gmean(12.5)));
        for text in ["FAIL 9.8 ± 0.21 µs [9.5 - 9.7 - 10.9]", "❌ mismatch at 3", "FAIL"] {
            assert_eq!(Line::parse(text), Some(Line::Fail(text.to_owned())));
        }
        for warning in ["⚠️ 9.8 ± 0.21 µs [9.5 - 9.7 - 10.9]", "✅ ⚠️ 9.8 ± 0.21 µs [9.5 - 9.7 - 10.9]"] {
            assert_eq!(Line::parse(warning), Some(Line::Incomplete(warning.to_owned())));
        }
    }

    #[test]
    fn other_lines_say_nothing() {
        for text in ["", "PASS", "PASSED in 3 s", "FAILURES: none", "loading", "median_us=3", "a stage=1/1 median_us=1"]
        {
            assert_eq!(Line::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_true_is_unreadable() {
        for text in [
            "PASS 9.8 ± 0.21 µs [9.5 - 9.7]",
            "PASS 9.8 ± 0.21 [9.5 - 9.7 - 10.9]",
            "PASS 9.8 ± 0.21 µs [9.9 - 9.7 - 10.9]",
            "PASS 0.1 ± 0.21 µs [9.5 - 9.7 - 10.9]",
            "PASS -1 ± 0.21 µs [-1 - -1 - -1]",
            "PASS nan ± nan µs [nan - nan - nan]",
            "✅ BenchmarkStats(runs=59, expected=60, best=9.5, worst=10.9, median=9.7, mean=9.8)",
            "✅ BenchmarkStats(runs=60, best=9.5)",
            "stage=1/3 repeats=12 median_us=0 errors=0",
            "stage=1/3 repeats=12 median_us=9.8",
            "stage=1/3 repeats=12 median_us=9.8 median_us=1 errors=0",
            "stage=one/3 repeats=12 median_us=9.8 errors=0",
            "gmean_us=-3",
        ] {
            assert_eq!(Line::parse(text), Some(Line::Unreadable(text.to_owned())), "{text}");
        }
    }
}
