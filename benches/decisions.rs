//! How often the rule of a duel is wrong, and what it costs: real blocks are recorded once, and every rule is tried on them.
//!
//! `cargo bench --bench decisions -- record FILE [MINUTES]` measures a small C kernel in real processes: pairs of blocks of
//! one text, alone and beside a busy process, and pairs of a text that is really faster. Without arguments the recorded
//! blocks among the tests' fixtures are evaluated; `evaluate FILE` takes others. `useless [ITERATIONS]` runs a whole night
//! with a model whose changes change nothing. `handover [MINUTES]` compares a kernel in a process of its own, as it is measured,
//! with one that its own process times.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

#[path = "decisions/evaluate.rs"]
mod evaluate;
#[path = "decisions/handover.rs"]
mod handover;
#[path = "decisions/record.rs"]
mod record;
#[path = "decisions/samples.rs"]
#[expect(unreachable_pub, reason = "a test reads them as well")]
mod samples;
#[path = "decisions/trial.rs"]
#[expect(unreachable_pub, clippy::expect_used, clippy::indexing_slicing, reason = "a test tries them as well")]
mod trial;
#[path = "decisions/useless.rs"]
mod useless;

use std::path::Path;

/// Whatever went wrong: a bench has nobody to explain it to but its reader.
type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["record", file] => record::record(Path::new(file), 8.0),
        ["record", file, minutes] => record::record(Path::new(file), minutes.parse()?),
        ["evaluate", file] => evaluate::evaluate(Path::new(file)),
        ["handover"] => handover::compare(2.0),
        ["handover", minutes] => handover::compare(minutes.parse()?),
        ["useless"] => useless::night(100),
        ["useless", iterations] => useless::night(iterations.parse()?),
        [] => evaluate::evaluate(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decisions/blocks.txt")),
        _ => Err("usage: record FILE [MINUTES] | evaluate FILE | useless [ITERATIONS] | handover [MINUTES]".into()),
    }
}
