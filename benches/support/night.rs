//! A night with a model that answers as the prompt teaches, and the tokens of its requests.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use afterhours::model::{Context, Ledgered, Limits, Message};
use afterhours::report::Quiet;

use super::Failed;
use super::canned::{Canned, Fate};
use super::stage::{Stage, drive, memory_folder};
use super::talker::Talker;
use super::tally::Tally;

/// What a night came to.
pub struct Played {
    /// Its requests.
    pub tally: Tally,
    /// Exchanges with the model.
    pub round_trips: u32,
    /// Calls that were refused or failed.
    pub mistakes: u32,
}

/// A night's mix: a change in twelve is kept, a third fails its test, the rest is no faster.
pub fn mixed(iteration: u32) -> Fate {
    match iteration % 12 {
        5 => Fate::Kept,
        1 | 4 | 8 | 11 => Fate::Wrong,
        7 => Fate::GivenUp,
        _ => Fate::Slower,
    }
}

/// Returns a context that forgets nothing: every request holds the whole conversation.
pub fn append_only() -> Ledgered {
    let endless = u64::MAX / 4;
    let limits = Limits::for_context(None);
    Ledgered::new(Limits { request: endless, live_iterations: usize::MAX / 2, live: endless, ..limits })
}

/// Plays so many iterations. The artifact of a test that failed is read in `pages` turns. `check` sees every request.
pub fn play<C: Context + 'static>(
    iterations: u32,
    fate: fn(u32) -> Fate,
    pages: u32,
    context: C,
    check: fn(&[Message]),
) -> Result<Played, Failed> {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let requests = {
        let tally = Rc::clone(&tally);
        Rc::new(RefCell::new(move |iteration: u32, request: &[Message]| {
            check(request);
            tally.borrow_mut().push(iteration, request);
        }))
    };
    let stage = Stage::new(&memory_folder())?;
    let model = Talker { fate, pages, read: 0, context, requests };
    let observer = Quiet::new(std::io::sink(), PathBuf::new());
    let runner = Canned::new(fate, Rc::default());
    let mut session = stage.session_with(iterations, runner, Box::new(model), Box::new(observer))?;
    drive(&mut session)?;
    let counters = session.state().counters.clone();
    Ok(Played {
        tally: tally.take(),
        round_trips: counters.round_trips,
        mistakes: counters.refusals + counters.failed_calls,
    })
}
