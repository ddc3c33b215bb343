//! The result object that a block writes to `AFTERHOURS_RESULT`, and whose fault a block without a good one is.

use serde::{Deserialize, Serialize};

use super::api::Failure;
use super::job::{BlockResult, CaseResult, Exit, Ran, Role};
use crate::protocol::{Device, InfraFailure, KernelFailure, Micros};

/// Larger results are refused: no honest one comes near.
const MAX_BYTES: usize = 16 << 20;
/// Characters of a text from the far side that go into a message.
const MAX_MESSAGE: usize = 2000;

/// What a block reports. Unknown keys are ignored, so that a harness may add its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResultObject {
    pub(super) device: Device,
    pub(super) cases: Vec<ResultCase>,
    /// Who wrote it, for a reader.
    #[serde(default)]
    pub(super) harness: String,
    /// Proves that the native worker wrote it; other harnesses have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<String>,
}

/// One case of a [`ResultObject`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResultCase {
    pub(super) id: String,
    pub(super) passed: bool,
    /// Why it did not pass.
    #[serde(default)]
    pub(super) error: Option<String>,
    /// Microseconds of each timed call.
    #[serde(default)]
    pub(super) time_us: Vec<f64>,
}

impl ResultObject {
    /// Parses the object, or says what was found in its place.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("the result has {} bytes, more than the {MAX_BYTES} allowed", bytes.len()));
        }
        serde_json::from_slice(bytes).map_err(|error| {
            let found = clip(&String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)));
            format!("the result is not a result object ({error}): {found:?}")
        })
    }

    /// Returns the block's result: a case that did not pass is the kernel's fault, anything implausible nobody's.
    pub(super) fn judge(self, role: Role) -> Result<BlockResult, Failure> {
        if let Some(case) = self.cases.iter().find(|case| !case.passed) {
            let error = case.error.as_deref().unwrap_or("no error given");
            return Err(blame(role, KernelFailure::WrongAnswer, format!("case {}: {}", clip(&case.id), clip(error))));
        }
        let cases = self.cases.into_iter().map(timed).collect::<Result<Vec<_>, _>>()?;
        if cases.is_empty() {
            return Err(no_result("the result has no cases"));
        }
        if let Some(twice) = first_duplicate(&cases) {
            return Err(no_result(format!("the result has case {:?} twice", clip(twice))));
        }
        Ok(BlockResult { device: self.device, cases, conditions: None })
    }
}

fn timed(case: ResultCase) -> Result<CaseResult, Failure> {
    let time_us = case
        .time_us
        .into_iter()
        .map(Micros::new)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| no_result(format!("case {}: {error}", clip(&case.id))))?;
    if time_us.is_empty() {
        return Err(no_result(format!("case {} passed without a single time", clip(&case.id))));
    }
    Ok(CaseResult { id: case.id, time_us, mean_us: None })
}

fn first_duplicate(cases: &[CaseResult]) -> Option<&str> {
    let mut seen = std::collections::HashSet::new();
    cases.iter().map(|case| case.id.as_str()).find(|id| !seen.insert(*id))
}

/// Returns the failure of a kernel in `role`: an incumbent that fails says nothing about the change beside it.
pub(super) fn blame(role: Role, failure: KernelFailure, message: impl Into<String>) -> Failure {
    let message = message.into();
    match role {
        Role::Candidate => Failure::Kernel(failure, message),
        Role::Incumbent => Failure::Infra(InfraFailure::Incumbent, format!("{failure}: {message}")),
    }
}

/// Returns the failure of a block that left nothing to believe.
pub(super) fn no_result(message: impl Into<String>) -> Failure {
    Failure::Infra(InfraFailure::NoResult, message.into())
}

/// Checks that a process ended by itself: a signal or the job's time-out is the kernel's fault.
pub(super) fn ended_by_itself(ran: &Ran) -> Result<i32, Failure> {
    match ran.exit {
        Exit::Code(code) => Ok(code),
        Exit::Signal(signal) => {
            Err(blame(ran.role, KernelFailure::Crash, with_stderr(format!("killed by {}", signal_name(signal)), ran)))
        }
        Exit::TimedOut => {
            let message =
                format!("still running after {:.1} s, when the measurement's time was over", ran.elapsed.as_secs_f64());
            Err(blame(ran.role, KernelFailure::Timeout, message))
        }
    }
}

/// Appends the last lines of standard error, where there are any.
pub(super) fn with_stderr(message: impl Into<String>, ran: &Ran) -> String {
    let lines: Vec<&str> = ran.stderr.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let tail = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n");
    let message = message.into();
    if tail.is_empty() { message } else { format!("{message}\n{}", clip(&tail)) }
}

/// Shortens a text from the far side to what a message can hold.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

pub(super) fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL (illegal instruction)",
        6 => "SIGABRT (abort)",
        7 => "SIGBUS (bus error)",
        8 => "SIGFPE (arithmetic error, such as an integer division by zero)",
        9 => "SIGKILL (killed, perhaps for its memory)",
        11 => "SIGSEGV (access to memory that is not its own)",
        15 => "SIGTERM",
        24 => "SIGXCPU (processor time used up)",
        25 => "SIGXFSZ (file too large)",
        31 => "SIGSYS (a system call that is not allowed)",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<BlockResult, Failure> {
        ResultObject::parse(text.as_bytes()).map_err(no_result)?.judge(Role::Candidate)
    }

    #[test]
    fn a_good_result_keeps_its_cases_in_order() {
        let result = judge(
            r#"{"device":{"name":"NVIDIA B200","compute_capability":"10.0"},"later":1,
                "cases":[{"id":"b","passed":true,"time_us":[2.5]},{"id":"a","passed":true,"error":null,"time_us":[1,3]}]}"#,
        )
        .unwrap();
        assert_eq!(result.device.compute_capability.as_deref(), Some("10.0"));
        assert_eq!(result.cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(result.cases[1].time_us.len(), 2);
    }

    #[test]
    fn results_that_prove_nothing_are_infra_failures() {
        let table = [
            ("", "not a result object"),
            ("null", "not a result object"),
            ("{\"cases\":[]}", "device"),
            (r#"{"device":{"name":"x"},"cases":[]}"#, "no cases"),
            (r#"{"device":{"name":"x"},"cases":[{"id":"a","time_us":[1]}]}"#, "passed"),
            (r#"{"device":{"name":"x"},"cases":[{"id":"a","passed":true}]}"#, "without a single time"),
            (r#"{"device":{"name":"x"},"cases":[{"id":"a","passed":true,"time_us":[1,-1]}]}"#, "-1 is not a time"),
            (r#"{"device":{"name":"x"},"cases":[{"id":"a","passed":true,"time_us":[0]}]}"#, "0 is not a time"),
            (r#"{"device":{"name":"x"},"cases":[{"id":"a","passed":true,"time_us":[NaN]}]}"#, "not a result object"),
            (
                r#"{"device":{"name":"x"},"cases":[{"id":"a","passed":true,"time_us":[1]},{"id":"a","passed":true,"time_us":[1]}]}"#,
                "twice",
            ),
        ];
        for (text, expected) in table {
            match judge(text) {
                Err(Failure::Infra(InfraFailure::NoResult, message)) => {
                    assert!(message.contains(expected), "{text}: {message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_failed_case_is_a_wrong_answer_even_where_it_has_times() {
        let text = r#"{"device":{"name":"x"},"cases":[{"id":"a","passed":true,"time_us":[1]},
                       {"id":"b","passed":false,"error":"off by one","time_us":[0.1]}]}"#;
        assert_eq!(judge(text), Err(Failure::Kernel(KernelFailure::WrongAnswer, "case b: off by one".to_owned())));
    }

    #[test]
    fn an_incumbent_that_fails_does_not_blame_the_candidate() {
        let failure = blame(Role::Incumbent, KernelFailure::Crash, "gone");
        assert_eq!(failure, Failure::Infra(InfraFailure::Incumbent, "crash: gone".to_owned()));
    }

    #[test]
    fn endless_texts_are_cut() {
        let huge = vec![b' '; MAX_BYTES + 1];
        assert!(ResultObject::parse(&huge).unwrap_err().contains("more than"));
        assert!(ResultObject::parse(&vec![b'x'; 1 << 20]).unwrap_err().len() < 1000);
        assert_eq!(clip(&"µ".repeat(9000)).chars().count(), MAX_MESSAGE + 1);
    }
}
