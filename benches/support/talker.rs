//! A model that answers as the prompt teaches: several calls a turn, with the words around them that models have.

use std::cell::RefCell;
use std::future::ready;
use std::rc::Rc;

use afterhours::model::{Context, Message, Model, ModelError, Turn, TurnFuture, View};
use afterhours::protocol::{Decision, Phase, RawCall, Usage};
use serde_json::{Value, json};

use super::canned::{Fate, MARK};

/// About so many lines has the artifact of a failed test.
const ARTIFACT_LINES: u32 = 96;

/// Takes every request in, with the iteration that it is made in.
pub type Requests = Rc<RefCell<dyn FnMut(u32, &[Message])>>;

/// The model.
pub struct Talker<C> {
    /// What becomes of each iteration's change: the runner has it come true.
    pub fate: fn(u32) -> Fate,
    /// In how many turns of their own it reads the artifact of a test that failed.
    pub pages: u32,
    /// So many of them are behind it.
    pub read: u32,
    /// What it is shown.
    pub context: C,
    /// Who looks at its requests.
    pub requests: Requests,
}

impl<C: Context> Talker<C> {
    fn calls(&mut self, view: &View<'_>) -> Result<Vec<(&'static str, Value)>, ModelError> {
        let state = view.state;
        let (now, next) = (state.iteration.0, state.iteration.0 + 1);
        let fate = (self.fate)(now);
        let analysis = |keep: bool| ("append-analysis", analysis(view, keep));
        let incumbent = view.snapshots.get(state.incumbent).map_err(|error| ModelError::Failed(error.to_string()))?;
        let incumbent = String::from_utf8_lossy(&incumbent);
        let change = |iteration: u32, kernel: &str| {
            [("edit-kernel", edit(iteration, kernel)), ("test-run", json!({"profile": "smoke"}))]
        };
        let read = std::mem::take(&mut self.read);
        Ok(match state.phase {
            Phase::Idle => change(now, &incumbent).into(),
            Phase::Tested if fate == Fate::Wrong && read < self.pages => {
                self.read = read + 1;
                let lines = ARTIFACT_LINES.div_ceil(self.pages);
                let last = (self.read < self.pages).then_some(lines * self.read);
                let path = state.awaiting_analysis().map(|(_, found)| &found.artifact.path);
                vec![("read-file", json!({"path": path, "first": 1 + lines * read, "last": last}))]
            }
            Phase::Tested if matches!(fate, Fate::Wrong | Fate::GivenUp) => {
                [vec![analysis(false)], change(next, &incumbent).into()].concat()
            }
            Phase::Tested => vec![analysis(true), ("benchmark-run", json!({"profile": "candidate"}))],
            Phase::Measured if fate == Fate::Kept => {
                vec![analysis(true), ("benchmark-run", json!({"profile": "final"}))]
            }
            Phase::Measured => [vec![analysis(false)], change(next, &incumbent).into()].concat(),
            Phase::Confirmed => [vec![analysis(true)], change(next, view.kernel).into()].concat(),
            phase => return Err(ModelError::Failed(format!("asked in phase {}", phase.name()))),
        })
    }

    fn answer(&mut self, view: &View<'_>) -> Result<Turn, ModelError> {
        let request = self.context.request(view)?;
        (self.requests.borrow_mut())(view.state.iteration.0, &request);
        let number = view.state.counters.round_trips;
        let calls = self.calls(view)?.into_iter().enumerate().map(|(place, (tool, arguments))| RawCall {
            id: format!("call_{number:06}_{place}"),
            tool: tool.to_owned(),
            arguments,
        });
        let turn = Turn {
            calls: calls.collect(),
            text: words(number, 3),
            usage: Usage { prompt: 1, cached: 0, completion: 1, usd: 0.0 },
            ..Turn::default()
        };
        self.context.answered(&turn);
        Ok(turn)
    }
}

impl<C: Context> Model for Talker<C> {
    fn name(&self) -> String {
        "talker".to_owned()
    }

    fn turn<'a>(&'a mut self, view: View<'a>) -> TurnFuture<'a> {
        Box::pin(ready(self.answer(&view)))
    }
}

/// Replaces the kernel's first block, up to its first empty line.
fn edit(iteration: u32, kernel: &str) -> Value {
    let block = kernel.split("\n\n").next().unwrap_or_default();
    let mut replace = format!("{MARK}{iteration}");
    for lane in 0..8 {
        let (step, width) = (iteration + lane, (iteration * 7 + lane * 3) % 64);
        replace.push_str(&format!("\n#define LANE_{lane}(x, i) ((x)[(i) + {step}] * {width}.0f + (x)[(i) ^ {width}])"));
    }
    json!({
        "change": format!("unroll the inner loop by {iteration}, and keep the partial sums of each lane in registers"),
        "edits": [{"search": block, "replace": replace}],
    })
}

fn analysis(view: &View<'_>, keep: bool) -> Value {
    let number = view.state.counters.round_trips;
    json!({
        "artifact": view.state.awaiting_analysis().map(|(_, evidence)| &evidence.artifact.path),
        "decision": if keep { Decision::Keep } else { Decision::Revert },
        "summary": words(number + 1, 1),
        "feedback": words(number + 2, 2),
        "next_step": words(number + 3, 1),
    })
}

/// Returns sentences such as a model writes, others for each number.
fn words(number: u32, sentences: usize) -> String {
    const SENTENCES: [&str; 7] = [
        "The dependency chain of the partial sums is what bounds the loop, so that more of them side by side should help.",
        "No spills and no outliers above two per cent; the largest case gained the most, the smallest one nothing at all.",
        "The loads are coalesced already, and the stores are too few to matter next to the latency of the additions.",
        "Splitting the accumulator lets the additions of one iteration start before those of the last one are done.",
        "The ratio lies inside the interval of the noise, which means that the change has not paid for its registers.",
        "Next I would move the tail out of the main loop, as its branch is taken once in every 4096 elements only.",
        "The wider vectors need an aligned start; a scalar prologue of at most seven elements is enough for that.",
    ];
    let at = |place: usize| SENTENCES.get((number as usize * 3 + place) % SENTENCES.len()).copied().unwrap_or_default();
    (0..sentences).map(at).chain([format!("({number})").as_str()]).collect::<Vec<_>>().join(" ")
}
