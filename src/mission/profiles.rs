//! The profiles: what a mission changes of the defaults.

use std::num::NonZeroU32;

use super::error::MissionError;
use super::front::{EffortMap, ProfilesMap};
use super::settings::Settings;
use crate::protocol::{Effort, Profile, Profiles};

/// Timed calls of each case in one block.
const MAX_REPEATS: u64 = 100_000;
/// A day.
const MAX_TIMEOUT_SECONDS: u32 = 86_400;
/// Blocks a side.
const MAX_PAIRS: u32 = 1_000;
/// Returns the default profiles with the mission's changes.
pub(super) fn merge(settings: &Settings<'_>, maps: &ProfilesMap) -> Result<Profiles, MissionError> {
    let Profiles { smoke, candidate, final_ } = Profiles::default();
    Ok(Profiles {
        smoke: effort(settings, Profile::Smoke, &maps.smoke, smoke)?,
        candidate: effort(settings, Profile::Candidate, &maps.candidate, candidate)?,
        final_: effort(settings, Profile::Final, &maps.final_, final_)?,
    })
}

fn effort(
    settings: &Settings<'_>,
    profile: Profile,
    map: &EffortMap,
    mut effort: Effort,
) -> Result<Effort, MissionError> {
    let bad = |key: &str, problem: String| Err(settings.bad(&format!("profiles.{profile}.{key}"), problem));
    let repeats = map.repeats.map(NonZeroU32::get);
    match (&map.stage_repeats, repeats) {
        (Some(stages), repeats) => {
            let sum: u64 = stages.iter().map(|stage| u64::from(stage.get())).sum();
            if let Some(repeats) = repeats.filter(|repeats| u64::from(*repeats) != sum) {
                return bad("repeats", format!("{repeats} is not the sum of stage_repeats, {sum}"));
            }
            match u32::try_from(sum) {
                Ok(repeats) if (1..=MAX_REPEATS).contains(&sum) => effort.repeats = repeats,
                _ => return bad("stage_repeats", format!("the sum is {sum}, outside 1 to {MAX_REPEATS}")),
            }
            effort.stage_repeats = stages.iter().map(|stage| stage.get()).collect();
        }
        (None, Some(repeats)) => {
            if u64::from(repeats) > MAX_REPEATS {
                return bad("repeats", format!("{repeats} is above {MAX_REPEATS}"));
            }
            effort.repeats = repeats;
            effort.stage_repeats = vec![repeats];
        }
        (None, None) => {}
    }
    if let Some(us) = map.early_stop_us {
        if !us.is_finite() || us < 0.0 {
            return bad("early_stop_us", format!("{us} is not a time"));
        }
        effort.early_stop_us = (us > 0.0).then_some(us);
    }
    if let Some(seconds) = map.timeout_seconds.map(NonZeroU32::get) {
        if seconds > MAX_TIMEOUT_SECONDS {
            return bad("timeout_seconds", format!("{seconds} is above {MAX_TIMEOUT_SECONDS}"));
        }
        effort.timeout_seconds = seconds;
    }
    if let Some(pairs) = map.pairs.map(NonZeroU32::get) {
        let max = if profile == Profile::Smoke { 1 } else { MAX_PAIRS };
        if pairs > max {
            return bad("pairs", format!("{pairs} is above {max}"));
        }
        effort.pairs = pairs;
    }
    Ok(effort)
}
