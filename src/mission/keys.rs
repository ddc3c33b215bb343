//! The keys of the front matter, and what each expects.

use serde_json::{Map, Value};

use super::error::{At, MissionError};

/// A key with the keys above it, and what to write after it.
type Key = (&'static str, &'static str);

const PATH: &str = "a path below the repository's root";
const WALL: &str = "a time with its unit, such as 10h, 90m, 45s or 1h30m";
const COUNT: &str = "a whole number above 0";
const STAGES: &str = "a list of whole numbers above 0, such as [8, 12]";
const EARLY_STOP: &str = "a number of microseconds, or 0 to never stop early";
const SECONDS: &str = "whole seconds, 1 to 86400";
const PAIRS: &str = "a whole number, 1 to 1000";
const REPEATS: &str = "a whole number, 1 to 100000";
const EFFORT: &str = "a map with repeats, stage_repeats, early_stop_us, timeout_seconds and pairs, each optional";

/// Every key there is. Below `vars` and `model` any key goes.
const KEYS: &[Key] = &[
    ("kernel", PATH),
    ("harness", PATH),
    ("metric", "median_us, mean_us or gmean_us"),
    ("target_us", "a number of microseconds above 0, such as 9.5"),
    ("target_speedup", "a number above 1, such as 1.5"),
    ("gpu", "a device's name such as B200, or cpu"),
    ("runner", "local, slurm or modal"),
    ("slurm", "a map with partition, account, qos, constraint, gres, cpus, mem, time and agent, each optional"),
    ("slurm.partition", "a partition's name, as `sinfo` shows it"),
    ("slurm.account", "an account's name"),
    ("slurm.qos", "a quality of service's name"),
    ("slurm.constraint", "features of the node, such as b200"),
    ("slurm.gres", "generic resources, such as gpu:b200:1"),
    ("slurm.cpus", COUNT),
    ("slurm.mem", "memory with its unit, such as 32G"),
    ("slurm.time", WALL),
    ("slurm.agent", "the path of this program on the node"),
    ("model", "tuner, openai:NAME or replay:PATH"),
    ("sandbox", "required, best_effort or unconfined"),
    ("budget", "a map with iterations, wall, tokens, usd, no_progress, infra_failures and idle_turns, each optional"),
    ("budget.iterations", COUNT),
    ("budget.wall", WALL),
    ("budget.tokens", COUNT),
    ("budget.usd", "an amount above 0, such as 25"),
    ("budget.no_progress", COUNT),
    ("budget.infra_failures", COUNT),
    ("budget.idle_turns", COUNT),
    ("roofline_us", "the least time that the work can take, in microseconds above 0"),
    ("min_improvement", "a fraction from 0 to below 1, such as 0.01 or 1%"),
    ("forbidden", "a list of names, such as [popcorn-cli]"),
    ("profiles", "a map with smoke, candidate and final, each optional"),
    ("profiles.smoke", EFFORT),
    ("profiles.smoke.repeats", REPEATS),
    ("profiles.smoke.stage_repeats", STAGES),
    ("profiles.smoke.early_stop_us", EARLY_STOP),
    ("profiles.smoke.timeout_seconds", SECONDS),
    ("profiles.smoke.pairs", "1, or leave it out: a smoke test has no incumbent beside it"),
    ("profiles.candidate", EFFORT),
    ("profiles.candidate.repeats", REPEATS),
    ("profiles.candidate.stage_repeats", STAGES),
    ("profiles.candidate.early_stop_us", EARLY_STOP),
    ("profiles.candidate.timeout_seconds", SECONDS),
    ("profiles.candidate.pairs", PAIRS),
    ("profiles.final", EFFORT),
    ("profiles.final.repeats", REPEATS),
    ("profiles.final.stage_repeats", STAGES),
    ("profiles.final.early_stop_us", EARLY_STOP),
    ("profiles.final.timeout_seconds", SECONDS),
    ("profiles.final.pairs", PAIRS),
    ("deploy", "a map with command and files"),
    ("deploy.command", "a command line"),
    ("deploy.files", "a list of files and folders, such as [tools/runner]"),
    ("tune", "a whole number: how many iterations the tuner gets after each KEEP of the model's"),
    ("read", "a list of files and folders below the repository's root"),
    ("vars", "a map of names (lowercase letters, digits, _) to texts or numbers"),
    ("seed", "a whole number from 0 to 18446744073709551615"),
];

/// Returns what to write after `key`, whose path may end in places of a list, such as `read[1]`.
pub(super) fn remedy(key: &str) -> &'static str {
    let plain = key.split('[').next().unwrap_or(key);
    let section = plain.split('.').next().unwrap_or(plain);
    let find = |wanted: &str| KEYS.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    find(plain).or_else(|| find(section)).unwrap_or("a value")
}

/// Refuses keys that missions do not have, and keys without a value.
pub(super) fn check(at: &dyn Fn(&str) -> At, map: &Map<String, Value>) -> Result<(), MissionError> {
    check_section(at, map, "")
}

fn check_section(at: &dyn Fn(&str) -> At, map: &Map<String, Value>, section: &str) -> Result<(), MissionError> {
    for (name, value) in map {
        let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        if !KEYS.iter().any(|(known, _)| *known == key) {
            return Err(MissionError::UnknownKey { at: at(&key), hint: hint(section, name), key });
        }
        match value {
            Value::Null => {
                let (problem, remedy) = ("has no value".to_owned(), format!("{}, or remove the key", remedy(&key)));
                return Err(MissionError::BadValue { at: at(&key), key, problem, remedy });
            }
            Value::Object(below) if KEYS.iter().any(|(known, _)| is_in(known, &key)) => {
                check_section(at, below, &key)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Tells whether `key` lies directly in `section`.
fn is_in(key: &str, section: &str) -> bool {
    match key.rsplit_once('.') {
        Some((above, _)) => above == section,
        None => section.is_empty(),
    }
}

/// Returns the key that was likely meant: a neighbour that is spelt alike, or one of the same name in another section.
fn hint(section: &str, name: &str) -> String {
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let here: Vec<&str> = KEYS.iter().map(|(key, _)| *key).filter(|key| is_in(key, section)).map(last).collect();
    if let Some(close) = closest(name, here.iter().copied()) {
        return format!("did you mean {close}?");
    }
    if let Some((elsewhere, _)) = KEYS.iter().find(|(key, _)| last(key) == name) {
        return format!("did you mean {elsewhere}?");
    }
    format!("the keys here are {}", here.join(", "))
}

/// Returns the candidate within two edits of `name`, where that is less than half of it.
pub(super) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= 2 && distance * 2 < name.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}
