//! Lists of times as they stand in a JSON text: the record of a measurement is mostly these.

use std::str;

use memchr::memchr_iter;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

use super::ids::Micros;

/// Reads a list of times from a JSON text, several times as fast as number by number: for a field's `deserialize_with`. From
/// a [`Value`](serde_json::Value) it cannot be read so.
///
/// # Errors
/// Where it is no list, or a number in it is no time.
pub fn times<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Micros>, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?.get();
    plain(text).map_or_else(|| serde_json::from_str(text).map_err(|error| D::Error::custom(without_place(&error))), Ok)
}

/// The place is one within the list; the reader of the whole text tells its own.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned()
}

/// Returns the times of a JSON list that holds at least one, each written without sign and exponent; nothing of any other JSON,
/// or where one of them is no time.
fn plain(text: &str) -> Option<Vec<Micros>> {
    let text = text.as_bytes();
    let mut times = Vec::with_capacity(memchr_iter(b',', text).count() + 1);
    let mut rest = text.strip_prefix(b"[")?;
    loop {
        let (number, after) = decimal(rest.trim_ascii_start())?;
        times.push(Micros::new(number).ok()?);
        rest = match after.trim_ascii_start() {
            [b',', b' ', next @ ..] | [b',', next @ ..] => next,
            end => return (end == b"]").then_some(times),
        };
    }
}

/// The powers of ten up to that of the decimals that [`decimal`] takes at once.
const POWERS: [u32; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Returns the number at the beginning of a JSON text, the nearest that there is, and what stands after its digits.
fn decimal(text: &[u8]) -> Option<(f64, &[u8])> {
    let (whole, length) = digits(text);
    let rest = text.get(length..)?;
    let (decimals, places, rest) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let (decimals, places) = digits(rest);
            (decimals, places, rest.get(places..)?)
        }
        None => (0, 0, rest),
    };
    match POWERS.get(places).filter(|_| (1..POWERS.len()).contains(&length)) {
        // Both are whole numbers below 2^53: the quotient is rounded once, to the number that the digits say.
        #[expect(clippy::cast_precision_loss, reason = "it has at most 14 digits")]
        Some(power) => Some(((whole * u64::from(*power) + decimals) as f64 / f64::from(*power), rest)),
        None => {
            let length = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
            let (number, rest) = text.split_at_checked(length)?;
            Some((str::from_utf8(number).ok()?.parse().ok()?, rest))
        }
    }
}

/// Returns the number that the first digits of `text` are, at most eight, and how many they are.
fn digits(text: &[u8]) -> (u64, usize) {
    let mut bytes = [0; 8];
    match text.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes.iter_mut().zip(text).for_each(|(byte, first)| *byte = *first),
    }
    // All at once, the first in the lowest byte: what is left of a digit is below ten, and of any other byte above.
    let bytes = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    let others = (bytes.wrapping_add(0x7676_7676_7676_7676) | bytes) & 0x8080_8080_8080_8080;
    let length = others.trailing_zeros() / 8;
    let ones = bytes.checked_shl(64 - 8 * length).unwrap_or(0);
    let tens = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let hundreds = (tens * 100 + (tens >> 16)) & 0x0000_ffff_0000_ffff;
    ((hundreds * 10_000 + (hundreds >> 32)) & 0xffff_ffff, length as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Case {
        #[serde(deserialize_with = "times")]
        us: Vec<Micros>,
    }

    fn read(list: &str) -> Result<Vec<Micros>, String> {
        serde_json::from_str(&format!("{{\n\"us\": {list}}}"))
            .map(|case: Case| case.us)
            .map_err(|error| error.to_string())
    }

    /// How JSON may write a number, and how it may not.
    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,4}(\\.[0-9]{1,6})?",
            "[1-9][0-9]{0,18}\\.[0-9]{1,18}",
            "-?[0-9.]{0,5}([eE][-+]?[0-9]{0,3})?",
            any::<f64>().prop_map(|us| us.to_string()),
            (1e-9..1e9_f64).prop_map(|us| serde_json::Value::from(us).to_string()),
        ]
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_number_by_number(numbers in prop::collection::vec(number(), 0..8), space in "[ \n\r\t]{0,2}") {
            let list = format!("[{space}{}{space}]", numbers.join(&format!("{space},{space}")));
            let bits = |times: Vec<Micros>| times.into_iter().map(|us| us.get().to_bits()).collect::<Vec<_>>();
            let slowly = serde_json::from_str::<Vec<Micros>>(&list);
            prop_assert_eq!(read(&list).ok().map(bits), slowly.ok().map(bits), "{}", list);
        }
    }

    #[test]
    fn what_is_no_list_of_times_is_named_with_its_place_in_the_whole_text() {
        for (list, expected) in [
            ("[1, -2]", "-2 is not a time in microseconds: it must be finite and above zero at line 2"),
            ("[0.0]", "0 is not a time"),
            ("[1, \"2\"]", "invalid type: string \"2\", expected f64 at line 2"),
            ("7", "invalid type: integer `7`, expected a sequence at line 2"),
            ("[1,]", "at line 2"),
            ("[01]", "at line 2"),
            ("[1", "at line 2"),
        ] {
            let error = read(list).unwrap_err();
            assert!(error.contains(expected), "{list}: {error}");
            assert_eq!(error.matches(" at line ").count(), 1, "{list}: {error}");
        }
        assert_eq!(read("[]").unwrap(), []);
    }
}
