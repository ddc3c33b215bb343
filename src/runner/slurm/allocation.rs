//! An allocation: waited for, held, given back.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep_until};

use super::command::{Tied, cancel};
use super::lost;
use super::request::{Request, is_set};
use super::state::JobInfo;
use crate::runner::api::{Progress, RunnerError};

/// The time before the first look at why a job waits; each further one is twice as long, up to [`SELDOM`]: a queue is looked
/// at by many.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The longest time between two looks.
const SELDOM: Duration = Duration::from_secs(60);

/// An allocation that is held. Dropping it gives it back, and so does the death of this process.
#[derive(Debug)]
pub(super) struct Allocation {
    id: u32,
    salloc: Tied,
    /// Its end is the end of what holds the allocation.
    stdin: Option<ChildStdin>,
    /// Read no more, and kept: whoever writes into a pipe that nobody holds is killed.
    _streams: Streams,
}

#[derive(Debug)]
struct Streams {
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Allocation {
    /// Waits for what `request` asks, for as long as it takes. Dropping the future takes the job out of the queue.
    pub(super) async fn wait_for(
        request: &Request<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, RunnerError> {
        progress(Progress::WaitingForDevice);
        let mut salloc = Tied::start("salloc", &request.salloc(is_set))?;
        let Some((stdin, stdout, stderr)) = salloc.streams() else {
            return Err(RunnerError::Failed("salloc was started without its streams".to_owned()));
        };
        let streams = Streams { stdout: BufReader::new(stdout).lines(), stderr: BufReader::new(stderr).lines() };
        let mut queue = Queue { salloc, streams, said: String::new(), pending: None };
        let id = queue.grant().await?;
        let Queue { salloc, streams, .. } = queue;
        Ok(Self { id, salloc, stdin: Some(stdin), _streams: streams })
    }

    /// Returns the number of the job in the cluster.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Tells whether the cluster has taken it away.
    pub(super) fn is_lost(&mut self) -> bool {
        self.salloc.has_ended()
    }

    /// Gives it back.
    pub(super) async fn give_back(mut self) {
        drop(self.stdin.take());
        self.salloc.leave().await;
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if !self.salloc.end() {
            cancel(self.id);
        }
    }
}

/// A `salloc` that has not got its allocation yet.
struct Queue {
    salloc: Tied,
    streams: Streams,
    /// What it told.
    said: String,
    /// The job's number, once there is a job.
    pending: Option<u32>,
}

impl Queue {
    /// Waits for the allocation, and returns the job's number.
    async fn grant(&mut self) -> Result<u32, RunnerError> {
        let (mut pause, mut look) = (FIRST_LOOK, Instant::now() + FIRST_LOOK);
        let mut reason = String::new();
        loop {
            tokio::select! {
                line = self.streams.stdout.next_line() => return match line.ok().flatten().and_then(|id| id.trim().parse().ok()) {
                    Some(id) => Ok(id),
                    None => Err(self.refused().await),
                },
                Ok(Some(line)) = self.streams.stderr.next_line() => self.note(&line),
                () = sleep_until(look) => {
                    pause = SELDOM.min(pause * 2);
                    look = Instant::now() + pause;
                    self.look(&mut reason).await?;
                }
            }
        }
    }

    fn note(&mut self, line: &str) {
        self.pending = self.pending.or_else(|| pending(line));
        if self.said.len() < 4096 {
            self.said.push_str(line);
            self.said.push('\n');
        }
    }

    /// Looks at why the job waits, and waits no longer for what will never be.
    async fn look(&mut self, before: &mut String) -> Result<(), RunnerError> {
        let Some(id) = self.pending else { return Ok(()) };
        // Where the cluster gives no answer now, it may later.
        let Ok(Some(info)) = JobInfo::of(id).await else { return Ok(()) };
        if info.is_hopeless() {
            return Err(lost::hopeless(id, &info.reason));
        }
        if info.reason != *before {
            tracing::info!("job {id} waits in the cluster's queue: {}", info.reason);
            *before = info.reason;
        }
        Ok(())
    }

    /// Says why `salloc` ended without an allocation.
    async fn refused(&mut self) -> RunnerError {
        while let Ok(Some(line)) = self.streams.stderr.next_line().await {
            self.note(&line);
        }
        self.salloc.leave().await;
        match self.pending {
            Some(id) => lost::while_waiting(id, JobInfo::of(id).await.ok().flatten().as_ref(), &self.said),
            None => lost::refused(&self.said),
        }
    }
}

/// Reads the number out of `salloc: Pending job allocation 3`.
fn pending(line: &str) -> Option<u32> {
    line.strip_prefix("salloc: Pending job allocation ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_job_s_number_is_read_from_what_salloc_says_and_from_nothing_else() {
        assert_eq!(pending("salloc: Pending job allocation 31"), Some(31));
        assert_eq!(pending("salloc: job 31 queued and waiting for resources"), None);
        assert_eq!(pending("salloc: Pending job allocation x"), None);
    }
}
