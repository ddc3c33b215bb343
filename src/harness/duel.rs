//! Lays out the blocks of a measurement: candidate and incumbent in turn, each pair on the same inputs.

use std::time::Duration;

use super::api::{HarnessError, Request};
use super::job::{Block, Exec, Job, Role, Stage};

/// One block to be: whose text, and the seed of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    role: Role,
    seed: u64,
}

/// Returns the job of `request`, given how this harness stages a text and how it runs one block of a role on a seed.
pub(super) fn job(
    request: &Request<'_>,
    stage: impl Fn(Role, &[u8]) -> Result<Stage, HarnessError>,
    exec: impl Fn(Role, u64) -> Result<Exec, HarnessError>,
) -> Result<Job, HarnessError> {
    let mut stages = vec![stage(Role::Candidate, request.candidate)?];
    let turns = match request.incumbent {
        Some(incumbent) => {
            stages.push(stage(Role::Incumbent, incumbent)?);
            duel(request.first_pair, request.effort.pairs, request.seed)
        }
        None => alone(request.effort.pairs, request.seed),
    };
    let seconds = u64::from(request.effort.timeout_seconds);
    let blocks = turns.into_iter().map(|turn| Ok(Block { role: turn.role, exec: exec(turn.role, turn.seed)? }));
    Ok(Job {
        gpu: request.gpu.clone(),
        timeout: Duration::from_secs(stages.iter().map(|_| seconds).sum()),
        stages,
        blocks: blocks.collect::<Result<_, _>>()?,
        turn_calls: None,
        first_pair: request.first_pair,
    })
}

/// Returns the stages of an effort: `stage_repeats`, or all repeats at once where it is empty.
pub(super) fn stage_repeats(request: &Request<'_>) -> Vec<u32> {
    let effort = request.effort;
    if effort.stage_repeats.is_empty() { vec![effort.repeats] } else { effort.stage_repeats.clone() }
}

/// Which side of a pair begins is a coin's to say, a new one for each pair: two equal kernels cannot tell which of them they
/// are, so neither a drift of the device nor a rhythm of its neighbours can make one of them win more often than not.
fn duel(first: u32, pairs: u32, seed: u64) -> Vec<Turn> {
    (first..first.saturating_add(pairs.max(1)))
        .flat_map(|pair| {
            let roles =
                if coin(seed, pair) { [Role::Candidate, Role::Incumbent] } else { [Role::Incumbent, Role::Candidate] };
            roles.map(|role| Turn { role, seed: pair_seed(seed, pair) })
        })
        .collect()
}

fn alone(blocks: u32, seed: u64) -> Vec<Turn> {
    (0..blocks.max(1)).map(|block| Turn { role: Role::Candidate, seed: pair_seed(seed, block) }).collect()
}

/// A hash, so that a kernel that knows the seed of one pair knows nothing of the next.
fn pair_seed(seed: u64, pair: u32) -> u64 {
    let mut bytes = [0; 8];
    pair_hash(seed, pair).fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Further along the same hash, so that a kernel that knows its seed does not know which side it is.
fn coin(seed: u64, pair: u32) -> bool {
    let mut bytes = [0; 9];
    pair_hash(seed, pair).fill(&mut bytes);
    bytes.last().is_some_and(|byte| byte & 1 == 1)
}

fn pair_hash(seed: u64, pair: u32) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&pair.to_le_bytes());
    hasher.finalize_xof()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(turns: &[Turn]) -> String {
        turns.iter().map(|turn| if turn.role == Role::Candidate { 'C' } else { 'I' }).collect()
    }

    #[test]
    fn a_fair_coin_says_for_each_pair_which_side_begins() {
        let turns = duel(0, 1000, 2);
        let pairs: Vec<String> = turns.chunks(2).map(order).collect();
        assert!(pairs.iter().all(|pair| pair == "CI" || pair == "IC"));
        let begun = pairs.iter().filter(|pair| *pair == "CI").count();
        assert!((430..570).contains(&begun), "{begun} of 1000");
        let changes = pairs.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((430..570).contains(&changes), "{changes} changes of 999: no rhythm");
        assert_ne!(order(&turns), order(&duel(0, 1000, 3)));
    }

    #[test]
    fn a_duel_in_several_jobs_is_the_same_duel() {
        let whole = duel(0, 10, 7);
        assert_eq!(whole, [duel(0, 4, 7), duel(4, 6, 7)].concat());
    }

    #[test]
    fn both_sides_of_a_pair_share_a_seed_and_no_two_pairs_do() {
        let turns = duel(0, 3, 9);
        let seeds: Vec<u64> = turns.chunks(2).map(|pair| pair[0].seed).collect();
        assert!(turns.chunks(2).all(|pair| pair[0].seed == pair[1].seed));
        assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2] && seeds[0] != seeds[2]);
    }

    #[test]
    fn without_an_incumbent_only_the_candidate_runs_and_at_least_once() {
        assert_eq!(order(&alone(3, 1)), "CCC");
        assert_eq!(order(&alone(0, 1)), "C");
    }
}
