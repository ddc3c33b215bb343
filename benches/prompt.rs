//! What a night costs in tokens: how long a request is, how much of it the one before began with, and what the same night costs
//! where every request holds the whole conversation.
//!
//! Sessions over a real repository, with measurements that are canned and a model that answers as the prompt teaches. Tokens
//! are those of the table `o200k`; the figures are the same in every run.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod support;

use afterhours::model::{Ledgered, Limits};
use support::Failed;
use support::canned::Fate;
use support::night::{append_only, mixed, play};
use support::tally::Tally;

const ITERATIONS: u32 = 500;

/// The part of it that is compared with an append-only transcript.
const COMPARED: u32 = 300;

fn main() -> Result<(), Failed> {
    let night = play(ITERATIONS, mixed, 1, Ledgered::new(Limits::for_context(None)), |_| {})?;
    let tally = &night.tally;
    sizes(tally);
    prefix("with artifacts read", tally);
    prefix("without", &play(ITERATIONS, mixed, 0, Ledgered::new(Limits::for_context(None)), |_| {})?.tally);
    for pages in 1..=3 {
        paged(pages)?;
    }
    let whole = play(COMPARED, mixed, 1, append_only(), |_| {})?;
    let (ours, theirs) = (tally.sum(COMPARED), whole.tally.sum(COMPARED));
    println!(
        "\nsum over {COMPARED} iterations: {ours} tokens, append-only {theirs}: {:.1} times as many",
        theirs as f64 / ours as f64
    );
    round_trips()
}

fn sizes(tally: &Tally) {
    println!("{:>12} {:>8} {:>8}", "iterations", "mean", "largest");
    let windows = [1..=10, 15..=25, 95..=105, 245..=255, 490..=500];
    for window in windows {
        let (mean, most) = tally.size(window.clone());
        println!("{:>12} {mean:>8} {most:>8}", format!("{}-{}", window.start(), window.end()));
    }
    let ((mean_20, most_20), (mean_500, most_500)) = (tally.size(15..=25), tally.size(490..=500));
    println!(
        "at 500 over at 20: mean {:.3}, largest {:.3} (promised: at most 1.2)",
        mean_500 as f64 / mean_20 as f64,
        most_500 as f64 / most_20 as f64
    );
}

fn prefix(name: &str, tally: &Tally) {
    let shares = tally.shares();
    let at = |place: usize| shares.get(place).copied().unwrap_or(f64::NAN) * 100.0;
    let rebuilt = tally.rows.iter().skip(1).filter(|row| !row.extends).count();
    let all: u64 = tally.rows.iter().map(|row| row.tokens).sum();
    let known: u64 = tally.rows.iter().map(|row| row.known).sum();
    println!(
        "\nprefix between compactions, {name}: minimum {:.1} %, 5 of 100 below {:.1} %, median {:.1} % (promised: 90 %)",
        at(0),
        at(shares.len() / 20),
        at(shares.len() / 2)
    );
    println!(
        "{rebuilt} compactions in {} requests; with them, {:.1} % of all tokens began the request before",
        tally.rows.len(),
        known as f64 / all as f64 * 100.0
    );
}

/// Reads each artifact in so many turns: what smaller answers of `read-file` cost, and what they do for the prefix.
fn paged(pages: u32) -> Result<(), Failed> {
    let night = play(COMPARED, mixed, pages, Ledgered::new(Limits::for_context(None)), |_| {})?;
    let rows = &night.tally.rows;
    let steps = rows.iter().skip(1).filter(|row| row.extends);
    let below = steps.clone().filter(|row| row.share() < 0.9).map(|row| row.tokens - row.known);
    let all: u64 = rows.iter().map(|row| row.tokens).sum();
    let known: u64 = rows.iter().map(|row| row.known).sum();
    println!(
        "\nartifacts read in {pages} turns each: {} of {} requests below 90 %, minimum {:.1} %; what is new in them is {} to {} tokens",
        below.clone().count(),
        steps.count(),
        night.tally.shares().first().copied().unwrap_or(f64::NAN) * 100.0,
        below.clone().min().unwrap_or(0),
        below.max().unwrap_or(0)
    );
    println!(
        "over {COMPARED} iterations: {} round trips, {all} tokens, {} of them new",
        night.round_trips,
        all - known
    );
    Ok(())
}

fn round_trips() -> Result<(), Failed> {
    println!();
    one_kind("every change is kept", |_| Fate::Kept)?;
    one_kind("no change is faster", |_| Fate::Slower)?;
    one_kind("every change fails its test", |_| Fate::Wrong)?;
    one_kind("the mix of the night", mixed)
}

fn one_kind(name: &str, fate: fn(u32) -> Fate) -> Result<(), Failed> {
    let iterations = 24;
    let night = play(iterations, fate, 0, Ledgered::new(Limits::for_context(None)), |_| {})?;
    // The turn behind the last iteration's measurements only closes it.
    let round_trips = f64::from(night.round_trips - 1) / f64::from(iterations);
    println!("round trips an iteration where {name}: {round_trips:.2}");
    Ok(())
}
