//! What the scenarios came to: as a table, as JSON, and as JUnit's XML.

use std::fmt::Write as _;

use serde::Serialize;

/// What one scenario came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The name of the scenario's folder.
    pub name: String,
    /// Everything that should be otherwise; empty where the scenario passed.
    pub failures: Vec<String>,
    /// Iterations that ended.
    pub iterations: usize,
    /// Changes that were committed.
    pub keeps: usize,
    /// Calls that were refused.
    pub refusals: usize,
    /// The time of it all, in milliseconds.
    pub ms: u64,
}

impl Outcome {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), failures: Vec::new(), iterations: 0, keeps: 0, refusals: 0, ms: 0 }
    }

    /// Tells whether everything is as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// What the scenarios came to, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Results {
    /// How many passed.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// Each of them.
    pub scenarios: Vec<Outcome>,
}

impl Results {
    pub(super) fn new(scenarios: Vec<Outcome>) -> Self {
        let passed = scenarios.iter().filter(|outcome| outcome.passed()).count();
        Self { passed, failed: scenarios.len() - passed, scenarios }
    }

    /// Returns the table for a person, each failure below its scenario.
    pub fn text(&self) -> String {
        let width = self.scenarios.iter().map(|outcome| outcome.name.chars().count()).max().unwrap_or(0).max(8);
        let mut text = format!("{:<width$}  result  iterations  keeps  refusals     ms\n", "scenario");
        for Outcome { name, failures, iterations, keeps, refusals, ms } in &self.scenarios {
            let result = if failures.is_empty() { "passed" } else { "FAILED" };
            let _ = writeln!(text, "{name:<width$}  {result}  {iterations:>10}  {keeps:>5}  {refusals:>8}  {ms:>5}");
            for failure in failures {
                let _ = writeln!(text, "  {failure}");
            }
        }
        let _ = writeln!(text, "{} passed, {} failed", self.passed, self.failed);
        text
    }

    /// Returns the results as JUnit's XML, which build servers read.
    pub fn junit(&self) -> String {
        let (tests, failed) = (self.scenarios.len(), self.failed);
        let total: u64 = self.scenarios.iter().map(|outcome| outcome.ms).sum();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"agent eval\" tests=\"{tests}\" failures=\"{failed}\" time=\"{}\">\n",
            seconds(total)
        );
        for outcome in &self.scenarios {
            let name = escaped(&outcome.name);
            let _ = write!(text, "  <testcase name=\"{name}\" classname=\"evals\" time=\"{}\"", seconds(outcome.ms));
            match outcome.failures.first() {
                None => text.push_str("/>\n"),
                Some(first) => {
                    let (first, all) = (escaped(first), escaped(&outcome.failures.join("\n")));
                    let _ = writeln!(text, ">\n    <failure message=\"{first}\">{all}</failure>\n  </testcase>");
                }
            }
        }
        text.push_str("</testsuite>\n");
        text
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Escapes what XML would take for its own; characters that it cannot hold at all become U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_below_its_scenario_and_harmless_in_the_xml() {
        let failed =
            Outcome { failures: vec!["kernel: <a> & \"b\"\u{1b}[31m\nmore".to_owned()], ..Outcome::new("002_b") };
        let results = Results::new(vec![Outcome { ms: 1500, ..Outcome::new("001_a") }, failed]);
        assert_eq!((results.passed, results.failed), (1, 1));
        let text = results.text();
        assert!(text.contains("002_b     FAILED") && text.ends_with("1 passed, 1 failed\n"), "{text}");
        let xml = results.junit();
        assert!(xml.contains("tests=\"2\" failures=\"1\" time=\"1.500\""), "{xml}");
        assert!(xml.contains("message=\"kernel: &lt;a&gt; &amp; &quot;b&quot;\u{fffd}[31m&#10;more\""), "{xml}");
    }
}
