//! The app, as this program brings it along.

use std::path::Path;

use crate::protocol::{ContentHash, Deploy};
use crate::runner::api::Deployable;
use crate::runner::remote::Same;

/// The app's file.
const APP: (&str, &str) = ("modal_app.py", include_str!("../../../tools/modal_app.py"));

/// The command that deploys it, by the Python that makes the calls.
const DEPLOY: &str = r#"python3 -m modal deploy "$AFTERHOURS_APP""#;

/// Returns the step that deploys the app.
pub(super) fn step() -> Deploy {
    Deploy { command: DEPLOY.to_owned(), files: Vec::new() }
}

/// Returns the app with the binary `agent`, which is `same`; `absent` is what Modal says where it has none.
pub(super) fn deployable(agent: &Path, same: Same, absent: Option<String>) -> Deployable {
    let binary = match same {
        Same::Build(hash) => hash.to_string(),
        Same::Version => String::new(),
    };
    let hash = ContentHash::of(format!("{binary} {}", APP.1).as_bytes());
    Deployable { step: step(), app: APP, agent: agent.to_owned(), hash, absent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_binary_is_another_thing_to_deploy() {
        let hash = |agent: &[u8]| deployable("agent".as_ref(), Same::Build(ContentHash::of(agent)), None).hash;
        assert_eq!(hash(b"one build"), hash(b"one build"));
        assert_ne!(hash(b"one build"), hash(b"another"));
    }
}
