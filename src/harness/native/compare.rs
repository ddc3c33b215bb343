//! Is the kernel's output the reference's?

use thiserror::Error;

use super::toml_file::Tolerance;

/// Why an output is not accepted.
#[derive(Debug, Error, PartialEq)]
pub(super) enum Mismatch {
    /// The kernel is wrong.
    #[error("{buffer}[{index}]: expected {expected}, got {got}; {wrong} of {len} elements differ")]
    Wrong { buffer: String, index: usize, expected: f64, got: f64, wrong: usize, len: usize },
    /// The oracle is wrong.
    #[error("the reference leaves {buffer}[{index}] NaN; it must write every element of its outputs")]
    NoOracle { buffer: String, index: usize },
}

/// Compares an output with the reference's; a NaN never matches.
pub(super) fn compare(buffer: &str, got: &[f64], expected: &[f64], tolerance: Tolerance) -> Result<(), Mismatch> {
    if let Some(index) = expected.iter().position(|value| value.is_nan()) {
        return Err(Mismatch::NoOracle { buffer: buffer.to_owned(), index });
    }
    let wrong = |(_, (got, expected)): &(usize, (&f64, &f64))| !matches(**got, **expected, tolerance);
    let mut mismatches = got.iter().zip(expected).enumerate().filter(wrong);
    match mismatches.next() {
        None => Ok(()),
        Some((index, (got_here, expected_here))) => Err(Mismatch::Wrong {
            buffer: buffer.to_owned(),
            index,
            expected: *expected_here,
            got: *got_here,
            wrong: 1 + mismatches.count(),
            len: got.len(),
        }),
    }
}

fn matches(got: f64, expected: f64, tolerance: Tolerance) -> bool {
    // An infinite reference would make the tolerance infinite too: only itself matches it.
    got == expected
        || expected.is_finite() && (got - expected).abs() <= tolerance.atol + tolerance.rtol * expected.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Tolerance = Tolerance { rtol: 0.1, atol: 0.01 };

    fn accepted(got: f64, expected: f64) -> bool {
        compare("c", &[got], &[expected], TOLERANCE).is_ok()
    }

    #[test]
    fn the_tolerance_is_absolute_plus_relative() {
        assert!(accepted(0.01, 0.0) && !accepted(0.011, 0.0));
        assert!(accepted(11.0, 10.0) && !accepted(11.02, 10.0) && !accepted(-10.0, 10.0));
    }

    #[test]
    fn nan_matches_nothing_and_infinity_only_itself() {
        assert!(!accepted(f64::NAN, 1.0) && !accepted(f64::INFINITY, 1.0) && !accepted(1.0, f64::INFINITY));
        assert!(accepted(f64::INFINITY, f64::INFINITY) && !accepted(f64::NEG_INFINITY, f64::INFINITY));
        assert!(!accepted(f64::NAN, f64::INFINITY));
    }

    #[test]
    fn the_first_wrong_element_is_named_and_all_are_counted() {
        let mismatch = compare("c", &[1.0, 5.0, f64::NAN], &[1.0, 2.0, 3.0], TOLERANCE).unwrap_err();
        assert_eq!(mismatch.to_string(), "c[1]: expected 2, got 5; 2 of 3 elements differ");
    }

    #[test]
    fn a_reference_without_an_answer_is_told_apart_from_a_wrong_kernel() {
        let mismatch = compare("c", &[f64::NAN, 1.0], &[1.0, f64::NAN], TOLERANCE).unwrap_err();
        assert_eq!(mismatch, Mismatch::NoOracle { buffer: "c".to_owned(), index: 1 });
    }
}
