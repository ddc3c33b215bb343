//! An outcome in one line: what the model, the commit and the artifact's analysis are told alike.

use crate::protocol::{Comparison, MetricName, Outcome};

/// Returns what `outcome` says, in figures.
pub fn outcome_text(outcome: &Outcome, metric: MetricName) -> String {
    match outcome {
        Outcome::KernelFailed { failure, message } => format!("failed ({failure}): {message}"),
        Outcome::InfraFailed { failure, message } => format!("no measurement ({failure}): {message}"),
        Outcome::Measured { device, candidate, incumbent, comparison, noise } => {
            let mut text = format!("passed, {metric} {}", candidate.us);
            if let (Some(incumbent), Some(comparison)) = (incumbent, comparison) {
                text.push_str(&format!(" against the incumbent's {}: {}", incumbent.us, comparison_text(comparison)));
            }
            text.push_str(&format!(", on {}", device.name));
            if let (None, Some(noise)) = (comparison, noise) {
                text.push_str(&format!("; the noise of one pair of blocks is {:.2}%", noise * 100.0));
            }
            if candidate.cases.len() > 1 {
                let cases: Vec<_> = candidate.cases.iter().map(|case| format!("{} {}", case.id, case.us)).collect();
                text.push_str(&format!("; cases: {}", cases.join(", ")));
            }
            text
        }
    }
}

/// Returns a comparison as `1.52x [1.48, 1.57], improved, 10 pairs`.
pub fn comparison_text(comparison: &Comparison) -> String {
    let Comparison { verdict, ratio, low, high, pairs, setback, .. } = comparison;
    let setback = setback.as_ref().map_or_else(String::new, |setback| format!(" ({setback})"));
    format!("{ratio:.3}x [{low:.3}, {high:.3}], {verdict}{setback}, {pairs} pairs")
}
