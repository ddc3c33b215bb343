//! A model with a fallback at the beginning of a run: the real program, and what it asks of either.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/scene.rs"]
mod scene;
mod support;

use scene::{RUN, Scene};
use serde_json::json;
use support::endpoint::{Answer, Endpoint, nowhere, status};

const BEGIN: [&str; 6] = ["run", "--mission", "mission.md", "--run-id", RUN, "--json"];

/// Knows one model by name, which has an idea and drops it.
fn endpoint() -> Endpoint {
    Endpoint::always(|asked| {
        if asked.body["model"] != "known" {
            return status(404, &[], "no such model");
        }
        let mut answer = Answer::call("edit-kernel", json!({"change": "an idea", "text": "time_us 90\n"}));
        answer.calls.push(("revert".to_owned(), json!({})));
        answer.steps(asked)
    })
}

fn scene(first: (&str, &str), fallback: (&str, &str)) -> Scene {
    let map = |(name, url): (&str, &str)| format!("name: {name}, base_url: '{url}'");
    Scene::new(&format!(
        "model: {{provider: openai, {}, fallback: [{{{}}}]}}\nbudget: {{iterations: 1}}",
        map(first),
        map(fallback)
    ))
}

#[test]
fn a_fallback_may_be_down_when_the_run_begins_but_not_be_wrong() {
    let (endpoint, down) = (endpoint(), nowhere());
    let (known, unknown) = (("known", endpoint.url.as_str()), ("unknown", endpoint.url.as_str()));
    let absent = ("known", down.as_str());
    let cases = [
        (scene(known, absent), 10, format!("fallback: known at {down} is out of reach")),
        (scene(known, unknown), 2, "no such model".to_owned()),
        // The run would be the fallback's from its first turn on.
        (scene(absent, known), 3, format!("error: model: known at {down} is out of reach")),
    ];
    let running: Vec<_> = cases.iter().map(|(scene, ..)| scene.start(&BEGIN)).collect();
    for (running, (scene, code, says)) in running.into_iter().zip(&cases) {
        let ended = running.end();
        assert_eq!(ended.code, Some(*code), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        // The morning reads of it as well.
        let log = std::fs::read_to_string(scene.artifacts().join("run.log"));
        assert_eq!(log.ok().map(|log| log.contains(says)), (*code == 10).then_some(true));
    }
    endpoint.check();
}
