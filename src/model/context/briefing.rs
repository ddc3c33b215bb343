//! Where the run stands: the message that a request is rebuilt around, made from the run's state and its snapshots alone.

use super::figures::evidence;
use super::ledger;
use super::limits::Limits;
use super::prompts::{Briefing, Recent, Words};
use super::quote::{cut, fenced, harmless, lines_left_out, quoted};
use crate::model::{ModelError, View};
use crate::protocol::{ContentHash, Decision, Finding, IterationRecord, Micros, Purpose, RunState, STUCK_TURNS, Tool};
use crate::workspace::diff_texts;

/// After so many reverts in a row the model is told to change the direction.
const PLATEAU: u32 = 6;

/// After so many answers in a row that brought nothing, the conversation is dropped: it teaches its own mistakes.
pub(super) const FRUITLESS: u32 = 4;

/// The longest plan or feedback, in characters.
const SAYING: usize = 400;

/// Whether the briefing must tell of the change in flight, or the conversation behind it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flight {
    /// The conversation is gone.
    Told,
    /// The conversation still holds it.
    InConversation,
}

/// Returns the briefing.
pub(super) fn briefing(view: &View<'_>, limits: &Limits, flight: Flight) -> Result<String, ModelError> {
    let state = view.state;
    let incumbent = text_of(view, state.incumbent);
    let recent = state.ledger.len().saturating_sub(limits.recent);
    let words = Briefing {
        iteration: state.iteration.0,
        phase: state.phase.name(),
        legal: legal(state),
        figures: figures(state),
        counts: counts(state),
        hint: hint(state),
        ledger: ledger::rows(&state.ledger, limits.ledger),
        recent: (recent..state.ledger.len()).filter_map(|place| in_full(view, place, limits)).collect(),
        lines: incumbent.as_deref().map_or(0, |text| text.lines().count()),
        incumbent: match &incumbent {
            Some(text) => kernel(text, limits.kernel),
            None => "Its text is not at hand: `read-file` with path `kernel` shows it.".to_owned(),
        },
        flight: if flight == Flight::Told { in_flight(view, limits) } else { None },
    };
    words.render()
}

/// Returns the tools that are legal now.
pub(super) fn legal(state: &RunState) -> String {
    let tools = state.legal().iter().chain([&Tool::ReadFile]);
    tools.map(|tool| format!("`{tool}`")).collect::<Vec<_>>().join(", ")
}

fn figures(state: &RunState) -> String {
    let us = |us: Option<Micros>| us.map_or("not known".to_owned(), |us| us.to_string());
    let baseline = state.baseline.as_ref().map(|baseline| baseline.us);
    let target = state.target_us().and_then(|us| Micros::new(us).ok());
    let device = state.device.as_deref().map(|name| format!(", on {}", quoted(name, 80))).unwrap_or_default();
    let metric = state.run.terms.metric;
    let (baseline, best, target) = (us(baseline), us(state.best_us), us(target));
    format!("{metric}: baseline {baseline}, best {best}, target {target}{device}.{}", last_duel(state))
}

/// Says what the best kernel came to against the kernel as found: the loop goes on where that did not confirm the target.
fn last_duel(state: &RunState) -> String {
    let present = state.headline.as_ref().filter(|headline| headline.kernel == state.incumbent);
    let result = present.and_then(|headline| headline.result.as_ref());
    let Some((figure, found)) = result.and_then(|figure| Some((figure, figure.comparison.as_ref()?))) else {
        return String::new();
    };
    format!(
        " A duel against the kernel as found did not confirm the target: {}, {:.3}x [{:.3}, {:.3}].",
        figure.us, found.ratio, found.low, found.high
    )
}

fn counts(state: &RunState) -> String {
    let counters = &state.counters;
    format!(
        "{} iterations are over: {} kept, {} reverted, {} of these since the last KEEP.",
        state.ledger.len(),
        counters.keeps,
        counters.reverts,
        counters.no_progress
    )
}

fn hint(state: &RunState) -> Option<String> {
    let idle = state.current.idle_turns;
    if idle >= FRUITLESS {
        return Some(format!(
            "The last {idle} answers brought no legal step. After {STUCK_TURNS} the iteration is lost: begin with a call that is \
             legal now."
        ));
    }
    (state.counters.no_progress >= PLATEAU).then(|| {
        "Nothing has paid for a while: small variations of what the ledger lists will not either. Ask anew what limits the \
         kernel, and try something that differs in kind."
            .to_owned()
    })
}

fn kernel(text: &str, limit: u64) -> String {
    let mark = |first, last| {
        format!("[lines {first} to {last} are left out here: read-file, path kernel, first {first}, shows them]")
    };
    fenced(&cut(&harmless(text), limit, mark), "")
}

/// Returns what is left of an iteration when its figures are told: its difference, its failure, its author's words.
fn in_full(view: &View<'_>, place: usize, limits: &Limits) -> Option<Recent> {
    let record = view.state.ledger.get(place)?;
    let mut parts = Vec::new();
    if let Some(kernel) = record.kernel {
        parts.push(difference(view, incumbent_before(view.state, place), kernel, limits));
    }
    if let Some(message) = failure(record) {
        parts.push(fenced(&cut(&harmless(message), limits.each_recent, lines_left_out), ""));
    }
    for (name, words) in [("feedback", &record.feedback), ("plan", &record.next_step)] {
        if !words.trim().is_empty() {
            parts.push(format!("{name}: {}", quoted(words, SAYING)));
        }
    }
    (!parts.is_empty()).then(|| Recent { iteration: record.iteration.0, text: parts.join("\n") })
}

fn failure(record: &IterationRecord) -> Option<&str> {
    let mut messages = record.findings().rev().filter_map(|finding| match finding {
        Finding::Failed { message, .. } => Some(message.as_str()),
        Finding::Passed(_) => None,
    });
    messages.next().or(record.infra.as_deref()).filter(|message| !message.trim().is_empty())
}

/// Returns the incumbent that the iteration at this place of the ledger began with.
fn incumbent_before(state: &RunState, place: usize) -> ContentHash {
    let before = state.ledger.iter().take(place).rev();
    before
        .filter(|record| record.decision == Decision::Keep)
        .find_map(|record| record.kernel)
        .unwrap_or(state.run.baseline)
}

/// Returns the difference between two texts of the run, or that it is not at hand: a lost snapshot must not end a night.
fn difference(view: &View<'_>, from: ContentHash, to: ContentHash, limits: &Limits) -> String {
    let (Some(old), Some(new)) = (text_of(view, from), text_of(view, to)) else {
        return "The text of the change is not at hand.".to_owned();
    };
    let diff = harmless(&diff_texts(Some(&old), Some(&new), "kernel"));
    // The first two lines name the file.
    let hunks = diff.splitn(3, '\n').nth(2).unwrap_or_default();
    fenced(&cut(hunks, limits.each_recent, lines_left_out), "diff")
}

fn in_flight(view: &View<'_>, limits: &Limits) -> Option<String> {
    let (state, current) = (view.state, &view.state.current);
    let mut parts = vec![quoted(&current.change, SAYING)];
    parts.push(difference(view, state.incumbent, state.in_flight?, limits));
    for purpose in [Purpose::Test, Purpose::Candidate, Purpose::Final] {
        parts.extend(current.evidence(purpose).map(|found| evidence(purpose, found)));
    }
    if let Some((_, awaiting)) = state.awaiting_analysis() {
        parts.push(format!("The artifact `{}` awaits its analysis.", awaiting.artifact.path));
    }
    Some(parts.join("\n"))
}

fn text_of(view: &View<'_>, hash: ContentHash) -> Option<String> {
    if hash == view.state.expected_kernel() {
        return Some(view.kernel.to_owned());
    }
    view.snapshots.get(hash).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
