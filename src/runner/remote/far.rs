//! The far side: `agent job`, started where the device is.

use std::io::{self, BufRead, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::{env, thread};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::here::host;
use super::room::Room;
use super::same::Same;
use super::wire::{Answer, MOST_ORDERS, Orders, PROGRAM};
use crate::harness::JobOutput;
use crate::runner::api::{Runner as _, RunnerError};
use crate::runner::local::Local;

/// The variable that names a place whose own name says nothing, such as a container.
const HOST: &str = "AFTERHOURS_HOST";

/// Runs the job that standard input orders, in a folder of its own, and answers on standard output.
///
/// It ends, and every process of the job with it, when the job does, at the end of its standard input, or by a signal. The
/// exit code is 0 where the answer is whole, whatever it says.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails too; the exit code still says it.
            let _ = writeln!(io::stderr(), "job: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    // No process of the job may read the orders out of this one, or write to its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let (orders, near_gone) = listen()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        let [terminate, interrupt, hangup] = &mut ends;
        let told = async {
            tokio::select! {
                () = heard(terminate) => {}
                () = heard(interrupt) => {}
                () = heard(hangup) => {}
            }
        };
        // What runs is dropped by whatever ends first, and its processes and its folder with it. Where its end was told to this
        // process and to the job's own, theirs says nothing of the kernel.
        tokio::select! {
            biased;
            () = told => Err(io::Error::other("told to stop")),
            _ = near_gone => Err(io::Error::other("nobody waits for the answer any more")),
            answered = answer(&orders) => answered,
        }
    })
}

async fn heard(signal: &mut io::Result<tokio::signal::unix::Signal>) {
    match signal {
        Ok(signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Reads the line of orders, and has a thread wait for the end of the input behind it.
fn listen() -> io::Result<(Vec<u8>, oneshot::Receiver<()>)> {
    let mut line = Vec::new();
    io::stdin().lock().take(MOST_ORDERS).read_until(b'\n', &mut line)?;
    let (gone, near_gone) = oneshot::channel();
    thread::Builder::new().spawn(move || {
        // An error is an end as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // Where this fails, the job is over.
        let _ = gone.send(());
    })?;
    Ok((line, near_gone))
}

/// Runs the job, and answers line by line.
async fn answer(orders: &[u8]) -> io::Result<()> {
    match run(orders).await {
        Ok(output) => {
            for ran in output.ran {
                say(&Answer::Ran(Box::new(ran)))?;
            }
            say(&Answer::Done)
        }
        Err(error) => say(&Answer::Failed(error.into())),
    }
}

async fn run(orders: &[u8]) -> Result<JobOutput, RunnerError> {
    let orders = Orders::read(orders).map_err(RunnerError::Missing)?;
    let agent = env::current_exe().map_err(|error| failed("find its own path", error))?;
    check(&agent, orders.same)?;
    let room = Room::make(&env::temp_dir()).map_err(|error| failed("make a folder for the job", error))?;
    // Whoever gave this place for the job gave its device as well: there is nobody to wait for.
    let local = Local::new(agent, room.path().join("stage")).with_locks_in(room.path().to_owned());
    let local = local.confined(orders.sandbox)?;
    say_of_job(&Answer::Begun { host: env::var(HOST).unwrap_or_else(|_| host()), protections: local.protections() })?;
    let mut lost = Ok(());
    let output = local
        .run(&orders.job, &mut |progress| {
            if lost.is_ok() {
                lost = say_of_job(&Answer::Progress(progress));
            }
        })
        .await?;
    lost.map(|()| output)
}

fn failed(action: &str, error: io::Error) -> RunnerError {
    RunnerError::Failed(format!("failed to {action}: {error}"))
}

/// Refuses to measure with another program than the one that asks.
fn check(agent: &Path, same: Same) -> Result<(), RunnerError> {
    if same == Same::Version || Same::of(agent)? == same {
        return Ok(());
    }
    Err(RunnerError::Missing(format!(
        "{} is another build of {PROGRAM} than the one that asks; install one build in both places, or name the right \
         file over there",
        agent.display()
    )))
}

fn say_of_job(answer: &Answer) -> Result<(), RunnerError> {
    say(answer).map_err(|error| failed("answer", error))
}

fn say(answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
