//! The app, as this program brings it along.

use std::path::Path;

use crate::protocol::{ContentHash, Deploy};
use crate::runner::api::{Deployable, Presence};
use crate::runner::remote::Same;

/// The text of the app's file.
const TEXT: &str = include_str!("../../../tools/modal_app.py");

/// The command that deploys it, by the Python that makes the calls.
const DEPLOY: &str = r#"python3 -m modal deploy "$AFTERHOURS_APP""#;

/// Returns the step that deploys the app.
pub(super) fn step() -> Deploy {
    Deploy { command: DEPLOY.to_owned(), files: Vec::new() }
}

/// Returns the app with the binary `agent`, which is `same`, and what Modal says of it.
pub(super) fn deployable(agent: &Path, same: Same, presence: Presence) -> Deployable {
    let app = (format!("{}.py", name(same)), TEXT);
    Deployable { step: step(), app, agent: agent.to_owned(), hash: hash(same), presence }
}

/// Returns the app's name, which no app with another text or another build has. It is that of the app's file, too.
pub(super) fn name(same: Same) -> String {
    format!("afterhours_{}", hash(same).short())
}

fn hash(same: Same) -> ContentHash {
    let binary = match same {
        Same::Build(hash) => hash.to_string(),
        Same::Version => String::new(),
    };
    ContentHash::of(format!("{binary} {TEXT}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_binary_is_another_app() {
        let app = |agent: &[u8]| name(Same::Build(ContentHash::of(agent)));
        assert_eq!(app(b"one build"), app(b"one build"));
        assert_ne!(app(b"one build"), app(b"another"));
    }
}
