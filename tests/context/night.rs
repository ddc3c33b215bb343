//! Whole nights with a model that answers as the prompt teaches: the promises, in tokens of the table `o200k`.

use std::sync::LazyLock;

use afterhours::model::{Ledgered, Limits, count_tokens};

use crate::support::canned::Fate;
use crate::support::night::{append_only, mixed, play};
use crate::support::tally::Tally;
use crate::well_formed;

fn all_kept(_iteration: u32) -> Fate {
    Fate::Kept
}

fn usual() -> Ledgered {
    Ledgered::new(Limits::for_context(None))
}

fn long_night() -> &'static Tally {
    static NIGHT: LazyLock<Tally> = LazyLock::new(|| {
        let night = play(500, mixed, 1, usual(), well_formed).unwrap();
        assert_eq!(night.mistakes, 0, "the model knows the rules");
        night.tally
    });
    &NIGHT
}

#[test]
fn a_request_at_iteration_500_is_hardly_longer_than_at_iteration_20() {
    let night = long_night();
    let ((mean_20, most_20), (mean_500, most_500)) = (night.size(15..=25), night.size(450..=500));
    assert!(mean_500 * 10 <= mean_20 * 12, "{mean_20} {mean_500}");
    assert!(most_500 * 10 <= most_20 * 12, "{most_20} {most_500}");
    let (_, most) = night.size(0..=500);
    assert!(most * 10 <= most_20 * 12, "{most_20} {most}");
}

#[test]
fn a_request_between_compactions_is_nearly_all_prefix() {
    let steps = play(150, mixed, 0, usual(), well_formed).unwrap().tally.shares();
    assert!(steps[0] >= 0.9, "{}", steps[0]);
    // A file that was read is new, and as long as it is; over the night that hardly counts.
    let shares = long_night().shares();
    assert!(shares[0] >= 0.8 && shares[shares.len() / 20] >= 0.9, "{} {}", shares[0], shares[shares.len() / 20]);
    let rebuilt = long_night().rows.iter().skip(1).filter(|row| !row.extends).count();
    assert!((500 / 12..=500 / 5).contains(&rebuilt), "{rebuilt} compactions");
}

#[test]
fn three_hundred_iterations_cost_a_tenth_of_an_append_only_transcript() {
    let whole = play(300, mixed, 1, append_only(), |_| {}).unwrap().tally;
    let (ours, theirs) = (long_night().sum(300), whole.sum(300));
    assert!(ours * 10 <= theirs, "{ours} {theirs}");
}

#[test]
fn a_model_that_batches_as_it_is_taught_needs_three_round_trips_for_a_kept_iteration() {
    let night = play(20, all_kept, 0, usual(), well_formed).unwrap();
    // The analysis of the last final benchmark is the one turn more.
    assert_eq!((night.round_trips, night.mistakes), (3 * 20 + 1, 0));
}

#[test]
fn the_estimate_of_tokens_is_within_a_quarter_of_a_real_table() {
    let table = bpe_openai::o200k_base();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files =
        ["src/protocol/fold.rs", "docs/protocol.md", "kernels/matmul/kernel.c", "Cargo.lock", "prompts/system.md.j2"];
    for file in files {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let (real, estimate) = (table.count(text.as_str()) as f64, count_tokens(&text) as f64);
        assert!((0.75..=1.25).contains(&(estimate / real)), "{file}: {estimate} for {real}");
    }
}

#[test]
fn the_rules_are_short_enough_for_a_weak_model() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/prompts/system.md.j2")).unwrap();
    let tokens = bpe_openai::o200k_base().count(text.as_str());
    assert!(tokens <= 900, "{tokens}");
}
