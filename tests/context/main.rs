//! What a language model is shown: bounded, stable and well formed, whatever the night brings.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "../../benches/support/mod.rs"]
mod support;

mod night;
mod run;
mod walk;
mod words;

use afterhours::model::Message;

/// Every call has exactly one result, right behind it, and every result a call.
fn well_formed(request: &[Message]) {
    assert!(matches!(request.first(), Some(Message::System { .. })));
    assert!(request.iter().skip(1).all(|message| !matches!(message, Message::System { .. })));
    let mut open: Vec<String> = Vec::new();
    for message in request {
        match message {
            Message::Tool { call, .. } => assert_eq!(*call, open.remove(0), "results follow in the calls' order"),
            Message::Assistant { calls, text } => {
                assert!(open.is_empty() && (!calls.is_empty() || !text.is_empty()));
                open = calls.iter().map(|call| call.id.clone()).collect();
                let mut unique = open.clone();
                unique.sort();
                unique.dedup();
                assert_eq!(unique.len(), open.len(), "{open:?}");
            }
            Message::User { .. } | Message::System { .. } => assert!(open.is_empty(), "calls without results"),
        }
    }
    assert!(open.is_empty(), "calls without results: {open:?}");
}
