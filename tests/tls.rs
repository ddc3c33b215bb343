//! Language models behind TLS: the real program, a gateway with certificates of every kind, and no trust that was not given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/scene.rs"]
mod scene;
mod support;

use gateway::{Act, Authority, Identity, front, proxy, self_signed};
use scene::{Ended, RUN, Scene};
use serde_json::{Value, json};
use support::endpoint::{Answer, Asked, Endpoint, Step, nowhere};

const HERE: &str = "127.0.0.1";
const BEGIN: [&str; 6] = ["run", "--mission", "mission.md", "--run-id", RUN, "--json"];

/// A model that has a new idea in each turn, and drops it.
fn fickle() -> Endpoint {
    Endpoint::always(|asked| idea(asked.number).steps(asked))
}

fn idea(number: usize) -> Answer {
    let edit = json!({"change": "an idea", "text": format!("time_us {}\n", 90 + number)});
    let mut answer = Answer::call("edit-kernel", edit);
    answer.calls.push(("revert".to_owned(), json!({})));
    answer
}

/// A repository whose mission asks the model at `url` for so many iterations, on a machine that trusts `ca` and nobody else.
fn scene(url: &str, api: &str, iterations: u32, ca: &str) -> Scene {
    let model = format!("{{provider: openai, name: m, api: {api}, base_url: '{url}'}}");
    let scene = Scene::new(&format!("model: {model}\nbudget: {{iterations: {iterations}}}"));
    let file = scene.outside().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    let none = scene.outside().join("none");
    scene.with_variable("SSL_CERT_FILE", file).with_variable("SSL_CERT_DIR", none)
}

fn serving(identity: &Identity) -> impl FnMut(usize) -> Act + Send + 'static {
    let identity = identity.clone();
    move |_| Act::Serve(identity.clone())
}

/// Returns the kind and the words of every attempt that came to nothing.
fn faults(scene: &Scene) -> Vec<(String, String)> {
    let events = scene.lines().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let text = |event: &Value, field: &str| event["fields"][field].as_str().unwrap().to_owned();
    events
        .filter(|event| event["type"] == "model_fault")
        .map(|event| (text(&event, "kind"), text(&event, "message")))
        .collect()
}

/// The budget of iterations was spent, and no attempt was in vain.
fn went_well(scene: &Scene, ended: &Ended) {
    assert_eq!(ended.code, Some(10), "{ended:?}");
    assert_eq!(faults(scene), []);
    assert_eq!(scene.json("status")["iteration"], 2);
}

#[test]
fn both_interfaces_work_over_tls_with_a_ca_of_the_users_own() {
    let authority = Authority::new("ours");
    for api in ["chat", "responses"] {
        let endpoint = fickle();
        let url = front(&endpoint.url, HERE, serving(&authority.certify(HERE)));
        let scene = scene(&url, api, 2, &authority.pem);
        went_well(&scene, &scene.agent(&BEGIN));
        assert!(endpoint.asked().iter().all(|asked| asked.streams() && asked.is_chat() == (api == "chat")));
        endpoint.check();
    }
}

#[test]
fn a_server_that_signed_its_own_certificate_is_trusted_by_it() {
    let (identity, pem) = self_signed(HERE, false);
    let scene = scene(&front(&fickle().url, HERE, serving(&identity)), "chat", 2, &pem);
    went_well(&scene, &scene.agent(&BEGIN));
}

#[test]
fn a_proxy_leads_to_a_host_that_this_machine_cannot_name() {
    let authority = Authority::new("ours");
    let url = front(&fickle().url, "model.test", serving(&authority.certify("model.test")));
    let scene =
        scene(&url, "chat", 2, &authority.pem).with_variable("HTTPS_PROXY", proxy()).with_variable("NO_PROXY", "");
    went_well(&scene, &scene.agent(&BEGIN));
}

#[test]
fn an_answer_in_one_piece_is_whole_though_tls_takes_no_leave() {
    let authority = Authority::new("ours");
    // Neither streamed nor measured: the connection's end is all that ends it.
    let endpoint = Endpoint::always(|asked| {
        let whole = Asked { body: json!({"stream": false}), ..asked.clone() };
        let Some(Step::Send(answer)) = idea(asked.number).steps(&whole).pop() else { panic!("no answer") };
        vec![Step::Send(String::from_utf8(answer).unwrap().replace("content-length", "x-length").into())]
    });
    let identity = authority.certify(HERE);
    let url = front(&endpoint.url, HERE, move |_| Act::Reset(identity.clone(), usize::MAX));
    let scene = scene(&url, "chat", 2, &authority.pem);
    went_well(&scene, &scene.agent(&BEGIN));
}

#[test]
fn plain_http_needs_no_ca() {
    let scene = scene(&fickle().url, "chat", 2, "");
    went_well(&scene, &scene.agent(&BEGIN));
}

#[test]
fn what_is_wrong_with_tls_is_said_before_the_run_begins() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    let gateway = |identity: &Identity| front(&fickle().url, HERE, serving(identity));
    let (own, own_pem) = self_signed(HERE, true);
    let cases = [
        ("untrusted", gateway(&stranger.certify(HERE)), &authority.pem, "SSL_CERT_FILE"),
        ("expired", gateway(&authority.expired(HERE)), &authority.pem, "has expired: have it renewed"),
        ("wrong name", gateway(&authority.certify("elsewhere.test")), &authority.pem, "elsewhere.test"),
        ("a CA's own", gateway(&own), &own_pem, "CA:FALSE"),
        ("no TLS there", front(&fickle().url, HERE, |_| Act::Plain), &authority.pem, "begin `base_url` with http://"),
        ("silence there", fickle().url.replace("http:", "https:"), &authority.pem, "https or http"),
        (
            "TLS there",
            gateway(&authority.certify(HERE)).replace("https:", "http:"),
            &authority.pem,
            "begin with https://",
        ),
        ("broken off", front(&fickle().url, HERE, |_| Act::BreakHandshake), &authority.pem, "whether the server runs"),
        ("nobody", nowhere().replace("http:", "https:"), &authority.pem, "whether the server runs"),
        ("no CA at all", gateway(&authority.certify(HERE)), &String::new(), "install the system's CA certificates"),
    ];
    let scenes = cases.map(|(name, url, ca, says)| (scene(&url, "chat", 2, ca), name, url, says));
    let running: Vec<_> = scenes.iter().map(|(scene, ..)| scene.start(&BEGIN)).collect();
    for (running, (scene, name, url, says)) in running.into_iter().zip(&scenes) {
        let ended = running.end();
        assert_eq!(ended.code, Some(3), "{name}: {ended:?}");
        assert!(ended.stderr.contains(url) && ended.stderr.contains(says), "{name}: {}", ended.stderr);
        assert!(!scene.artifacts().exists(), "{name}");
    }
}

#[test]
fn what_breaks_in_the_night_is_waited_out() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    let good = Act::Serve(authority.certify(HERE));
    let bad = [
        (Act::BreakHandshake, "unreachable", "whether the server runs"),
        (Act::Serve(authority.expired(HERE)), "unreachable", "has expired"),
        (Act::Serve(stranger.certify(HERE)), "unreachable", "SSL_CERT_FILE"),
        (Act::Serve(authority.certify("elsewhere.test")), "unreachable", "is for other names"),
        (Act::Reset(authority.certify(HERE), 300), "cut_off", "reset"),
    ];
    let endpoint = fickle();
    let acts = bad.clone().map(|(act, ..)| act);
    // The first connection is the question before the run; then every other one breaks.
    let url = front(&endpoint.url, HERE, move |number| match number % 2 {
        0 if number > 0 => acts.get(number / 2 - 1).unwrap_or(&good).clone(),
        _ => good.clone(),
    });
    let scene = scene(&url, "chat", 6, &authority.pem);
    let ended = scene.agent(&BEGIN);
    assert_eq!(ended.code, Some(10), "{ended:?}");
    let faults = faults(&scene);
    assert_eq!(faults.len(), bad.len(), "{faults:?}");
    for ((kind, message), (_, expected, says)) in faults.iter().zip(&bad) {
        assert_eq!(kind, expected, "{message}");
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(scene.json("status")["iteration"], 6);
    endpoint.check();
}
