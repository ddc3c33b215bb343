//! Language models behind an endpoint: every dialect is understood, every fault has its kind, and no key is ever shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use afterhours::journal::Snapshots;
use afterhours::model::{
    Api, CallResult, Fault, Key, Model, ModelError, OpenAi, OpenAiError, Price, Settings, Surroundings, Turn, View,
};
use afterhours::protocol::{Answerer, Budget, Event, FaultKind, Patience, Problem, RunState, Target, Tool};
use afterhours::tools;
use serde_json::{Value, json};
use support::endpoint::{Answer, Asked, Dialect, Endpoint, Step, event, json_body, nowhere, status, stream_head};
use support::machine::run_started;
use support::talk::Talk;

const KEY: &str = "sk-night/7\"secret";

fn settings(url: &str, api: Api) -> Settings {
    let map = json!({"name": "m", "base_url": url});
    let surroundings = Surroundings { variable: &|_| None, root: Path::new("/") };
    let settings = Settings::read(map.as_object().unwrap(), surroundings).unwrap();
    let price = Some(Price { prompt: 2.0, cached: Some(1.0), completion: 10.0 });
    Settings { api, key: Key::new(KEY), price, stall: Duration::from_secs(20), ..settings }
}

fn schemas() -> Vec<Value> {
    Tool::ALL.map(tools::schema).to_vec()
}

/// A model at work on a run that goes nowhere.
struct Desk {
    model: OpenAi,
    state: RunState,
    snapshots: Snapshots,
    results: Vec<CallResult>,
    runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn new(settings: &Settings) -> Self {
        let target = Target::Speedup(2.0);
        let event = Event::RunStarted(Box::new(run_started(Budget::default(), target)));
        Self {
            model: OpenAi::open(settings, schemas(), Box::new(Talk::new(|_| "Go on.".to_owned()))).unwrap(),
            state: RunState::start(jiff::Timestamp::UNIX_EPOCH, &event).unwrap(),
            snapshots: Snapshots::new(Path::new("/nowhere")),
            results: Vec::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    fn ask(&mut self) -> Result<Turn, ModelError> {
        let view = View {
            state: &self.state,
            prompt: "Make it fast.",
            description: None,
            kernel: "int k;\n",
            results: &self.results,
            snapshots: &self.snapshots,
        };
        let answer = self.runtime.block_on(self.model.turn(view));
        match &answer {
            Ok(_) => {
                self.state.turn_faults = 0;
                self.state.counters.round_trips += 1;
            }
            Err(_) => self.state.turn_faults += 1,
        }
        answer
    }

    fn fault(&mut self) -> Fault {
        match self.ask() {
            Err(ModelError::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }
}

fn once(settings: &Settings) -> Result<Turn, ModelError> {
    Desk::new(settings).ask()
}

fn calls(turn: &Turn) -> Vec<(&str, &Value)> {
    turn.calls.iter().map(|call| (call.tool.as_str(), &call.arguments)).collect()
}

fn says_no_stream(asked: &Asked) -> Option<Vec<Step>> {
    asked.streams().then(|| status(400, &[], r#"{"error":{"message":"`stream` is not supported with tools"}}"#))
}

#[test]
fn every_dialect_is_understood_through_both_interfaces_streamed_or_not() {
    use Dialect::{Fenced, Function, NamePieces, NoIds, NoIndex, NoUsage, Objects, OddFinish, Plain, SameIds};
    let dialects = [Plain, NoIds, SameIds, Function, Objects, Fenced, NoIndex, NamePieces, NoUsage, OddFinish];
    let arguments = json!({"change": "é {\"x\"}", "text": "a\nb"});
    for (api, streamed) in [(Api::Chat, true), (Api::Chat, false), (Api::Responses, true), (Api::Responses, false)] {
        for dialect in dialects {
            let mut answer = Answer::call("edit-kernel", arguments.clone()).in_dialect(dialect);
            if dialect != Function {
                answer.calls.push(("test-run".to_owned(), json!({})));
            }
            let several = answer.calls.len();
            let endpoint = Endpoint::new(move |asked| match says_no_stream(asked) {
                Some(refusal) if !streamed => refusal,
                _ => answer.steps(asked),
            });
            let turn = once(&settings(&endpoint.url, api)).unwrap();
            let expected = [("edit-kernel", &arguments), ("test-run", &json!({}))];
            assert_eq!(calls(&turn), expected[..several], "{api:?} {streamed} {dialect:?}");
            let mut ids: Vec<&str> = turn.calls.iter().map(|call| call.id.as_str()).collect();
            ids.dedup();
            assert!(ids.len() == several && !ids.contains(&""), "{ids:?}");
            assert_eq!(turn.problem, None);
            assert!(turn.usage.prompt > 0 && turn.usage.completion > 0 && turn.usage.usd > 0.0, "{:?}", turn.usage);
            if dialect != NoUsage {
                assert_eq!((turn.usage.prompt, turn.usage.cached, turn.usage.completion), (100, 60, 10));
                assert!((turn.usage.usd - (40.0 * 2.0 + 60.0 + 10.0 * 10.0) / 1e6).abs() < 1e-12);
            }
            endpoint.check();
            assert_eq!(endpoint.asked()[0].authorization, format!("Bearer {KEY}"));
        }
    }
}

#[test]
fn an_answer_without_a_call_says_what_is_wrong_with_it() {
    let half = json!("{\"change\": \"x\", \"text\": \"int");
    let mut cut = Answer::call("edit-kernel", half);
    cut.calls.insert(0, ("revert".to_owned(), json!({})));
    cut.cut = true;
    for api in [Api::Chat, Api::Responses] {
        for (answer, problem, number) in [
            (Answer::text("I think so."), Problem::NoCall, 0),
            (Answer::default(), Problem::Empty, 0),
            (Answer { refusal: "I cannot.".to_owned(), ..Answer::default() }, Problem::Refusal, 0),
            (cut.clone(), Problem::Truncated, 1),
            (Answer::text(&"x".repeat(1_000_000)), Problem::Overlong, 0),
            (Answer::text(&"x".repeat(5_000_000)), Problem::Overlong, 0),
        ] {
            let endpoint = Endpoint::always(move |asked| answer.steps(asked));
            let turn = once(&settings(&endpoint.url, api)).unwrap();
            assert_eq!((turn.problem, turn.calls.len()), (Some(problem), number), "{api:?}");
            assert!(turn.text.len() < 20_000, "{}", turn.text.len());
        }
    }
}

#[test]
fn every_fault_has_its_kind() {
    let head = |length: usize| Step::Send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes());
    let piece = r#"{"choices":[{"index":0,"delta":{"content":"hel"}}]}"#;
    let trickle = || {
        let comment = [event(piece), Step::Wait(Duration::from_millis(100))];
        std::iter::once(stream_head()).chain(comment.into_iter().cycle().take(100)).collect()
    };
    let cases: Vec<(&str, Vec<Step>, FaultKind)> = vec![
        ("500", status(500, &[], "oops"), FaultKind::Server),
        ("503", status(503, &[], ""), FaultKind::Server),
        ("429", status(429, &[], "slow down"), FaultKind::RateLimited),
        ("closed at once", vec![], FaultKind::CutOff),
        ("cut in the headers", vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())], FaultKind::CutOff),
        ("cut in the body", vec![head(1000), Step::Send(b"{\"choices\":[".to_vec())], FaultKind::CutOff),
        ("cut in the stream", vec![stream_head(), event(piece)], FaultKind::CutOff),
        ("silent at once", vec![Step::Hang], FaultKind::Stalled),
        ("silent in the stream", vec![stream_head(), event(piece), Step::Hang], FaultKind::Stalled),
        ("a trickle", trickle(), FaultKind::TimedOut),
        ("HTML", status(200, &[], "<html><body>Welcome</body></html>"), FaultKind::Garbled),
        ("broken JSON", status(200, &[], "{\"choices\": oops}"), FaultKind::Garbled),
        ("nothing", status(200, &[], ""), FaultKind::Garbled),
        ("no choices", json_body(&json!({"choices": []})), FaultKind::Garbled),
        ("an error in the answer", json_body(&json!({"error": {"message": "no"}})), FaultKind::Server),
        (
            "an error in the stream",
            vec![stream_head(), event(piece), event(r#"{"error":{"code":429}}"#)],
            FaultKind::RateLimited,
        ),
        ("too long", status(400, &[], r#"{"error":{"code":"context_length_exceeded"}}"#), FaultKind::TooLong),
    ];
    for (name, steps, kind) in cases {
        let endpoint = Endpoint::new({
            let mut steps = Some(steps);
            move |asked| match asked.number {
                // A first exchange, so that a conversation that is too long can be made shorter.
                0 => Answer::text("Hello.").steps(asked),
                _ => steps.take().unwrap_or_else(|| Answer::call("revert", json!({})).steps(asked)),
            }
        });
        let brief = |seconds| Duration::from_millis(seconds);
        let patience = match kind {
            FaultKind::Stalled => (brief(300), brief(20_000)),
            FaultKind::TimedOut => (brief(20_000), brief(500)),
            _ => (brief(20_000), brief(20_000)),
        };
        let settings = Settings { stall: patience.0, turn: patience.1, ..settings(&endpoint.url, Api::Chat) };
        let mut desk = Desk::new(&settings);
        desk.ask().unwrap();
        let fault = desk.fault();
        assert_eq!((fault.kind, fault.model.as_str()), (kind, "openai:m"), "{name}: {}", fault.message);
        assert_eq!(calls(&desk.ask().unwrap()), [("revert", &json!({}))], "{name}");
        endpoint.check();
    }
    let fault = Desk::new(&settings(&nowhere(), Api::Chat)).fault();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{}", fault.message);
    let fault = Desk::new(&settings("http://no-such-host.invalid/v1", Api::Chat)).fault();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{}", fault.message);
    let no_tls = Endpoint::always(|_| Vec::new()).url.replace("http:", "https:");
    let fault = Desk::new(&settings(&no_tls, Api::Chat)).fault();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{}", fault.message);
}

#[test]
fn an_endpoint_that_asks_for_patience_says_for_how_long() {
    for (header, ms) in [(("retry-after", "7"), 7000), (("retry-after-ms", "40"), 40)] {
        let endpoint = Endpoint::always(move |_| status(429, &[header], "slow"));
        assert_eq!(Desk::new(&settings(&endpoint.url, Api::Chat)).fault().retry_after_ms, Some(ms));
    }
}

#[test]
fn a_request_that_cannot_be_made_smaller_ends_the_run() {
    let endpoint = Endpoint::always(|_| status(413, &[], "too much"));
    let Err(ModelError::Failed(message)) = once(&settings(&endpoint.url, Api::Chat)) else { panic!("asked again") };
    assert!(message.contains("longer context"), "{message}");
}

#[test]
fn another_model_is_asked_after_three_faults_and_the_first_one_again_in_the_next_turn() {
    let endpoint = Endpoint::always(|asked| match asked.body["model"].as_str() {
        Some("m") if asked.number < 4 => status(503, &[], ""),
        Some("n") => status(502, &[], ""),
        _ => Answer::call("revert", json!({})).steps(asked),
    });
    let first = settings(&endpoint.url, Api::Chat);
    let second = Settings { name: "n".to_owned(), ..first.clone() };
    let mut desk = Desk::new(&Settings { fallback: vec![second], ..first });
    let asked: Vec<String> = (0..6).map(|_| desk.fault().model).collect();
    assert_eq!(asked, ["m", "m", "m", "n", "n", "n"].map(|name| format!("openai:{name}")));
    assert_eq!(desk.ask().unwrap().by.as_ref().map(Answerer::name), Some("openai:m"));
    assert_eq!(desk.ask().unwrap().by.as_ref().map(Answerer::name), Some("openai:m"));
    endpoint.check();
}

#[test]
fn words_at_which_an_endpoint_fails_again_and_again_are_given_up() {
    let endpoint = Endpoint::always(|asked| {
        let words = asked.body["messages"].as_array().unwrap().len();
        if words > 3 { status(500, &[], "broken") } else { Answer::call("revert", json!({})).steps(asked) }
    });
    let mut desk = Desk::new(&settings(&endpoint.url, Api::Chat));
    assert!(!desk.ask().unwrap().sent.unwrap().renewed);
    for _ in 0..3 {
        assert_eq!(desk.fault().kind, FaultKind::Server);
    }
    assert!(desk.ask().unwrap().sent.unwrap().renewed, "the transcript says so, for those who play it");
}

#[test]
fn a_model_that_is_refused_is_not_asked_again_and_the_last_one_ends_the_run() {
    for (code, body) in [(401, "bad key"), (403, ""), (402, ""), (404, "no such model"), (429, "insufficient_quota")] {
        let endpoint = Endpoint::always(move |asked| match asked.body["model"].as_str() {
            Some("m") => status(code, &[], body),
            _ if asked.number < 3 => Answer::text("Hm.").steps(asked),
            _ => status(401, &[], "now you too"),
        });
        let first = settings(&endpoint.url, Api::Chat);
        let second = Settings { name: "n".to_owned(), ..first.clone() };
        let mut desk = Desk::new(&Settings { fallback: vec![second], ..first });
        let fault = desk.fault();
        assert_eq!((fault.kind, fault.model.as_str()), (FaultKind::Denied, "openai:m"));
        desk.ask().unwrap();
        assert_eq!(desk.ask().unwrap().by.as_ref().map(Answerer::name), Some("openai:n"));
        let Err(ModelError::Failed(message)) = desk.ask() else { panic!("{code}: asked again") };
        assert!(message.contains("openai:m") && message.contains("check the key"), "{message}");
    }
}

#[test]
fn a_request_whose_form_is_refused_is_tried_a_few_times_and_no_longer() {
    let endpoint = Endpoint::always(|_| status(400, &[], "bad field `tools`"));
    let mut desk = Desk::new(&settings(&endpoint.url, Api::Chat));
    for _ in 0..4 {
        assert_eq!(desk.fault().kind, FaultKind::Garbled);
    }
    let Err(ModelError::Failed(message)) = desk.ask() else { panic!("asked for ever") };
    assert!(message.contains("bad field `tools`"), "{message}");
}

#[test]
fn a_key_that_the_endpoint_repeats_is_shown_nowhere() {
    let escaped = r#"sk-\u006eight\/7\"secret"#;
    let echo = format!("{{\"error\":{{\"message\":\"your key {escaped} {}\"}}}}", KEY.escape_default());
    for code in [200, 400, 401, 429, 500] {
        let echo = echo.clone();
        let endpoint = Endpoint::always(move |_| status(code, &[], &echo));
        let error = format!("{:?}", once(&settings(&endpoint.url, Api::Chat)).unwrap_err());
        assert!(!error.contains("night") && error.contains("[key]"), "{code}: {error}");
    }
    // Where a message is cut to its length, no part of the key stays behind.
    for length in 240..310 {
        let long = json!({"error": {"message": format!("{}{KEY}", "x".repeat(length)), "code": 500}}).to_string();
        let stream = [stream_head(), event(&long)];
        for steps in [status(500, &[], &long), json_body(&json!(long)), stream.to_vec()] {
            let endpoint = Endpoint::always(move |_| steps.clone());
            let fault = Desk::new(&settings(&endpoint.url, Api::Chat)).fault();
            assert!(!fault.message.contains("sk-"), "{}", fault.message);
        }
    }
    let endpoint = Endpoint::always(|asked| {
        let mut answer = Answer::call("edit-kernel", json!({"change": format!("with {KEY}"), KEY: [KEY]}));
        answer.calls.push((KEY.to_owned(), json!(format!("{{{KEY}"))));
        answer.text = format!("the key is {KEY}");
        answer.steps(asked)
    });
    for api in [Api::Chat, Api::Responses] {
        let turn = format!("{:?}", once(&settings(&endpoint.url, api)).unwrap());
        assert!(!turn.contains("night") && turn.contains("[key]"), "{turn}");
    }
    let shown = format!("{:?}", settings("http://x/v1", Api::Chat));
    assert!(!shown.contains("night"), "{shown}");
}

fn probe(url: &str) -> Result<(), OpenAiError> {
    OpenAi::probe(&settings(url, Api::Chat), &schemas(), Patience { base_ms: 1, cap_ms: 1 })
}

#[test]
fn what_is_wrong_with_key_name_or_address_is_found_before_the_run_begins() {
    let refused =
        |code, body: &'static str| probe(&Endpoint::always(move |_| status(code, &[], body)).url).unwrap_err();
    assert!(matches!(refused(401, "bad key"), OpenAiError::Denied(message) if message.contains("api_key_env")));
    assert!(matches!(refused(402, ""), OpenAiError::Denied(message) if message.contains("balance")));
    assert!(matches!(refused(404, "<html>not here"), OpenAiError::Settings(message) if message.contains("base_url")));
    assert!(matches!(refused(200, "<html>hello"), OpenAiError::Settings(message) if message.contains("base_url")));
    assert!(matches!(refused(400, "unknown model m"), OpenAiError::Settings(message) if message.contains("name")));
    assert!(matches!(refused(400, "no tools"), OpenAiError::Settings(message) if message.contains("takes tools")));
    assert!(matches!(probe(&nowhere()), Err(OpenAiError::Unreachable(message)) if message.contains("server runs")));
}

#[test]
fn a_passing_fault_does_not_keep_a_run_from_beginning() {
    let endpoint = Endpoint::always(|asked| match asked.number {
        0..=2 => status(503, &[], "loading"),
        _ => Answer::text("ready").steps(asked),
    });
    assert_eq!(probe(&endpoint.url), Ok(()));
    assert_eq!(endpoint.asked().len(), 4);
    assert!(endpoint.asked()[0].body["max_tokens"].is_u64());
    assert_eq!(probe(&Endpoint::always(|_| status(429, &[], "slow")).url), Ok(()));
}

/// The real program with a mission whose model is `model`, in a repository of its own. Returns its exit code and its words.
fn run_agent(model: &str, budget: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    git2::Repository::init(folder.path()).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("kernel.c", "int k;\n");
    write("harness.sh", "exit 1\n");
    write("key", KEY);
    let mission = format!(
        "---\nkernel: kernel.c\nharness: harness.sh\ntarget_speedup: 2\ngpu: cpu\nbudget: {{{budget}}}\n\
         model: {{provider: openai, name: m, {model}}}\n---\nFaster.\n"
    );
    write("mission.md", &mission);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_agent"))
        .args(["run", "--mission", "mission.md"])
        .current_dir(folder.path())
        .env_remove("OPENAI_API_KEY")
        .env_remove("OPENAI_BASE_URL")
        .env("AFTERHOURS_LOG", "trace")
        .output()
        .unwrap();
    assert!(!folder.path().join("artifacts").exists(), "nothing is left behind");
    let words = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&words).into_owned())
}

#[test]
fn the_program_says_what_to_mend_and_exits_by_who_must_mend_it() {
    let answers = |code, body: &'static str| {
        let endpoint = Endpoint::always(move |asked| status(code, &[], &body.replace("KEY", &asked.authorization)));
        format!("base_url: '{}', api_key_file: key", endpoint.url)
    };
    for (model, budget, code, says) in [
        (answers(401, "KEY is wrong"), "", 3, "check the key"),
        (answers(404, "<html>KEY?"), "", 2, "base_url"),
        (answers(400, "no such tools"), "", 2, "takes tools"),
        ("temperature: 0".to_owned(), "", 3, "OPENAI_API_KEY"),
        ("api_key_file: nothing".to_owned(), "", 3, "api_key_file"),
        ("base_url: 'http://127.0.0.1:9/v1'".to_owned(), "usd: 3", 2, "price"),
        ("temprature: 0".to_owned(), "", 2, "temprature"),
    ] {
        let (exit, words) = run_agent(&model, budget);
        assert_eq!(exit, Some(code), "{words}");
        assert!(words.contains(says) && !words.contains("night"), "{words}");
    }
}
