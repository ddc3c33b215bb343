//! The templates of `prompts/`, and what each is filled in with. A name that a template has and its words have not is an error.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, value::Serde};
use serde::Serialize;

use crate::model::ModelError;

/// The rules.
#[derive(Serialize)]
pub(super) struct System {
    /// See [`crate::protocol::STUCK_TURNS`].
    pub(super) stuck_turns: u32,
}

/// What the run is about.
#[derive(Serialize)]
pub(super) struct Mission<'a> {
    pub(super) kernel: &'a str,
    pub(super) harness: &'a str,
    pub(super) metric: &'static str,
    pub(super) target: String,
    pub(super) device: String,
    pub(super) margin: String,
    pub(super) budgets: Vec<String>,
    pub(super) forbidden: String,
    /// What the harness says of its problem, in a fence.
    pub(super) description: Option<String>,
    pub(super) prompt: String,
}

/// Where the run stands.
#[derive(Serialize)]
pub(super) struct Briefing {
    pub(super) iteration: u32,
    pub(super) phase: &'static str,
    pub(super) legal: String,
    pub(super) figures: String,
    pub(super) counts: String,
    pub(super) hint: Option<String>,
    pub(super) ledger: String,
    pub(super) recent: Vec<Recent>,
    pub(super) lines: usize,
    pub(super) incumbent: String,
    pub(super) flight: Option<String>,
}

/// An iteration in full.
#[derive(Serialize)]
pub(super) struct Recent {
    pub(super) iteration: u32,
    pub(super) text: String,
}

/// What has happened beside the results of calls.
#[derive(Serialize)]
pub(super) struct Note {
    pub(super) lines: Vec<String>,
    pub(super) iteration: u32,
    pub(super) phase: &'static str,
    pub(super) legal: String,
}

/// Words that a template is filled in with.
pub(super) trait Words: Serialize {
    /// The template's file.
    const NAME: &'static str;
    /// The template.
    const TEMPLATE: &'static str;

    /// Returns the template with these words in it.
    fn render(&self) -> Result<String, ModelError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // The words are for a model, not for a page.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        let filled = environment.render_named_str(Self::NAME, Self::TEMPLATE, Value::from(Serde(self)));
        filled.map_err(|error| ModelError::Failed(format!("the prompt {} cannot be filled in: {error}", Self::NAME)))
    }
}

impl Words for System {
    const NAME: &'static str = "prompts/system.md.j2";
    const TEMPLATE: &'static str = include_str!("../../../prompts/system.md.j2");
}

impl Words for Mission<'_> {
    const NAME: &'static str = "prompts/mission.md.j2";
    const TEMPLATE: &'static str = include_str!("../../../prompts/mission.md.j2");
}

impl Words for Briefing {
    const NAME: &'static str = "prompts/briefing.md.j2";
    const TEMPLATE: &'static str = include_str!("../../../prompts/briefing.md.j2");
}

impl Words for Note {
    const NAME: &'static str = "prompts/note.md.j2";
    const TEMPLATE: &'static str = include_str!("../../../prompts/note.md.j2");
}
