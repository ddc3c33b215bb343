//! A runner that starts nothing: every process of a job has ended already, with the times that the script wants.

use std::cell::Cell;
use std::future::ready;
use std::rc::Rc;
use std::time::{Duration, Instant};

use afterhours::harness::{Block, Exit, Job, JobOutput, Part, Ran, Role};
use afterhours::runner::{LocalFuture, Progress, Runner, RunnerError};
use serde_json::json;

/// What is to become of an iteration's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Confirmed and committed.
    Kept,
    /// Benchmarked, and no gain.
    Slower,
    /// Fails the smoke test.
    Wrong,
    /// Passes the smoke test; then the model gives it up.
    GivenUp,
}

/// The fate of a long night's changes: one in fifty is kept, a quarter fails its test, the rest is no faster.
pub fn of_a_long_night(iteration: u32) -> Fate {
    match iteration {
        _ if iteration.is_multiple_of(50) => Fate::Kept,
        _ if iteration.is_multiple_of(4) => Fate::Wrong,
        _ => Fate::Slower,
    }
}

/// The cases of the harness.
const CASES: [&str; 3] = ["n=4096", "n=65536", "n=1048576"];

/// The line by which a kernel tells the iteration that wrote it.
pub const MARK: &str = "#define UNROLL_STEP ";

/// Returns the iteration that wrote the kernel; 0 is the one as found.
pub fn iteration_of(kernel: &str) -> u32 {
    let digits = kernel.split_once(MARK).and_then(|(_, rest)| rest.lines().next());
    digits.and_then(|digits| digits.trim().parse().ok()).unwrap_or(0)
}

/// The runner.
pub struct Canned {
    fate: fn(u32) -> Fate,
    spent: Rc<Cell<Duration>>,
}

impl Canned {
    /// Returns a runner in whose world the change of each iteration has the fate that `fate` says. It adds to `spent` the
    /// time that it takes to make its results up.
    pub fn new(fate: fn(u32) -> Fate, spent: Rc<Cell<Duration>>) -> Self {
        Self { fate, spent }
    }

    fn ran(&self, job: &Job, place: usize, block: &Block) -> Ran {
        let kernel = job.stages.iter().find(|stage| stage.role == Role::Candidate).and_then(|stage| stage.files.get(1));
        let iteration = kernel.map_or(0, |(_, text)| iteration_of(&String::from_utf8_lossy(text)));
        let fate = if block.role == Role::Incumbent || iteration == 0 { Fate::GivenUp } else { (self.fate)(iteration) };
        let calls = block.exec.env.iter().find(|(key, _)| key == "PYGPUBENCH_REPEATS");
        let calls = calls.and_then(|(_, number)| number.parse().ok()).unwrap_or(1);
        Ran {
            role: block.role,
            part: Part::Block(place),
            command: "sh harness.sh".to_owned(),
            exit: Exit::Code(0),
            stdout: format!("{} cases, {calls} calls each\n", CASES.len()),
            stderr: String::new(),
            result: Some(result(fate, calls, place)),
            elapsed: Duration::from_millis(1),
        }
    }
}

impl Runner for Canned {
    fn name(&self) -> &str {
        "canned"
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        _progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        let begun = Instant::now();
        let ran = job.blocks.iter().enumerate().map(|(place, block)| self.ran(job, place, block)).collect();
        self.spent.set(self.spent.get() + begun.elapsed());
        Box::pin(ready(Ok(JobOutput { ran })))
    }
}

/// Returns a block's result object. The times wander by a thousandth, each pair of blocks alike.
fn result(fate: Fate, calls: u32, place: usize) -> Vec<u8> {
    let us = match fate {
        Fate::Kept => 96.0,
        Fate::Slower => 103.0,
        Fate::Wrong | Fate::GivenUp => 100.0,
    };
    let mut random = fastrand::Rng::with_seed(place as u64 / 2);
    let cases = CASES.map(|id| {
        // Whole nanoseconds, as a clock gives them.
        let times: Vec<f64> = (0..calls).map(|_| (us * (1e3 + random.f64())).round() / 1e3).collect();
        let passed = fate != Fate::Wrong || id != "n=65536";
        json!({"id": id, "passed": passed, "error": (!passed).then_some("element 17 is 0.5, expected 0.25"), "time_us": times})
    });
    json!({"harness": "canned", "device": {"name": "cpu (canned)"}, "cases": cases}).to_string().into_bytes()
}
