//! By what the blocks of a measurement are compared, pair by pair.

use super::judge::{Reading, Readings};
use crate::harness::{CaseResult, Role};
use crate::protocol::{BadMicros, Micros};
use crate::stats::{self, Ranking};

/// Returns the log ratio of each pair by which a duel is decided, in the order in which they ran.
pub fn log_ratios(readings: &Readings) -> Vec<f64> {
    Pairs::of(readings).map_or_else(|_| Vec::new(), |pairs| pairs.log_ratios())
}

/// Returns the time of each block, case by case, by which it is compared.
///
/// It is the steady one. Two blocks that took turns have times of which the ratio is that of their turns, at the pace of the one
/// that was disturbed less: neither is above its own steady time.
///
/// # Errors
/// Where a case has no calls.
pub fn compared(readings: &Readings) -> Result<Vec<Vec<Micros>>, BadMicros> {
    let steady = |block: &Reading| block.cases.iter().map(CaseResult::steady).collect::<Result<Vec<_>, _>>();
    let mut times = readings.blocks.iter().map(steady).collect::<Result<Vec<_>, _>>()?;
    if let Some(calls) = readings.turn_calls {
        for (blocks, times) in readings.blocks.chunks_exact(2).zip(times.chunks_exact_mut(2)) {
            let ([one, other], [of_one, of_other]) = (blocks, times) else { continue };
            let cases = one.cases.iter().zip(&other.cases).zip(of_one.iter_mut().zip(of_other));
            cases.into_iter().try_for_each(|((one, other), times)| at_one_pace(calls, one, other, times))?;
        }
    }
    Ok(times)
}

/// Puts the times of one case in two blocks that took turns in the ratio of their turns.
fn at_one_pace(
    calls: usize,
    one: &CaseResult,
    other: &CaseResult,
    (of_one, of_other): (&mut Micros, &mut Micros),
) -> Result<(), BadMicros> {
    let ratio = stats::log_ratio_in_turns(calls, &one.time_us, &other.time_us).map_or(f64::NAN, f64::exp);
    let pace = of_other.get().min(of_one.get() / ratio);
    (*of_one, *of_other) = (Micros::new(pace * ratio)?, Micros::new(pace)?);
    Ok(())
}

/// Both sides of all pairs: of a duel, or of one text's blocks two by two.
#[derive(Default)]
pub(super) struct Pairs {
    pub(super) before: Figure,
    pub(super) after: Figure,
}

impl Pairs {
    pub(super) fn of(readings: &Readings) -> Result<Self, BadMicros> {
        let is_duel = readings.of(Role::Incumbent).next().is_some();
        let mut pairs = Self::default();
        for (place, (block, times)) in readings.blocks.iter().zip(compared(readings)?).enumerate() {
            let is_before = if is_duel { block.role == Role::Incumbent } else { place % 2 == 0 };
            let side = if is_before { &mut pairs.before } else { &mut pairs.after };
            side.push(readings.ranking, times)?;
        }
        Ok(pairs)
    }

    pub(super) fn log_ratios(&self) -> Vec<f64> {
        stats::log_ratios(&self.before.whole, &self.after.whole)
    }

    /// Returns the noise that they show, where they are enough.
    pub(super) fn noise(&self) -> Option<f64> {
        stats::noise_of_pairs(&self.before.whole, &self.after.whole)
    }
}

/// One figure a block: over all cases, and for each case.
#[derive(Default)]
pub(super) struct Figure {
    pub(super) whole: Vec<Micros>,
    pub(super) cases: Vec<Vec<Micros>>,
}

impl Figure {
    pub(super) fn of(
        ranking: Ranking,
        blocks: &[&Reading],
        location: impl Fn(&CaseResult) -> Result<Micros, BadMicros>,
    ) -> Result<Self, BadMicros> {
        let mut figure = Self::default();
        for block in blocks {
            figure.push(ranking, block.cases.iter().map(&location).collect::<Result<_, _>>()?)?;
        }
        Ok(figure)
    }

    /// Takes in a block: a time for each case.
    fn push(&mut self, ranking: Ranking, times: Vec<Micros>) -> Result<(), BadMicros> {
        self.whole.push(stats::over_cases(ranking, &times)?);
        self.cases.resize_with(times.len().max(self.cases.len()), Vec::new);
        self.cases.iter_mut().zip(times).for_each(|(case, us)| case.push(us));
        Ok(())
    }
}
