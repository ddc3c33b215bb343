//! Recorded pairs of blocks: what a block's calls came to, for each way of looking at them.

use std::fs;
use std::path::Path;

use afterhours::harness::native::TURN_CALLS;
use afterhours::protocol::{MetricName, Micros};
use afterhours::stats;

type Failed = Box<dyn std::error::Error>;

/// What one block came to, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// By which blocks are compared.
    pub steady: f64,
    /// The median of the calls.
    pub median: f64,
}

/// Two blocks that ran next to each other.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Of the text before the change.
    pub incumbent: Block,
    /// Of the text after it.
    pub candidate: Block,
}

/// Reads the pairs of the part `name`; a line is the part's name, then steady time and median of the incumbent's block, then
/// of the candidate's. Lines that begin with `#` are for a reader.
pub fn read(path: &Path, name: &str) -> Result<Vec<Pair>, Failed> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#')) {
        let (part, figures) = line.split_once(' ').unwrap_or((line, ""));
        if part == name {
            let figures: Vec<f64> = figures.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            let [steady, median, steady_after, median_after] = figures[..] else {
                return Err(format!("{}:{number}: not four figures", path.display()).into());
            };
            pairs.push(Pair {
                incumbent: Block { steady, median },
                candidate: Block { steady: steady_after, median: median_after },
            });
        }
    }
    if pairs.is_empty() { Err(format!("{}: no pairs of {name}", path.display()).into()) } else { Ok(pairs) }
}

/// Reduces the calls of blocks, of which each two took turns, to what [`read`] reads: a line is the part's name, the block's
/// place in its job, `I` or `C`, and the microseconds of each call.
pub fn reduce(calls: &str) -> Result<String, Failed> {
    let mut reduced = String::new();
    let mut open: Option<(&str, Vec<Micros>)> = None;
    for line in calls.lines() {
        let mut words = line.split(' ');
        let (Some(part), Some(place), Some(role)) = (words.next(), words.next(), words.next()) else { continue };
        let times = words.map(|word| Ok(Micros::new(word.parse()?)?)).collect::<Result<Vec<_>, Failed>>()?;
        // The blocks of a pair stand at 2k and 2k + 1.
        match open.take() {
            Some((before, other)) if place.parse::<u32>()? % 2 == 1 && before != role => {
                let (incumbent, candidate) = if role == "C" { (other, times) } else { (times, other) };
                reduced.push_str(&format!("{part} {}\n", pair(&incumbent, &candidate)?));
            }
            _ => open = Some((role, times)),
        }
    }
    Ok(reduced)
}

/// Returns the four figures of a pair.
fn pair(incumbent: &[Micros], candidate: &[Micros]) -> Result<String, Failed> {
    let median = |times: &[Micros]| stats::case_metric(MetricName::MedianUs, times);
    let steady = stats::steady(candidate)?.get();
    let ratio = stats::log_ratio_in_turns(TURN_CALLS, incumbent, candidate).ok_or("a block without calls")?.exp();
    let [before, after] = [median(incumbent)?.get(), median(candidate)?.get()];
    Ok(format!("{:.2} {before:.2} {steady:.2} {after:.2}", steady * ratio))
}
