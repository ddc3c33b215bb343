//! An allocation: waited for, held, given back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
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

/// How much of what `salloc` tells is read, in bytes.
const MOST_TOLD: u64 = 16 << 10;

/// An allocation that is held. Dropping it gives it back, and so does the death of this process.
#[derive(Debug)]
pub(super) struct Allocation {
    grant: Grant,
    salloc: Tied,
    /// Its end is the end of what holds the allocation.
    stdin: Option<ChildStdin>,
}

impl Allocation {
    /// Waits for what `request` asks, for as long as it takes. Dropping the future takes the job out of the queue.
    pub(super) async fn wait_for(
        request: &Request<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, RunnerError> {
        progress(Progress::WaitingForDevice);
        let told = Told::new().map_err(unheard)?;
        let mut salloc = Tied::start("salloc", &request.salloc(is_set), &[], told.writer().map_err(unheard)?)?;
        let (stdin, stdout) = salloc.pipes()?;
        let mut queue = Queue { salloc, stdout: BufReader::new(stdout).lines(), told };
        let grant = queue.grant().await?;
        Ok(Self { grant, salloc: queue.salloc, stdin: Some(stdin) })
    }

    /// Returns the number of the job in the cluster.
    pub(super) fn id(&self) -> u32 {
        self.grant.id
    }

    /// Returns the variables that tell a step of the job what memory it has, as `salloc` tells what it starts itself.
    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.grant.variables
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
            cancel(self.grant.id);
        }
    }
}

fn unheard(error: io::Error) -> RunnerError {
    RunnerError::Failed(format!("no file in memory for what salloc tells: {error}"))
}

/// What `salloc` tells, in a file in memory: a pipe would break with this process, and kill `salloc` before it has given back
/// what it holds.
struct Told(File);

impl Told {
    fn new() -> io::Result<Self> {
        Ok(Self(File::from(memfd_create("salloc", MemfdFlags::CLOEXEC)?)))
    }

    fn writer(&self) -> io::Result<Stdio> {
        self.0.try_clone().map(Stdio::from)
    }

    /// Returns what it told so far.
    fn text(&self) -> String {
        // Read from the start, without moving the place at which the writer goes on.
        let length = self.0.metadata().map_or(0, |file| file.len().min(MOST_TOLD));
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        let read = self.0.read_at(&mut text, 0).unwrap_or_default();
        String::from_utf8_lossy(text.get(..read).unwrap_or_default()).into_owned()
    }

    /// Returns the number of the job that waits, once there is one.
    fn pending(&self) -> Option<u32> {
        self.text().lines().find_map(pending)
    }
}

/// What holds an allocation tells of it.
#[derive(Debug, PartialEq, Eq)]
struct Grant {
    /// The job's number.
    id: u32,
    variables: Vec<(String, String)>,
}

impl Grant {
    /// Reads `3 SLURM_MEM_PER_NODE=512`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let id = words.next()?.parse().ok()?;
        let pair = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(Self { id, variables: words.filter_map(pair).collect() })
    }
}

/// A `salloc` that has not got its allocation yet.
struct Queue {
    salloc: Tied,
    stdout: Lines<BufReader<ChildStdout>>,
    told: Told,
}

impl Queue {
    /// Waits for the allocation.
    async fn grant(&mut self) -> Result<Grant, RunnerError> {
        let (mut pause, mut look) = (FIRST_LOOK, Instant::now() + FIRST_LOOK);
        let mut reason = String::new();
        loop {
            tokio::select! {
                line = self.stdout.next_line() => {
                    return match line.ok().flatten().as_deref().and_then(Grant::parse) {
                        Some(grant) => Ok(grant),
                        None => Err(self.refused().await),
                    };
                }
                () = sleep_until(look) => {
                    pause = SELDOM.min(pause * 2);
                    look = Instant::now() + pause;
                    self.look(&mut reason).await?;
                }
            }
        }
    }

    /// Looks at why the job waits, and waits no longer for what will never be.
    async fn look(&self, before: &mut String) -> Result<(), RunnerError> {
        let Some(id) = self.told.pending() else { return Ok(()) };
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
        self.salloc.leave().await;
        match self.told.pending() {
            Some(id) => lost::while_waiting(id, JobInfo::of(id).await.ok().flatten().as_ref(), &self.told.text()),
            None => lost::refused(&self.told.text()),
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
    fn a_granted_job_tells_its_number_and_its_memory() {
        let grant = |variables: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Some(Grant { id: 31, variables: variables.iter().map(owned).collect() })
        };
        assert_eq!(Grant::parse("31"), grant(&[]));
        assert_eq!(Grant::parse("31 SLURM_MEM_PER_NODE=512"), grant(&[("SLURM_MEM_PER_NODE", "512")]));
        assert_eq!((Grant::parse(""), Grant::parse("x 31")), (None, None));
    }

    #[test]
    fn a_waiting_job_s_number_is_read_from_what_salloc_says_and_from_nothing_else() {
        assert_eq!(pending("salloc: Pending job allocation 31"), Some(31));
        assert_eq!(pending("salloc: job 31 queued and waiting for resources"), None);
        assert_eq!(pending("salloc: Pending job allocation x"), None);
    }
}
