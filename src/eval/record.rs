//! A scenario made from a run: what its model said and what its measurements came to, from the journal and the artifacts.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::EvalError;
use super::expected;
use super::play::ExitCode;
use super::scenario::{EXPECTED, HARNESS, KERNEL, MEASUREMENTS, MISSION, REPLIES, REPOSITORY};
use super::tape::Tape;
use crate::journal::{self, JournalError, Record, Snapshots};
use crate::protocol::{ContentHash, Event, RunState, StopReason, Target, Terms};
use crate::session::SessionError;

/// The file whose change makes a recorded deploy due.
const WATCHED: &str = "deployed.txt";

/// Makes the scenario `to` from the run in the folder `run`.
///
/// Everything that a run's decisions follow from is kept, and the scenario must come to the same ones; only what a scenario
/// cannot have is another: kernel, harness and device have a scenario's names, and a deploy only ends as it did.
///
/// # Errors
/// Where the run is not over, was moved by something that a scenario does not have, or `to` exists.
pub fn record(run: &Path, to: &Path, exit_code: ExitCode) -> Result<(), EvalError> {
    let bad = |message: String| EvalError::bad(run, message);
    let mut tape: Option<(Tape, RunState)> = None;
    journal::read(run, |Record { time, event, .. }: Record<Event>| match &mut tape {
        Some((tape, state)) => {
            tape.take(state, &event).map_err(bad)?;
            state.apply(time, &event).map_err(|error| bad(error.to_string()))
        }
        None => {
            let state = RunState::start(time, &event).map_err(|error| bad(error.to_string()))?;
            tape = Some((Tape::new(run, &state), state));
            Ok(())
        }
    })?;
    let Some((tape, state)) = tape else { return Err(bad("its journal is empty".to_owned())) };
    let stop = state.stop.as_ref().ok_or_else(|| {
        bad(format!("the run is not over; go on with `agent resume {}`, or stop it", state.run.run_id))
    })?;
    tape.check(stop).map_err(bad)?;
    if to.exists() {
        return Err(EvalError::bad(to, "it exists already; choose another folder with `--to`"));
    }
    let text = |hash: ContentHash| {
        let bytes = Snapshots::new(run).get(hash).map_err(SessionError::from)?;
        String::from_utf8(bytes).map_err(|_| bad("a kernel is not UTF-8".to_owned()))
    };
    let (kernel, kept) = (text(state.run.baseline)?, text(state.incumbent)?);
    let mut files = vec![
        (MISSION.to_owned(), mission(&state, &tape)),
        (KERNEL.to_owned(), kernel),
        (REPLIES.to_owned(), lines(&tape.replies)),
        (MEASUREMENTS.to_owned(), lines(&tape.measured)),
        (EXPECTED.to_owned(), format!("{}\n", expectations(&state, &tape, stop, exit_code))),
        (expected::KERNEL.to_owned(), kept),
    ];
    let stub =
        |path: &String| (format!("{REPOSITORY}/{path}"), "The recorded run had a file of this name.\n".to_owned());
    files.extend(tape.read.iter().map(stub));
    if tape.deploy_code.is_some() {
        files.push(stub(&WATCHED.to_owned()));
    }
    files.into_iter().try_for_each(|(name, text)| write(&to.join(name), &text))
}

impl From<JournalError> for EvalError {
    fn from(error: JournalError) -> Self {
        Self::Session(error.into())
    }
}

fn write(path: &Path, text: &str) -> Result<(), EvalError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(EvalError::io("create", folder))?;
    }
    std::fs::write(path, text).map_err(EvalError::io("write", path))
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

/// Returns the mission: the run's terms, and in its body what is another.
fn mission(state: &RunState, tape: &Tape) -> String {
    let run = &state.run;
    let mut keys = front(&run.terms);
    let mut changed = vec![
        format!("- kernel: {} is {KERNEL}", run.kernel),
        format!("- harness: {} is {HARNESS}, which is never started", run.harness),
    ];
    if !run.terms.gpu.is_cpu() {
        changed.push(format!("- gpu: {} is cpu, and every figure of it is from the recorded run", run.terms.gpu));
    }
    if run.terms.budget.wall_ms.is_some() {
        changed.push("- budget: the wall time is left out: a scenario's takes none".to_owned());
    }
    if let Some(code) = tape.deploy_code {
        keys.insert("deploy".to_owned(), json!({"command": format!("exit {code}"), "files": [WATCHED]}));
        changed.push("- deploy: the command ends as it did, and does nothing".to_owned());
    }
    if !tape.read.is_empty() {
        keys.insert("read".to_owned(), json!(tape.read));
        changed.push("- read: the files that the model read are there by name".to_owned());
    }
    if tape.outside_edits > 0 {
        changed.push(format!("- {} edits of the kernel by somebody else are left out", tape.outside_edits));
    }
    let keys: String = keys.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
    let device = state.device.as_deref().unwrap_or("no device");
    format!(
        "---\n{keys}---\nRecorded from the run {} of {}, measured on {device}. What is another:\n\n{}\n",
        run.run_id,
        run.program,
        changed.join("\n")
    )
    .replace(['<', '>'], "")
}

fn front(terms: &Terms) -> Map<String, Value> {
    let mut keys = Map::new();
    let mut put = |key: &str, value: Value| keys.insert(key.to_owned(), value);
    put("kernel", json!(KERNEL));
    put("harness", json!(HARNESS));
    put("gpu", json!("cpu"));
    put("metric", json!(terms.metric));
    match terms.target {
        Target::Us(us) => put("target_us", json!(us)),
        Target::Speedup(times) => put("target_speedup", json!(times)),
    };
    put("min_improvement", json!(terms.min_improvement));
    if let Some(us) = terms.roofline_us {
        put("roofline_us", json!(us));
    }
    put("forbidden", json!(terms.forbidden));
    let budget = &terms.budget;
    let limits = [
        ("iterations", json!(budget.iterations)),
        ("tokens", json!(budget.tokens)),
        ("usd", json!(budget.usd)),
        ("no_progress", json!(budget.no_progress)),
        ("infra_failures", json!(budget.infra_failures)),
        ("idle_turns", json!(budget.idle_turns)),
    ];
    let limits: Map<_, _> =
        limits.into_iter().filter(|(_, limit)| !limit.is_null()).map(|(key, limit)| (key.to_owned(), limit)).collect();
    put("budget", Value::Object(limits));
    let mut profiles = json!(terms.profiles);
    for profile in profiles.as_object_mut().into_iter().flat_map(|profiles| profiles.values_mut()) {
        if let Some(stop @ Value::Null) = profile.get_mut("early_stop_us") {
            *stop = json!(0);
        }
    }
    put("profiles", profiles);
    keys
}

fn expectations(state: &RunState, tape: &Tape, stop: &StopReason, exit_code: ExitCode) -> Value {
    let ended = state.ledger.iter().map(|record| match record.cause {
        Some(cause) => json!({"decision": record.decision, "cause": cause}),
        None => json!({"decision": record.decision}),
    });
    let mut expected = json!({
        "stop": stop.code(),
        "exit": exit_code(stop),
        "iterations": ended.collect::<Vec<_>>(),
        "refusals": tape.refusals,
        "commits": state.counters.keeps,
        "events": tape.events,
    });
    if let Some(map) = expected.as_object_mut() {
        map.extend(tape.stop_after.map(|after| ("stop_after".to_owned(), json!(after))));
        if !tape.resume_after.is_empty() {
            map.insert("resume_after".to_owned(), json!(tape.resume_after));
        }
    }
    expected
}
