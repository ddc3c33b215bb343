//! Waiting for a device: no longer than the user and the wall budget allow.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::wish::StopFlag;
use crate::harness::{Job, JobOutput};
use crate::runner::{Deployable, LocalFuture, Progress, Runner, RunnerError};
use crate::sandbox::Protections;

/// The time between two looks, while a job waits.
const LOOK: Duration = Duration::from_millis(100);

/// When the wall budget is spent, if ever: the session says so before each measurement.
pub(super) type WallEnd = Rc<Cell<Option<Instant>>>;

/// A runner whose jobs leave the queue when they have waited for long enough. A job that runs is not disturbed.
pub(super) struct Impatient {
    pub(super) runner: Box<dyn Runner>,
    pub(super) stop: StopFlag,
    pub(super) end: WallEnd,
}

impl Impatient {
    async fn run_job(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<JobOutput, RunnerError> {
        let (waits, changed) = (Cell::new(false), Notify::new());
        let mut note = |how_far: Progress| {
            waits.set(how_far == Progress::WaitingForDevice);
            changed.notify_one();
            progress(how_far);
        };
        let enough = async {
            loop {
                if !waits.get() {
                    changed.notified().await;
                } else if let Some(why) = self.enough() {
                    return RunnerError::Failed(format!("the device was waited for in vain: {why}"));
                } else {
                    sleep(LOOK).await;
                }
            }
        };
        tokio::select! {
            biased;
            ran = self.runner.run(job, &mut note) => ran,
            error = enough => Err(error),
        }
    }

    fn enough(&self) -> Option<&'static str> {
        if self.stop.wished().is_some() {
            Some("the run is to stop")
        } else if self.end.get().is_some_and(|end| end <= Instant::now()) {
            Some("the wall budget is spent")
        } else {
            None
        }
    }
}

impl Runner for Impatient {
    fn name(&self) -> &str {
        self.runner.name()
    }

    fn protections(&self) -> Option<Protections> {
        self.runner.protections()
    }

    fn host(&self) -> Option<String> {
        self.runner.host()
    }

    fn deployable(&self) -> Option<Deployable> {
        self.runner.deployable()
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        Box::pin(self.run_job(job, progress))
    }

    fn release<'a>(&'a self) -> LocalFuture<'a, ()> {
        self.runner.release()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Gpu;

    /// Waits for its device, gets it if it is ever told to, and then works for a while.
    struct Queue {
        granted: Notify,
    }

    impl Runner for Queue {
        fn name(&self) -> &str {
            "queue"
        }

        fn run<'a>(
            &'a self,
            _: &'a Job,
            progress: &'a mut dyn FnMut(Progress),
        ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
            Box::pin(async {
                progress(Progress::WaitingForDevice);
                self.granted.notified().await;
                progress(Progress::Building);
                sleep(3 * LOOK).await;
                Ok(JobOutput::default())
            })
        }
    }

    fn job() -> Job {
        Job {
            gpu: Gpu("cpu".to_owned()),
            stages: Vec::new(),
            blocks: Vec::new(),
            turn_calls: None,
            first_pair: 0,
            timeout: Duration::ZERO,
        }
    }

    fn impatient(granted: bool) -> Impatient {
        let queue = Queue { granted: Notify::new() };
        if granted {
            queue.granted.notify_one();
        }
        Impatient { runner: Box::new(queue), stop: StopFlag::default(), end: WallEnd::default() }
    }

    #[tokio::test]
    async fn a_wish_to_stop_takes_a_waiting_job_out_of_the_queue() {
        let runner = impatient(false);
        runner.stop.signal();
        let error = runner.run(&job(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(&error, RunnerError::Failed(text) if text.contains("to stop")), "{error}");
    }

    #[tokio::test]
    async fn a_queue_is_not_waited_in_beyond_the_wall_budget() {
        let runner = impatient(false);
        runner.end.set(Some(Instant::now() + LOOK));
        let error = runner.run(&job(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(&error, RunnerError::Failed(text) if text.contains("wall budget")), "{error}");
    }

    #[tokio::test]
    async fn a_job_that_runs_is_left_to_its_end() {
        let runner = impatient(true);
        runner.stop.signal();
        runner.end.set(Some(Instant::now()));
        runner.run(&job(), &mut |_| {}).await.unwrap();
    }
}
