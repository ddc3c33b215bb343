//! Values of the front matter with a form or a bound of their own.

use serde::Deserialize;
use serde_json::Value;

/// A text that says something.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text(pub(super) String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() { Err("is empty") } else { Ok(Self(text.trim().to_owned())) }
    }
}

/// A time in milliseconds, above zero.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Wall(pub(super) u64);

impl TryFrom<Value> for Wall {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => parse_wall(&text).ok_or_else(|| format!("{text:?} is not a time")),
            Value::Number(number) => {
                Err(format!("{number} has no unit, which could be {number}h, {number}m or {number}s"))
            }
            other => Err(format!("{other} is not a time")),
        }
    }
}

/// Parses whole hours, minutes and seconds, in this order, each at most once.
fn parse_wall(text: &str) -> Option<Wall> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    for (unit, milliseconds) in [('h', 3_600_000), ('m', 60_000), ('s', 1_000)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = if plain { number.parse().ok()? } else { return None };
        total = total.checked_add(number.checked_mul(milliseconds)?)?;
        rest = after;
    }
    (rest.is_empty() && total > 0).then_some(Wall(total))
}

/// A fraction from 0 to below 1: a number, or a text in per cent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Fraction(pub(super) f64);

impl TryFrom<Value> for Fraction {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let fraction = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => {
                text.trim().strip_suffix('%').and_then(|number| Some(number.trim_end().parse::<f64>().ok()? / 100.0))
            }
            _ => None,
        };
        match fraction {
            Some(fraction) if (0.0..1.0).contains(&fraction) => Ok(Self(fraction)),
            Some(fraction) if fraction >= 1.0 => Err(format!("{value} is all of the time or more")),
            _ => Err(format!("{value} is not a fraction")),
        }
    }
}

/// How many times as fast: finite and above 1.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Speedup(pub(super) f64);

impl TryFrom<f64> for Speedup {
    type Error = String;

    fn try_from(speedup: f64) -> Result<Self, String> {
        if speedup.is_finite() && speedup > 1.0 { Ok(Self(speedup)) } else { Err(format!("{speedup} is no speed-up")) }
    }
}

/// An amount of money: finite and above zero.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Dollars(pub(super) f64);

impl TryFrom<f64> for Dollars {
    type Error = String;

    fn try_from(usd: f64) -> Result<Self, String> {
        if usd.is_finite() && usd > 0.0 { Ok(Self(usd)) } else { Err(format!("{usd} buys nothing")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_whole_hours_minutes_and_seconds_in_this_order() {
        let ms = |text: &str| parse_wall(text).map(|wall| wall.0);
        assert_eq!(ms("10h"), Some(36_000_000));
        assert_eq!(ms("90m"), Some(5_400_000));
        assert_eq!(ms("45s"), Some(45_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1h5s"), Some(3_605_000));
        for bad in ["", "h", "10", "1.5h", "-1h", "+1h", "30m1h", "1h1h", "1h 30m", "0s", "1d", "10ms", "1h30"] {
            assert_eq!(ms(bad), None, "{bad}");
        }
        assert_eq!(ms("99999999999999999h"), None, "an overflow");
    }

    #[test]
    fn a_fraction_may_be_written_in_per_cent() {
        let fraction = |value: Value| Fraction::try_from(value).map(|fraction| fraction.0).ok();
        assert_eq!(fraction(0.02.into()), Some(0.02));
        assert_eq!(fraction("2%".into()), Some(0.02));
        assert_eq!(fraction("0 %".into()), Some(0.0));
        for bad in [Value::from(1), Value::from(-0.1), "100%".into(), "NaN%".into(), "2".into(), true.into()] {
            assert_eq!(fraction(bad.clone()), None, "{bad}");
        }
    }
}
