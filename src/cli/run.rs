//! `agent run` and `agent resume`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::args::{Choices, ResumeArgs, RunArgs, ViewArgs};
use super::error::CliError;
use super::exit::Exit;
use super::logging;
use super::world::{here, own_path, runtime};
use crate::mission::ModelChoice;
use crate::report::{Human, Json, Meter, Observer, Quiet};
use crate::session::{Options, Session, StopFlag, recording_path, run_folder};

pub(super) fn run(args: RunArgs) -> Result<Exit, CliError> {
    logging::begin();
    let mut options = options(args.choices, args.view)?;
    options.vars = args.vars.into_iter().collect();
    options.run_id = args.run_id;
    let stop = options.stop.clone();
    let session = Session::start(&here()?, &args.mission, options)?;
    drive(session, stop)
}

pub(super) fn resume(args: ResumeArgs) -> Result<Exit, CliError> {
    logging::begin();
    let folder = run_folder(&here()?, args.run.run.as_deref())?;
    let options = options(args.choices, args.view)?;
    let stop = options.stop.clone();
    let session = Session::resume(&folder, options)?;
    drive(session, stop)
}

pub(super) fn options(choices: Choices, view: ViewArgs) -> Result<Options, CliError> {
    let here = here()?;
    Ok(Options {
        agent: own_path()?,
        vars: BTreeMap::new(),
        model: choices.model.map(|model| from_here(model, &here)),
        runner: choices.runner,
        max_iterations: choices.max_iterations,
        run_id: None,
        observer: Box::new(move |folder| observer(view, folder)),
        stop: StopFlag::default(),
    })
}

/// A recording on the command line is named from the folder that the user stands in; in a mission, from the repository.
fn from_here(model: ModelChoice, here: &Path) -> ModelChoice {
    match model {
        ModelChoice::Replay(path) => ModelChoice::Replay(recording_path(here, &path)),
        other => other,
    }
}

fn observer(view: ViewArgs, folder: &Path) -> Box<dyn Observer> {
    if view.json {
        Box::new(Json::new(std::io::stdout()))
    } else if view.quiet {
        Box::new(Quiet::new(anstream::stdout(), folder.to_path_buf()))
    } else {
        Box::new(Human::new(anstream::stdout(), Meter::stderr(), folder.to_path_buf()))
    }
}

/// Drives the session to its end. The first signal asks it to stop after the step under way; the second ends it at once, and
/// the run stays resumable.
fn drive(mut session: Session, stop: StopFlag) -> Result<Exit, CliError> {
    logging::keep_in(session.folder());
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut running = std::pin::pin!(session.run());
        let mut asked = false;
        loop {
            tokio::select! {
                ended = &mut running => return Ok(Exit::from(&ended?)),
                () = signals.next() => {
                    if asked {
                        say("stopped at once; go on with `agent resume`");
                        return Ok(Exit::Stopped);
                    }
                    asked = true;
                    stop.signal();
                    say("stopping after this step, and putting the change in flight back; once more stops at once");
                }
            }
        }
    })
}

fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "\n{text}");
}

/// Ctrl-C and the signal that service managers and batch systems send.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| CliError::internal(format!("signals cannot be received: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
