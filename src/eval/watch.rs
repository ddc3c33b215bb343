//! What happens to a scenario's run from outside: the user says stop, or its process dies.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::rc::Rc;

use super::expected::Expected;
use crate::model::{Model, Replay, TurnFuture, View};
use crate::protocol::{Event, Moment, RunState};
use crate::report::Observer;
use crate::runner::Progress;
use crate::session::StopFlag;

/// The process has died: nothing of it runs any more, and what is in the journal is all that is left.
pub(super) struct Died;

/// Counts the run's events, over all its processes.
#[derive(Clone, Default)]
pub(super) struct Watch {
    events: Rc<Cell<usize>>,
    stop_after: Option<usize>,
    resume_after: Vec<usize>,
    pub(super) stop: StopFlag,
}

impl Watch {
    pub(super) fn new(expected: &Expected) -> Self {
        let (stop_after, resume_after) = (expected.stop_after, expected.resume_after.clone());
        Self { stop_after, resume_after, ..Self::default() }
    }

    /// Returns what should have happened after an event that never came.
    pub(super) fn missed(&self) -> Option<String> {
        let events = self.events.get();
        let named = |key: &'static str| move |after: &usize| (key, *after);
        let all =
            self.resume_after.iter().map(named("resume_after")).chain(self.stop_after.iter().map(named("stop_after")));
        let (key, after) = all.into_iter().find(|(_, after)| *after > events)?;
        Some(format!("{key}: there is no event {after}; the run has {events}"))
    }
}

impl Observer for Watch {
    fn event(&mut self, _before: &Moment, _event: &Event, _line: &str, _after: &RunState) {
        let events = self.events.get() + 1;
        self.events.set(events);
        if self.stop_after == Some(events) {
            self.stop.signal();
        }
        if self.resume_after.contains(&events) {
            resume_unwind(Box::new(Died));
        }
    }

    fn progress(&mut self, _progress: Progress) {}

    fn note(&mut self, _text: &str) {}
}

/// A recorded model, and how far its recording was played.
pub(super) struct Asked {
    pub(super) replay: Replay,
    pub(super) turns: Rc<Cell<usize>>,
}

impl Model for Asked {
    fn name(&self) -> String {
        self.replay.name()
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        let counters = &view.state.counters;
        let place = usize::try_from(counters.round_trips + counters.model_faults).unwrap_or(usize::MAX);
        self.turns.set(self.turns.get().max(place.saturating_add(1)));
        self.replay.turn(view)
    }
}
