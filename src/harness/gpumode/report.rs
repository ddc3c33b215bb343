//! What `eval.py` reports: `key: value` lines through its descriptor.
//!
//! A failed case is believed from any report. A pass is believed from one alone that is whole: every case once, in the words
//! of the cases file, nothing said twice, and an exit code that agrees.

use std::collections::BTreeMap;

use super::cases::Case;
use crate::harness::result::clip;
use crate::protocol::Micros;

/// What kind of cases a report is about, as its keys spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Test,
    Benchmark,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Benchmark => "benchmark",
        }
    }
}

/// Why a report is no pass: it cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsound(pub(super) String);

/// A parsed report.
#[derive(Debug)]
pub(super) struct Report {
    values: BTreeMap<String, String>,
    /// A key that was said twice.
    twice: Option<String>,
}

impl Report {
    /// Parses the lines. One without a known key goes on with the message before it.
    pub(super) fn parse(text: &str) -> Self {
        let mut report = Self { values: BTreeMap::new(), twice: None };
        let mut last: Option<String> = None;
        for line in text.lines() {
            match line.split_once(':').filter(|(key, _)| is_key(key)) {
                Some((key, value)) => {
                    let before = report.values.insert(key.to_owned(), value.trim().to_owned());
                    if before.is_some() {
                        report.twice.get_or_insert_with(|| key.to_owned());
                    }
                    last = Some(key.to_owned()).filter(|key| key.ends_with(".error"));
                }
                None => {
                    if let Some(message) = last.as_ref().and_then(|key| report.values.get_mut(key)) {
                        message.push('\n');
                        message.push_str(line);
                    }
                }
            }
        }
        report
    }

    /// Tells whether a case failed, and why.
    pub(super) fn failure(&self) -> Option<String> {
        let failed = |(key, value): (&String, &String)| {
            (value == "fail").then(|| key.strip_suffix(".status"))?.map(str::to_owned)
        };
        let Some(case) = self.values.iter().find_map(failed) else {
            let said = self.values.get("check").filter(|check| *check != "pass")?;
            return Some(format!("check: {}", clip(said)));
        };
        let of = |field: &str| self.values.get(&format!("{case}.{field}")).map(String::as_str);
        let name = of("spec").unwrap_or(&case);
        Some(format!("case {}: {}", clip(name), clip(of("error").unwrap_or("no error given"))))
    }

    /// Checks that every one of `cases` passed.
    pub(super) fn tests(&self, cases: &[Case]) -> Result<(), Unsound> {
        self.whole(Kind::Test, cases)?;
        for index in 0..cases.len() {
            let key = format!("test.{index}.status");
            if self.need(&key)? != "pass" {
                return Err(Unsound(format!("{key} is {:?}", clip(self.need(&key)?))));
            }
        }
        Ok(())
    }

    /// Returns the mean time of each of `cases`.
    pub(super) fn benchmarks(&self, cases: &[Case]) -> Result<Vec<Micros>, Unsound> {
        self.whole(Kind::Benchmark, cases)?;
        (0..cases.len()).map(|index| self.benchmark(index)).collect()
    }

    fn benchmark(&self, index: usize) -> Result<Micros, Unsound> {
        let number = |field: &str| {
            let key = format!("benchmark.{index}.{field}");
            let text = self.need(&key)?;
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| Unsound(format!("{key} is no number: {:?}", clip(text))))
        };
        let (runs, mean, best, worst) = (number("runs")?, number("mean")?, number("best")?, number("worst")?);
        // A mean of many equal times may be off by its last bits.
        let slack = 1e-9 * worst.abs();
        if runs < 1.0 || best > mean + slack || mean > worst + slack {
            let message =
                format!("benchmark.{index} contradicts itself: {runs} runs from {best} to {worst} ns, mean {mean}");
            return Err(Unsound(message));
        }
        Micros::new(mean / 1e3).map_err(|error| Unsound(format!("benchmark.{index}.mean: {error}")))
    }

    /// Checks what both kinds have in common.
    fn whole(&self, kind: Kind, cases: &[Case]) -> Result<(), Unsound> {
        if let Some(twice) = &self.twice {
            return Err(Unsound(format!("{} is said twice", clip(twice))));
        }
        let kind = kind.word();
        let count = self.need(&format!("{kind}-count"))?;
        if count != cases.len().to_string() {
            return Err(Unsound(format!(
                "{kind}-count is {:?}, and {} cases were asked for",
                clip(count),
                cases.len()
            )));
        }
        for (index, case) in cases.iter().enumerate() {
            let key = format!("{kind}.{index}.spec");
            let spec = self.need(&key)?;
            if spec != case.0 {
                return Err(Unsound(format!("{key} is {:?}, and {:?} was asked for", clip(spec), case.0)));
            }
        }
        let beyond = format!("{kind}.{}.", cases.len());
        if self.values.keys().any(|key| key.starts_with(&beyond)) {
            return Err(Unsound("there are more cases than were asked for".to_owned()));
        }
        self.need("check").map(drop)
    }

    fn need(&self, key: &str) -> Result<&str, Unsound> {
        self.values.get(key).map(String::as_str).ok_or_else(|| Unsound(format!("{key} is missing")))
    }
}

/// Tells whether `text` is a key of the protocol.
fn is_key(text: &str) -> bool {
    const FIELDS: [&str; 10] = ["spec", "status", "error", "message", "runs", "mean", "std", "err", "best", "worst"];
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        ["check" | "test-count" | "benchmark-count"] => true,
        ["test" | "benchmark", index, field] => {
            !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()) && FIELDS.contains(field)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> [Case; 2] {
        ["size: 8; seed: 1", "size: 9; seed: 1"].map(|line| Case(line.to_owned()))
    }

    const PASS: &str = "test-count: 2\ntest.0.spec: size: 8; seed: 1\ntest.0.status: pass\n\
                        test.1.spec: size: 9; seed: 1\ntest.1.status: pass\ntest.1.message: fine\ncheck: pass\n";

    const TIMES: &str = "benchmark-count: 2\nbenchmark.0.spec: size: 8; seed: 1\nbenchmark.0.runs: 3\n\
                         benchmark.0.mean: 1500.0\nbenchmark.0.std: 1\nbenchmark.0.err: 0.5\nbenchmark.0.best: 1400\n\
                         benchmark.0.worst: 1600.5\nbenchmark.1.spec: size: 9; seed: 1\nbenchmark.1.runs: 100\n\
                         benchmark.1.mean: 2e3\nbenchmark.1.std: 0.0\nbenchmark.1.err: 0.0\nbenchmark.1.best: 2000.0\n\
                         benchmark.1.worst: 2000.0\ncheck: pass\n";

    fn unsound<T: std::fmt::Debug>(result: Result<T, Unsound>) -> String {
        match result {
            Err(Unsound(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whole_reports_pass_and_give_microseconds() {
        Report::parse(PASS).tests(&cases()).unwrap();
        let times: Vec<f64> = Report::parse(TIMES).benchmarks(&cases()).unwrap().iter().map(|us| us.get()).collect();
        assert_eq!(times, [1.5, 2.0]);
        assert_eq!(Report::parse(TIMES).failure(), None);
    }

    #[test]
    fn a_failed_case_is_named_with_its_whole_error_whatever_else_is_said() {
        let text =
            PASS.replace("test.1.status: pass", "test.1.status: fail\ntest.1.error: mismatch:\n  at 3: 1 is not 2");
        for text in [text.clone(), text.replace("check: pass", "check: fail"), format!("{text}check: pass\n")] {
            let failure = Report::parse(&text).failure().unwrap();
            assert!(failure.starts_with("case size: 9; seed: 1: mismatch:\n  at 3: 1 is not 2"), "{failure}");
        }
        assert_eq!(Report::parse("check: fail\n").failure().unwrap(), "check: fail");
    }

    #[test]
    fn no_line_may_be_missing() {
        for text in [PASS, TIMES] {
            for (at, line) in text.lines().enumerate() {
                if [".message", ".std", ".err:"].iter().any(|field| line.contains(field)) {
                    continue;
                }
                let kept: Vec<&str> =
                    text.lines().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| line).collect();
                let report = Report::parse(&kept.join("\n"));
                let message =
                    if text == PASS { unsound(report.tests(&cases())) } else { unsound(report.benchmarks(&cases())) };
                assert!(message.contains("missing"), "{line}: {message}");
            }
        }
    }

    #[test]
    fn what_contradicts_itself_or_the_request_is_not_believed() {
        let table = [
            (format!("{TIMES}benchmark.0.mean: 1\n"), "said twice"),
            (format!("{TIMES}check: pass\n"), "said twice"),
            (format!("{TIMES}{TIMES}"), "said twice"),
            (TIMES.replace("count: 2", "count: 1"), "asked for"),
            (TIMES.replace("size: 8", "size: 1"), "asked for"),
            (format!("{TIMES}benchmark.2.mean: 1\n"), "more cases"),
            (TIMES.replace("mean: 1500.0", "mean: 15.0"), "contradicts itself"),
            (TIMES.replace("mean: 1500.0", "mean: 1700"), "contradicts itself"),
            (TIMES.replace("runs: 3", "runs: 0"), "contradicts itself"),
            (TIMES.replace("mean: 1500.0", "mean: nan"), "no number"),
            (TIMES.replace("mean: 1500.0", "mean: fast"), "no number"),
            (TIMES.replace("2e3", "0").replace("2000.0", "0"), "is not a time"),
            (TIMES.replace("2e3", "-5").replace("2000.0", "-5"), "is not a time"),
            (String::new(), "missing"),
        ];
        for (text, expected) in table {
            let message = unsound(Report::parse(&text).benchmarks(&cases()));
            assert!(message.contains(expected), "{text}: {message}");
        }
        let strange = PASS.replace("test.0.status: pass", "test.0.status: maybe");
        assert!(unsound(Report::parse(&strange).tests(&cases())).contains("maybe"));
        assert!(unsound(Report::parse(PASS).benchmarks(&cases())).contains("missing"));
    }
}
