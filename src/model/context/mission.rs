//! The first two messages, which are the same in every request of a process: the rules, and the mission.

use super::limits::Limits;
use super::prompts::{Mission, System, Words};
use super::quote::{cut, fenced, harmless, lines_left_out, one_line};
use crate::model::{Message, ModelError, View};
use crate::protocol::{Budget, Gpu, STUCK_TURNS, Target};

/// Returns the rules and the mission.
pub(super) fn opening(view: &View<'_>, limits: &Limits) -> Result<[Message; 2], ModelError> {
    let (run, terms) = (&view.state.run, &view.state.run.terms);
    let mission = Mission {
        kernel: &run.kernel,
        harness: &run.harness,
        metric: terms.metric.as_str(),
        target: target(terms.target),
        device: device(&terms.gpu),
        // Ten digits more than anybody asks for, and none of the binary fraction's tail.
        margin: ((terms.min_improvement * 1e12).round() / 1e10).to_string(),
        budgets: budgets(&terms.budget),
        forbidden: terms.forbidden.iter().map(|name| one_line(name, 80)).collect::<Vec<_>>().join(", "),
        description: view.description.map(str::trim).filter(|text| !text.is_empty()).map(|text| quoted(text, limits)),
        prompt: harmless(view.prompt.trim()),
    };
    Ok([
        Message::System { text: System { stuck_turns: STUCK_TURNS }.render()? },
        Message::User { text: mission.render()? },
    ])
}

/// Returns what the harness says of its problem: foreign words, and in a fence.
fn quoted(text: &str, limits: &Limits) -> String {
    fenced(&cut(&harmless(text), limits.description, lines_left_out), "")
}

fn target(target: Target) -> String {
    match target {
        Target::Us(us) => format!("at most {us}"),
        Target::Speedup(times) => format!("{times} times the speed of the kernel as found"),
    }
}

fn device(gpu: &Gpu) -> String {
    if gpu.is_cpu() { "the host's processor, not a GPU".to_owned() } else { one_line(&gpu.0, 80) }
}

fn budgets(budget: &Budget) -> Vec<String> {
    let Budget { iterations, wall_ms, tokens, usd, no_progress, infra_failures, .. } = budget;
    [
        iterations.map(|number| format!("{number} iterations")),
        wall_ms.map(|ms| format!("{:.1} hours", ms as f64 / 3_600_000.0)),
        tokens.map(|number| format!("{number} tokens")),
        usd.map(|usd| format!("{usd} US dollars")),
        no_progress.map(|number| format!("{number} reverts in a row")),
        infra_failures.map(|number| format!("{number} failures of the infrastructure")),
    ]
    .into_iter()
    .flatten()
    .collect()
}
