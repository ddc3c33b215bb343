//! The registry: a call as it came becomes a typed call, or is refused.

use std::path::Path;
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::args::{AppendAnalysis, BenchmarkRun, EditKernel, ReadFile, Revert, TestRun};
use crate::protocol::{
    Caller, Controls, Forbidden, MeasureSpec, Profile, Purpose, RawCall, Refusal, Request, Rule, RunState, Tool,
};

/// A call whose arguments fit its tool's schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `edit-kernel`.
    Edit(EditKernel),
    /// `test-run`.
    Test(TestRun),
    /// `benchmark-run`.
    Benchmark(BenchmarkRun),
    /// `append-analysis`.
    Analysis(AppendAnalysis),
    /// `revert`.
    Revert(Revert),
    /// `read-file`.
    Read(ReadFile),
}

impl Call {
    /// Returns what the gate must know of the call; `controls` are the call's own.
    pub fn request<'a>(&'a self, controls: &'a Controls) -> Request<'a> {
        match self {
            Self::Edit(_) => Request::Edit,
            Self::Test(args) => Request::Test { profile: args.profile.unwrap_or(Profile::Smoke) },
            Self::Benchmark(args) => {
                Request::Benchmark { profile: args.profile.unwrap_or(Profile::Candidate), controls }
            }
            Self::Analysis(args) => Request::Analysis { artifact: &args.artifact, decision: args.decision },
            Self::Revert(_) => Request::Revert,
            Self::Read(_) => Request::Read,
        }
    }

    /// Returns what the call changes of its profile.
    pub fn controls(&self) -> Controls {
        match self {
            Self::Test(args) => args.controls(),
            Self::Benchmark(args) => args.controls(),
            Self::Edit(_) | Self::Analysis(_) | Self::Revert(_) | Self::Read(_) => Controls::default(),
        }
    }
}

impl TestRun {
    /// Returns the measurement that a call with this id asks for.
    pub fn spec(&self, state: &RunState, id: &str) -> MeasureSpec {
        let spec = state.spec(Caller::Model(id.to_owned()), Purpose::Test);
        MeasureSpec { controls: self.controls(), tag: self.tag.clone(), ..spec }
    }
}

impl BenchmarkRun {
    /// Returns the measurement that a call with this id asks for.
    pub fn spec(&self, state: &RunState, id: &str) -> MeasureSpec {
        let purpose = if self.profile == Some(Profile::Final) { Purpose::Final } else { Purpose::Candidate };
        let spec = state.spec(Caller::Model(id.to_owned()), purpose);
        MeasureSpec { controls: self.controls(), tag: self.tag.clone(), ..spec }
    }
}

/// Lets a model name an artifact of the run in `folder` by its path from the repository's root as well, as the original's
/// scripts print it.
#[must_use]
pub fn with_short_artifact(mut raw: Arc<RawCall>, repo_root: &Path, folder: &Path) -> Arc<RawCall> {
    if let Some(Value::String(path)) = raw.arguments.get("artifact")
        && let full = repo_root.join(path)
        && let Ok(short) = full.strip_prefix(folder)
        && let Some(path) = Arc::make_mut(&mut raw).arguments.get_mut("artifact")
    {
        *path = short.to_string_lossy().into();
    }
    raw
}

/// Turns a call as it came into a typed one that the gate lets pass.
///
/// An edit's arguments may quote what the kernel already says; there only the change's name is checked for forbidden tools
/// here, and the lines that the edit adds are checked once they are known.
///
/// # Errors
/// The refusal for the model.
pub fn admit(raw: &RawCall, state: &RunState, forbidden: &Forbidden) -> Result<Call, Refusal> {
    let legal = |mut refusal: Refusal| {
        refusal.legal = state.legal().to_vec();
        refusal
    };
    forbidden.check(&raw.tool, "the tool's name").map_err(legal)?;
    let Some(tool) = Tool::from_name(&raw.tool) else {
        let name: String = raw.tool.chars().take(60).collect();
        let known = Tool::ALL.map(Tool::name).join(", ");
        return Err(state.refusal(Rule::UnknownTool, format!("there is no tool {name:?}; the tools are {known}")));
    };
    let checked = if tool == Tool::EditKernel { raw.arguments.get("change") } else { Some(&raw.arguments) };
    if let Some(value) = checked {
        forbidden.check_value(value, &format!("a call of {tool}")).map_err(legal)?;
    }
    let call = parse(tool, &raw.arguments).map_err(|message| state.refusal(Rule::BadArguments, message))?;
    let controls = call.controls();
    check_controls(&controls).map_err(|message| state.refusal(Rule::BadArguments, message))?;
    state.admit(&call.request(&controls))?;
    Ok(call)
}

/// Reads a tool's arguments.
///
/// # Errors
/// A text for the model that names the argument.
pub fn parse(tool: Tool, arguments: &Value) -> Result<Call, String> {
    // A tool without required arguments may be called without any.
    let empty = json!({});
    let arguments = if arguments.is_null() { &empty } else { arguments };
    Ok(match tool {
        Tool::EditKernel => Call::Edit(typed(tool, arguments)?),
        Tool::TestRun => Call::Test(typed(tool, arguments)?),
        Tool::BenchmarkRun => Call::Benchmark(typed(tool, arguments)?),
        Tool::AppendAnalysis => Call::Analysis(typed(tool, arguments)?),
        Tool::Revert => Call::Revert(typed(tool, arguments)?),
        Tool::ReadFile => Call::Read(typed(tool, arguments)?),
    })
}

fn typed<T: DeserializeOwned>(tool: Tool, arguments: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let message: String = error.inner().to_string().chars().take(300).collect();
        format!("the arguments of {tool} do not fit its schema, at `{}`: {message}", error.path())
    })
}

/// Checks the bounds that the schemas state.
///
/// # Errors
/// A text that names the argument and the bound.
pub fn check_controls(controls: &Controls) -> Result<(), String> {
    const MOST_CALLS: u32 = 10_000;
    let calls = |name: &str, number: u32| {
        if (1..=MOST_CALLS).contains(&number) {
            Ok(())
        } else {
            Err(format!("`{name}` must be from 1 to {MOST_CALLS}, not {number}"))
        }
    };
    if let Some(repeats) = controls.repeats {
        calls("repeats", repeats)?;
    }
    if let Some(stages) = &controls.stage_repeats {
        if stages.is_empty() || stages.len() > 16 {
            return Err(format!("`stage_repeats` must hold 1 to 16 stages, not {}", stages.len()));
        }
        stages.iter().try_for_each(|stage| calls("stage_repeats", *stage))?;
    }
    if let Some(us) = controls.early_stop_us
        && (!us.is_finite() || us < 0.0)
    {
        return Err(format!("`early_stop_us` must be 0 or more, not {us}"));
    }
    if let Some(seconds) = controls.timeout_seconds
        && !(1..=86_400).contains(&seconds)
    {
        return Err(format!("`timeout_seconds` must be from 1 to 86400, not {seconds}"));
    }
    Ok(())
}

/// Returns a tool's definition as language models are given it: `name`, `description`, `parameters` (JSON Schema draft 7,
/// without references).
pub fn schema(tool: Tool) -> Value {
    let mut parameters = match tool {
        Tool::EditKernel => generate::<EditKernel>(),
        Tool::TestRun => generate::<TestRun>(),
        Tool::BenchmarkRun => generate::<BenchmarkRun>(),
        Tool::AppendAnalysis => generate::<AppendAnalysis>(),
        Tool::Revert => generate::<Revert>(),
        Tool::ReadFile => generate::<ReadFile>(),
    };
    let description = parameters.as_object_mut().and_then(|map| {
        map.remove("title");
        map.remove("description")
    });
    json!({ "name": tool.name(), "description": description, "parameters": parameters })
}

fn generate<T: schemars::JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_on_disk_are_the_ones_the_code_gives() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/schema");
        for tool in Tool::ALL {
            let path = folder.join(format!("{tool}.json"));
            let text = format!("{:#}\n", schema(tool));
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                written,
                text,
                "{} drifted; write it anew with `agent tool --schemas tools/schema`",
                path.display()
            );
        }
    }

    #[test]
    fn schemas_need_no_references() {
        for tool in Tool::ALL {
            let text = schema(tool).to_string();
            assert!(!text.contains("$ref") && !text.contains("$schema"), "{text}");
        }
    }

    #[test]
    fn arguments_that_do_not_fit_are_named() {
        let error = parse(Tool::AppendAnalysis, &json!({"artifact": "a", "decision": "MAYBE"})).unwrap_err();
        assert!(error.contains("decision") && error.contains("MAYBE"), "{error}");
        let error = parse(Tool::TestRun, &json!({"repeat": 3})).unwrap_err();
        assert!(error.contains("repeat"), "{error}");
        assert!(parse(Tool::TestRun, &Value::Null).is_ok());
        assert!(parse(Tool::EditKernel, &json!([1])).is_err());
    }

    #[test]
    fn stages_come_as_a_list_or_in_the_original_s_spelling() {
        for value in [json!([8, 16]), json!("8,16"), json!("8, 16")] {
            let Call::Benchmark(args) = parse(Tool::BenchmarkRun, &json!({"stage_repeats": value})).unwrap() else {
                panic!("another call")
            };
            assert_eq!(args.stage_repeats, Some(vec![8, 16]));
        }
        assert!(parse(Tool::BenchmarkRun, &json!({"stage_repeats": "8;16"})).is_err());
    }
}
