//! The names of artifacts outside a run's folder.

use jiff::Timestamp;

use super::types::Mode;

/// A file name has 255 bytes on the usual file systems: room for two parts of this length and what stands between.
const LONGEST_PART: usize = 96;

/// Returns `<kernel stem>.afterhours_<test|benchmark>.<tag or stamp>.txt`.
///
/// Whatever could lead out of the folder, or not be part of a name, becomes `-`; long parts are cut.
pub fn standalone_name(kernel_stem: &str, mode: Mode, tag_or_stamp: &str) -> String {
    format!("{}.afterhours_{mode}.{}.txt", part(kernel_stem), part(tag_or_stamp))
}

/// Returns a time as names have it: `20260224T000325Z`.
pub fn stamp(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn part(text: &str) -> String {
    let mut part = String::new();
    for c in text.chars() {
        let c = if c.is_alphanumeric() || "-_+".contains(c) || (c == '.' && !part.is_empty()) { c } else { '-' };
        if part.len() + c.len_utf8() > LONGEST_PART {
            break;
        }
        part.push(c);
    }
    if part.is_empty() { "-".to_owned() } else { part }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_the_originals() {
        let time = "2026-02-24T00:03:25.9Z".parse().unwrap();
        assert_eq!(
            standalone_name("matmul_v2", Mode::Benchmark, &stamp(time)),
            "matmul_v2.afterhours_benchmark.20260224T000325Z.txt"
        );
        assert_eq!(standalone_name("k", Mode::Test, "try-2.1"), "k.afterhours_test.try-2.1.txt");
    }

    #[test]
    fn a_tag_cannot_lead_elsewhere() {
        assert_eq!(standalone_name("k", Mode::Test, "../../etc/x y"), "k.afterhours_test.-.-..-etc-x-y.txt");
        assert_eq!(standalone_name("", Mode::Test, ""), "-.afterhours_test.-.txt");
    }

    proptest! {
        #[test]
        fn every_name_is_one_short_part_of_a_path(stem: String, tag: String) {
            let name = standalone_name(&stem, Mode::Benchmark, &tag);
            prop_assert!(name.len() <= 255 && !name.contains(char::is_control));
            let parts: Vec<_> = Path::new(&name).components().collect();
            prop_assert_eq!(parts, [Component::Normal(name.as_ref())]);
        }
    }
}
