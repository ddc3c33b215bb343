//! The near side: one talk with a far side, to its end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::wire::{Answer, MOST_ANSWER, Orders};
use crate::harness::{Job, JobOutput, Part, Ran, Role};
use crate::runner::api::{Progress, RunnerError};
use crate::sandbox::{Captured, Protections};

/// How much is kept of what a place prints beside the answers, in bytes.
const MOST_SAID: usize = 64 << 10;

/// How long a place may take, after the end of the answers, to say why they ended, or what happened meanwhile.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The longest name of a host that is believed, in characters.
const LONGEST_HOST: usize = 120;

/// Where the last job began, and what kept its processes from everything else there.
#[derive(Debug, Default)]
pub(in crate::runner) struct LastPlace(RefCell<Option<(String, Option<Protections>)>>);

impl LastPlace {
    pub(in crate::runner) fn remember(&self, begun: Option<(String, Option<Protections>)>) {
        self.0.replace(begun);
    }

    pub(in crate::runner) fn host(&self) -> Option<String> {
        self.0.borrow().as_ref().map(|(host, _)| host.clone())
    }

    pub(in crate::runner) fn protections(&self) -> Option<Protections> {
        self.0.borrow().as_ref().and_then(|(_, protections)| protections.clone())
    }
}

/// The standard streams of whatever leads to the far side.
pub(in crate::runner) struct Pipes {
    /// Held open until the talk is over.
    pub(in crate::runner) stdin: ChildStdin,
    pub(in crate::runner) stdout: ChildStdout,
    pub(in crate::runner) stderr: ChildStderr,
}

/// What came of a talk.
#[derive(Debug)]
pub(in crate::runner) struct Talk {
    /// Where the job began, if it did, and what confines its processes there.
    pub(in crate::runner) begun: Option<(String, Option<Protections>)>,
    /// The end.
    pub(in crate::runner) ended: Ended,
    /// What the place printed beside the answers: reasons, where there is no answer or one of no worth.
    pub(in crate::runner) said: String,
}

/// How a talk ended.
#[derive(Debug)]
pub(in crate::runner) enum Ended {
    /// By the far side's last word.
    Told(Result<JobOutput, RunnerError>),
    /// Before it.
    Torn,
    /// Not at all in the time that it had.
    Silent,
    /// By an answer that no far side of this version gives.
    Garbled(String),
}

/// Talks with a far side about `orders`, within `limit`.
pub(in crate::runner) async fn talk(
    mut pipes: Pipes,
    orders: &Orders,
    limit: Duration,
    progress: &mut dyn FnMut(Progress),
) -> Result<Talk, RunnerError> {
    let mut line =
        serde_json::to_vec(orders).map_err(|error| RunnerError::Failed(format!("failed to write the job: {error}")))?;
    line.push(b'\n');
    let mut said = Captured::default();
    let mut hearing = Hearing::of(&orders.job);
    let ended = {
        let mut drained = pin!(said.drain(&mut pipes.stderr, MOST_SAID));
        let mut written = pin!(pipes.stdin.write_all(&line));
        let mut heard = pin!(timeout(limit, hearing.hear(&mut pipes.stdout, progress)));
        let (mut is_drained, mut is_written) = (false, false);
        let ended = loop {
            tokio::select! {
                ended = &mut heard => break ended.unwrap_or(Ended::Silent),
                // Where the orders do not arrive, the answers end as well.
                _ = &mut written, if !is_written => is_written = true,
                () = &mut drained, if !is_drained => is_drained = true,
            }
        };
        if matches!(ended, Ended::Torn | Ended::Told(_)) && !is_drained {
            // Too late is not wrong: what came until now is kept.
            let _ = timeout(LAST_WORDS, drained).await;
        }
        ended
    };
    Ok(Talk { begun: hearing.begun, ended, said: said.to_text() })
}

/// Looks for a far side's failure in all that it wrote.
pub(in crate::runner) fn told(stdout: &[u8]) -> Result<(), RunnerError> {
    let mut host = String::new();
    for line in stdout.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Answer::Begun { host: there, .. }) => host = there,
            Ok(Answer::Failed(failure)) => return Err(failure.on(&host)),
            Ok(Answer::Progress(_) | Answer::Ran(_) | Answer::Done) | Err(_) => {}
        }
    }
    Ok(())
}

/// What was heard so far.
struct Hearing {
    begun: Option<(String, Option<Protections>)>,
    /// The processes that it must still tell of, in this order, as long as none fails.
    ordered: VecDeque<(Role, Part)>,
    in_turns: bool,
    output: JobOutput,
}

impl Hearing {
    fn of(job: &Job) -> Self {
        let ordered = job.parts().map(|(role, part, _)| (role, part)).collect();
        Self { begun: None, ordered, in_turns: job.turn_calls.is_some(), output: JobOutput::default() }
    }

    /// Takes in what one process did. Of two blocks that took turns, the first may go untold where the second failed.
    fn take(&mut self, ran: Ran) -> Result<(), Ended> {
        let is_second = self.in_turns && matches!(ran.part, Part::Block(place) if place % 2 == 1);
        if is_second && !ran.exit.is_success() && self.ordered.get(1) == Some(&(ran.role, ran.part)) {
            self.ordered.pop_front();
        }
        if self.ordered.pop_front() != Some((ran.role, ran.part)) {
            return Err(Ended::Garbled("it tells of a process that was not its turn".to_owned()));
        }
        self.output.ran.push(ran);
        Ok(())
    }

    /// Returns the whole output.
    fn done(&mut self) -> Ended {
        let has_failed = self.output.ran.last().is_some_and(|ran| !ran.exit.is_success());
        if self.ordered.is_empty() || has_failed {
            Ended::Told(Ok(std::mem::take(&mut self.output)))
        } else {
            Ended::Garbled(format!("it says nothing of {} processes", self.ordered.len()))
        }
    }

    async fn hear(&mut self, stdout: &mut ChildStdout, progress: &mut dyn FnMut(Progress)) -> Ended {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut lines).take(MOST_ANSWER).read_until(b'\n', &mut line).await {
                Ok(_) if line.ends_with(b"\n") => {}
                Ok(length) if length as u64 == MOST_ANSWER => {
                    return Ended::Garbled(format!("a line of more than {MOST_ANSWER} bytes"));
                }
                Ok(_) | Err(_) => return Ended::Torn,
            }
            // A place's own greetings may stand before the answers.
            if line.first() != Some(&b'{') && self.begun.is_none() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(Answer::Begun { host, protections }) => {
                    let host = host.chars().filter(|c| !c.is_control()).take(LONGEST_HOST).collect();
                    self.begun = Some((host, protections));
                }
                Ok(Answer::Progress(how_far)) => progress(how_far),
                Ok(Answer::Ran(ran)) => {
                    if let Err(ended) = self.take(*ran) {
                        return ended;
                    }
                }
                Ok(Answer::Done) => return self.done(),
                Ok(Answer::Failed(failure)) => {
                    let host = self.begun.as_ref().map_or("the far side", |(host, _)| host);
                    return Ended::Told(Err(failure.on(host)));
                }
                Err(error) => return Ended::Garbled(error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Block, Exec, Exit, Program};
    use crate::protocol::Gpu;

    /// Four blocks, of which each two take turns.
    fn hearing() -> Hearing {
        let exec = Exec { program: Program::Agent, args: Vec::new(), env: Vec::new(), stdin: Vec::new(), result: None };
        let roles = [Role::Incumbent, Role::Candidate, Role::Candidate, Role::Incumbent];
        Hearing::of(&Job {
            gpu: Gpu("cpu".to_owned()),
            stages: Vec::new(),
            blocks: roles.map(|role| Block { role, exec: exec.clone() }).into(),
            turn_calls: Some(3),
            first_pair: 0,
            timeout: Duration::from_secs(1),
        })
    }

    fn ran(role: Role, place: usize, code: i32) -> Ran {
        Ran {
            role,
            part: Part::Block(place),
            command: String::new(),
            exit: Exit::Code(code),
            stdout: String::new(),
            stderr: String::new(),
            result: None,
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn of_two_that_took_turns_the_failed_one_may_be_told_alone() {
        let mut hearing = hearing();
        hearing.take(ran(Role::Incumbent, 0, 0)).unwrap();
        hearing.take(ran(Role::Candidate, 1, 0)).unwrap();
        hearing.take(ran(Role::Incumbent, 3, 70)).unwrap();
        assert!(matches!(hearing.done(), Ended::Told(Ok(output)) if output.ran.len() == 3));
    }

    #[test]
    fn nothing_else_may_go_untold() {
        for (role, place, code) in [(Role::Candidate, 1, 0), (Role::Candidate, 2, 70), (Role::Incumbent, 3, 70)] {
            assert!(matches!(hearing().take(ran(role, place, code)), Err(Ended::Garbled(_))), "{place}: {code}");
        }
        let mut one = hearing();
        one.in_turns = false;
        assert!(matches!(one.take(ran(Role::Candidate, 1, 70)), Err(Ended::Garbled(_))));
    }
}
