//! A long night with an endpoint that fails all the time: 200 iterations, more than 500 faults of every kind, and a journal
//! that tells of each of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

#[path = "../benches/support/mod.rs"]
mod support_of_benches;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use afterhours::model::{Api, Key, Model, OpenAi, Settings, Surroundings, View};
use afterhours::protocol::{Event, FaultKind, Patience, Problem, Tool};
use afterhours::report::Quiet;
use afterhours::session::{Opening, Parts, Session, StopFlag};
use afterhours::workspace::Workspace;
use afterhours::{harness, journal, mission, tools};
use serde_json::{Value, json};
use support::endpoint::{Answer, Asked, Dialect, Endpoint, Step, event, json_body, nowhere, status, stream_head};
use support::talk::Talk;
use support_of_benches::canned::{Canned, Fate};
use support_of_benches::script::Script;
use support_of_benches::stage::{KERNEL, Stage, memory_folder};

const KEY: &str = "sk-all/night\"long";

fn fate(iteration: u32) -> Fate {
    match iteration % 10 {
        0 => Fate::Kept,
        1 | 2 => Fate::Wrong,
        3..=5 => Fate::GivenUp,
        _ => Fate::Slower,
    }
}

/// What the endpoint does to a request, and what the journal must say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mischief {
    Fault(Broken),
    /// An answer that came, and is of no use.
    Useless(Silly),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Broken {
    Overloaded,
    Limited,
    ErrorInAnswer,
    ErrorInStream,
    ClosedAtOnce,
    CutHeaders,
    CutBody,
    CutStream,
    Html,
    NoJson,
    NoChoices,
    Nothing,
    TooLong,
    Stall,
    Trickle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Silly {
    Prose,
    Nothing,
    Refusal,
    Megabyte,
    Truncated,
    UnknownTool,
    BrokenArguments,
    WrongTypes,
}

const BROKEN: [Broken; 13] = [
    Broken::Overloaded,
    Broken::Limited,
    Broken::ErrorInAnswer,
    Broken::ErrorInStream,
    Broken::ClosedAtOnce,
    Broken::CutHeaders,
    Broken::CutBody,
    Broken::CutStream,
    Broken::Html,
    Broken::NoJson,
    Broken::NoChoices,
    Broken::Nothing,
    Broken::TooLong,
];

const SILLY: [Silly; 8] = [
    Silly::Prose,
    Silly::Nothing,
    Silly::Refusal,
    Silly::Megabyte,
    Silly::Truncated,
    Silly::UnknownTool,
    Silly::BrokenArguments,
    Silly::WrongTypes,
];

const DIALECTS: [Dialect; 10] = [
    Dialect::Plain,
    Dialect::NoIds,
    Dialect::SameIds,
    Dialect::Function,
    Dialect::Objects,
    Dialect::Fenced,
    Dialect::NoIndex,
    Dialect::NamePieces,
    Dialect::NoUsage,
    Dialect::OddFinish,
];

impl Broken {
    fn kind(self) -> FaultKind {
        match self {
            Self::Overloaded | Self::ErrorInAnswer | Self::ErrorInStream => FaultKind::Server,
            Self::Limited => FaultKind::RateLimited,
            Self::ClosedAtOnce | Self::CutHeaders | Self::CutBody | Self::CutStream => FaultKind::CutOff,
            Self::Html | Self::NoJson | Self::NoChoices | Self::Nothing => FaultKind::Garbled,
            Self::TooLong => FaultKind::TooLong,
            Self::Stall => FaultKind::Stalled,
            Self::Trickle => FaultKind::TimedOut,
        }
    }

    fn steps(self) -> Vec<Step> {
        let send = |text: &str| Step::Send(text.as_bytes().to_vec());
        let piece = event(r#"{"choices":[{"index":0,"delta":{"content":"hel"}}]}"#);
        // Some servers repeat the key in all that they say.
        let error = json!({"error": {"message": format!("overloaded, {KEY}"), "code": 503}});
        match self {
            Self::Overloaded => status(503, &[], &error.to_string()),
            Self::Limited => status(429, &[("retry-after", "0")], KEY),
            Self::ErrorInAnswer => json_body(&error),
            Self::ErrorInStream => vec![stream_head(), piece, event(&error.to_string())],
            Self::ClosedAtOnce => Vec::new(),
            Self::CutHeaders => vec![send("HTTP/1.1 200 OK\r\ncontent-le")],
            Self::CutBody => vec![send("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"choices\":[")],
            Self::CutStream => vec![stream_head(), piece],
            Self::Html => status(200, &[], &format!("<html>{KEY}</html>")),
            Self::NoJson => status(200, &[], "{\"choices\": oops}"),
            Self::NoChoices => json_body(&json!({"choices": []})),
            Self::Nothing => status(200, &[], ""),
            Self::TooLong => status(400, &[], "the prompt exceeds the context length"),
            Self::Stall => vec![stream_head(), piece, Step::Hang],
            Self::Trickle => {
                let slow = [piece, Step::Wait(Duration::from_millis(200))];
                std::iter::once(stream_head()).chain(slow.into_iter().cycle().take(200)).collect()
            }
        }
    }
}

impl Silly {
    fn problem(self) -> Option<Problem> {
        match self {
            Self::Prose => Some(Problem::NoCall),
            Self::Nothing => Some(Problem::Empty),
            Self::Refusal => Some(Problem::Refusal),
            Self::Megabyte => Some(Problem::Overlong),
            Self::Truncated => Some(Problem::Truncated),
            Self::UnknownTool | Self::BrokenArguments | Self::WrongTypes => None,
        }
    }

    fn answer(self) -> Answer {
        let half = json!("{\"change\": \"half of");
        match self {
            Self::Prose => Answer::text(&format!("I would rather talk of {KEY}.")),
            Self::Nothing => Answer::default(),
            Self::Refusal => Answer { refusal: "I cannot.".to_owned(), ..Answer::default() },
            Self::Megabyte => Answer::text(&"x".repeat(1_000_000)),
            Self::Truncated => Answer { cut: true, ..Answer::call("edit-kernel", half) },
            Self::UnknownTool => Answer::call("run_shell", json!({"command": KEY})),
            Self::BrokenArguments => Answer::call("edit-kernel", half),
            Self::WrongTypes => Answer::call("edit-kernel", json!({"change": 7, "edits": "all"})),
        }
    }
}

/// The endpoint's plan: what it has done so far, request by request.
#[derive(Default)]
struct Plan {
    done: BTreeMap<Mischief, u32>,
    faults: u32,
    useless: u32,
    /// Faults that follow at once, so that the next model is asked.
    burst: u32,
    bursts: u32,
    was_fault: u32,
}

impl Plan {
    fn next(&mut self, asked: &Asked) -> Vec<Step> {
        if asked.body["model"] == "forbidden" {
            return status(401, &[], &format!("{KEY} may not ask this model"));
        }
        let number = asked.number;
        if self.burst == 0 && self.was_fault == 0 && number % 120 == 90 {
            self.burst = 3;
            self.bursts += 1;
        }
        let may_fail = self.burst > 0 || self.was_fault < 2 && number % 3 == 1;
        let mischief = if may_fail {
            self.faults += 1;
            let broken = match self.faults {
                100 | 200 => Broken::Stall,
                150 => Broken::Trickle,
                faults => BROKEN[faults as usize % BROKEN.len()],
            };
            let is_short = asked.messages().len() <= 3;
            Some(Mischief::Fault(if broken == Broken::TooLong && is_short { Broken::Overloaded } else { broken }))
        } else if number % 6 == 3 {
            self.useless += 1;
            Some(Mischief::Useless(SILLY[self.useless as usize % SILLY.len()]))
        } else {
            None
        };
        if let Some(mischief) = mischief {
            *self.done.entry(mischief).or_default() += 1;
        }
        match mischief {
            Some(Mischief::Fault(broken)) => {
                self.burst = self.burst.saturating_sub(1);
                self.was_fault += 1;
                broken.steps()
            }
            useless => {
                self.was_fault = 0;
                let dialect = DIALECTS[number % DIALECTS.len()];
                match useless {
                    Some(Mischief::Useless(silly)) => silly.answer().steps(asked),
                    _ => wanted(asked).in_dialect(dialect).steps(asked),
                }
            }
        }
    }

    fn count(&self, of: impl Fn(&Mischief) -> bool) -> u32 {
        self.done.iter().filter(|(mischief, _)| of(mischief)).map(|(_, number)| number).sum()
    }
}

/// The call that the last message asks for.
fn wanted(asked: &Asked) -> Answer {
    let last: Value = serde_json::from_str(asked.messages().last().unwrap()["content"].as_str().unwrap()).unwrap();
    Answer::call(last["tool"].as_str().unwrap(), last["arguments"].clone())
}

/// Asks for what the script would do.
fn suggestion(view: &View<'_>) -> String {
    let mut script = Script { fate };
    let mut turn = script.turn(*view);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(turn)) = turn.as_mut().poll(&mut context) else { panic!("the script knows nothing") };
    json!({"tool": turn.calls[0].tool, "arguments": turn.calls[0].arguments}).to_string()
}

fn model(url: &str, api: Api) -> OpenAi {
    let map = json!({"name": "m", "base_url": url});
    let surroundings = Surroundings { variable: &|_| None, root: Path::new("/") };
    let plain = Settings::read(map.as_object().unwrap(), surroundings).unwrap();
    let first =
        Settings { api, key: Key::new(KEY), stall: Duration::from_secs(4), turn: Duration::from_secs(6), ..plain };
    let dead = Settings { name: "dead".to_owned(), base_url: nowhere(), ..first.clone() };
    let forbidden = Settings { name: "forbidden".to_owned(), ..first.clone() };
    let settings = Settings { fallback: vec![dead, forbidden], ..first };
    OpenAi::open(&settings, Tool::ALL.map(tools::schema).to_vec(), Box::new(Talk::new(suggestion))).unwrap()
}

fn session(root: &Path, model: OpenAi, iterations: u32) -> Session {
    let text = format!(
        "---\nkernel: {KERNEL}\nharness: kernels/reduce/harness.sh\ntarget_us: 0.001\ngpu: cpu\nseed: 1\nbudget: {{iterations: {iterations}}}\n---\nFaster.\n"
    );
    let mission = mission::parse(Path::new("mission.md"), &text, &BTreeMap::new()).unwrap();
    let parts = Parts {
        gate: None,
        workspace: Workspace::open(root, &mission.kernel).unwrap(),
        harness: harness::open(&root.join(&mission.harness)).unwrap(),
        runner: Box::new(Canned::new(fate, Default::default())),
        model: Box::new(model),
        patience: Patience { base_ms: 1, cap_ms: 2 },
        observer: Box::new(Quiet::new(std::io::sink(), root.to_path_buf())),
        stop: StopFlag::default(),
        mission,
    };
    let opening = Opening { run_id: "soak".parse().unwrap(), mission_file: "mission.md".into(), vars: BTreeMap::new() };
    Session::begin(opening, parts).unwrap()
}

fn events(folder: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    journal::read::<Event, journal::JournalError>(folder, |record| {
        events.push(record.event);
        Ok(())
    })
    .unwrap();
    events
}

/// Fails where a file below `folder` holds a part of the key that no chance explains.
fn assert_no_key(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_key(&path);
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains("sk-all") && !text.contains("night\\\"long"), "{}", path.display());
        }
    }
}

/// Drives a run of so many iterations through a night of faults, and holds its journal against the endpoint's own count.
/// Returns the faults by their kinds.
fn night(api: Api, iterations: u32) -> BTreeMap<String, u32> {
    let plan = Arc::new(Mutex::new(Plan::default()));
    let endpoint = Endpoint::new({
        let plan = Arc::clone(&plan);
        move |asked| plan.lock().unwrap().next(asked)
    });
    let stage = Stage::new(&memory_folder()).unwrap();
    let mut session = session(stage.root(), model(&endpoint.url, api), iterations);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stop = runtime.block_on(session.run()).unwrap();
    assert_eq!(stop.code(), "budget_iterations", "{stop}");
    endpoint.check();

    let ledger = &session.state().ledger;
    let ended: Vec<u32> = ledger.iter().map(|entry| entry.iteration.0).filter(|iteration| *iteration > 0).collect();
    assert_eq!(ended, (1..=iterations).collect::<Vec<_>>());

    let plan = plan.lock().unwrap();
    let mut faults: BTreeMap<String, u32> = BTreeMap::new();
    let mut problems: BTreeMap<String, u32> = BTreeMap::new();
    let mut refused = 0;
    for event in events(session.folder()) {
        match event {
            Event::ModelFault { kind, .. } => *faults.entry(format!("{kind:?}")).or_default() += 1,
            Event::TurnFinished { problem: Some(problem), .. } => {
                *problems.entry(format!("{problem:?}")).or_default() += 1;
            }
            Event::CallRefused { .. } => refused += 1,
            _ => {}
        }
    }
    let mut expected: BTreeMap<String, u32> = BTreeMap::new();
    let mut expected_problems: BTreeMap<String, u32> = BTreeMap::new();
    for (mischief, number) in &plan.done {
        match mischief {
            Mischief::Fault(broken) => *expected.entry(format!("{:?}", broken.kind())).or_default() += number,
            Mischief::Useless(silly) => {
                if let Some(problem) = silly.problem() {
                    *expected_problems.entry(format!("{problem:?}")).or_default() += number;
                }
            }
        }
    }
    // Each burst leads to the models behind: three questions to one that is out of reach, once to one that is refused.
    if plan.bursts > 0 {
        expected.insert("Unreachable".to_owned(), 3 * plan.bursts);
        expected.insert("Denied".to_owned(), 1);
    }
    assert_eq!(faults, expected);
    assert_eq!(problems, expected_problems);
    assert_eq!(
        refused,
        plan.count(|mischief| matches!(mischief, Mischief::Useless(silly) if silly.problem().is_none()))
    );
    assert_no_key(session.folder());
    faults
}

#[test]
fn a_night_of_faults_loses_no_iteration_and_each_fault_is_in_the_journal() {
    let faults = night(Api::Chat, 200);
    let number: u32 = faults.values().sum();
    assert!(number >= 500 && faults.len() == 9, "every kind, and many: {faults:?}");
}

#[test]
fn so_does_a_night_through_the_other_interface() {
    assert!(night(Api::Responses, 25).len() > 5);
}
