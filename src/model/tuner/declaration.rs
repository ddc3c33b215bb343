//! A tunable's declaration: one line of a kernel, `code // tune: values`.

use std::ops::Range;

/// What one line declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    /// Where the current value stands, in bytes of the line.
    pub(super) hole: Range<usize>,
    /// The allowed values in the order of the comment, each once.
    pub(super) values: Vec<String>,
    /// The current value's place among them.
    pub(super) current: usize,
}

impl Declaration {
    /// Returns what `line`, given without its line ending, declares.
    ///
    /// A line declares nothing where its current value is none of the listed ones, or where they leave no choice.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let found = Self::read(line)?;
        // A value must be found again where it was put: one that runs into the token before it would not be.
        let (before, after) = (line.get(..found.hole.start)?, line.get(found.hole.end..)?);
        let lasting = |value: &String| {
            Self::read(&format!("{before}{value}{after}")).is_some_and(|again| {
                again.hole.start == found.hole.start && again.values.get(again.current) == Some(value)
            })
        };
        let current = found.values.get(found.current)?.clone();
        let values: Vec<String> = found.values.into_iter().filter(lasting).collect();
        let current = values.iter().position(|value| *value == current)?;
        (values.len() > 1).then_some(Self { hole: found.hole, values, current })
    }

    fn read(line: &str) -> Option<Self> {
        let (code, list) = split(line)?;
        let mut values: Vec<String> = Vec::new();
        for value in list.split([' ', '\t', ',']).filter(|value| !value.is_empty()) {
            if !values.iter().any(|known| known == value) {
                values.push(value.to_owned());
            }
        }
        let (hole, current) = values
            .iter()
            .enumerate()
            .flat_map(|(index, value)| tokens(code, value).map(move |hole| (hole, index)))
            .max_by_key(|(hole, _)| (hole.end, hole.len()))?;
        Some(Self { hole, values, current })
    }
}

/// Splits a line into its code and the list of a comment that begins with `tune:`.
fn split(line: &str) -> Option<(&str, &str)> {
    const MARK: &str = "tune:";
    let at = line.rfind(MARK)?;
    let before = line.get(..at)?.trim_end();
    let list = line.get(at + MARK.len()..)?;
    let (code, list, comment) = if before.ends_with("//") {
        (before.trim_end_matches('/'), list, "//")
    } else if before.ends_with("/*") {
        (before.strip_suffix("/*")?, list.split("*/").next()?, "/*")
    } else if before.ends_with('#') {
        (before.trim_end_matches('#'), list, "#")
    } else {
        return None;
    };
    // In a line that is a comment as a whole there is nothing to tune. `#define` begins one only where `#` does so.
    let whole = code.trim_start();
    let is_comment = whole.starts_with("//") || whole.starts_with("/*") || (comment == "#" && whole.starts_with('#'));
    (!is_comment).then_some((code, list))
}

/// Returns the places in `code` where `value` stands as a token of its own.
fn tokens<'a>(code: &'a str, value: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    code.match_indices(value).map(|(start, found)| start..start + found.len()).filter(move |hole| {
        let before = code.get(..hole.start).and_then(|text| text.chars().next_back());
        let after = code.get(hole.end..).and_then(|text| text.chars().next());
        let (first, last) = (value.chars().next(), value.chars().next_back());
        !joined(before, first) && !joined(after, last)
    })
}

/// Tells whether a neighbour continues the token that has `edge` at its end: a letter after a letter, a point after a digit.
fn joined(neighbour: Option<char>, edge: Option<char>) -> bool {
    let (Some(neighbour), Some(edge)) = (neighbour, edge) else { return false };
    let word = |c: char| c.is_alphanumeric() || c == '_';
    (word(neighbour) && word(edge)) || (neighbour == '.' && edge.is_ascii_digit())
}

/// Returns the name of what the value at the end of `code` is given to, as a person would say it.
pub(super) fn name_of(code: &str) -> Option<&str> {
    let target = code.rsplit_once('=').map_or(code, |(target, _)| target);
    // An annotation is no name: `TILE: int = 8` sets TILE. `std::size_t N = 8` has no annotation.
    let annotated = target.char_indices().find(|(at, c)| {
        let next = target.get(at + 1..).is_some_and(|rest| rest.starts_with(':'));
        let previous = target.get(..*at).is_some_and(|rest| rest.ends_with(':'));
        *c == ':' && !next && !previous
    });
    let target = annotated.and_then(|(at, _)| target.get(..at)).unwrap_or(target);
    target
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .rfind(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// Returns a value as a number, where it is one: decimal, hexadecimal or binary, with C's suffixes.
pub(super) fn number(value: &str) -> Option<f64> {
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, value),
    };
    let lower = digits.to_ascii_lowercase().replace(['_', '\''], "");
    let radix =
        [("0x", 16), ("0b", 2)].into_iter().find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)));
    let magnitude = match radix {
        Some((digits, radix)) => u64::from_str_radix(digits.trim_end_matches(['u', 'l']), radix).ok()? as f64,
        None if lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            lower.trim_end_matches(['u', 'l', 'f']).parse::<f64>().ok()?
        }
        None => return None,
    };
    Some(sign * magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the value's place marked by brackets, and the values.
    fn shown(line: &str) -> Option<(String, String)> {
        let found = Declaration::parse(line)?;
        let mut marked = line.to_owned();
        marked.insert(found.hole.end, ']');
        marked.insert(found.hole.start, '[');
        let code = marked.split("tune:").next().unwrap().trim_end_matches(['/', '*', '#', ' ', '\t']);
        Some((code.to_owned(), found.values.join("|")))
    }

    #[test]
    fn lines_declare_their_last_matching_token() {
        let table = [
            ("#define TILE 8 // tune: 8 16 32 64", "#define TILE [8]", "8|16|32|64"),
            ("#define TILE 8 /* tune: 8, 16,32 */", "#define TILE [8]", "8|16|32"),
            ("TILE = 8  # tune: 8 16 32", "TILE = [8]", "8|16|32"),
            ("TILE = 8#tune:8,16", "TILE = [8]", "8|16"),
            ("\tconstexpr int TILE = 8; //   tune:\t8   16", "\tconstexpr int TILE = [8];", "8|16"),
            ("#define MASK 0x0F // tune: 0x0F 0xFF", "#define MASK [0x0F]", "0x0F|0xFF"),
            ("float eps = 1e-5f; // tune: 1e-5f 1e-3f", "float eps = [1e-5f];", "1e-5f|1e-3f"),
            ("x = 0.5 # tune: 0.5 5", "x = [0.5]", "0.5|5"),
            ("x = -8 # tune: -8 8", "x = [-8]", "-8|8"),
            ("int a = 8, b = 16; // tune: 8 16", "int a = 8, b = [16];", "8|16"),
            ("int a = 8 /* tune: 8 16 */, b = 4;", "int a = [8]", "8|16"),
            ("dtype = torch.float16 # tune: float16 bfloat16", "dtype = torch.[float16]", "float16|bfloat16"),
            ("mode = \"row\" # tune: \"row\" \"col\"", "mode = [\"row\"]", "\"row\"|\"col\""),
            ("#pragma unroll 4 // tune: 1 2 4 4 2", "#pragma unroll [4]", "1|2|4"),
            ("größe = 8 # tune: 8 16", "größe = [8]", "8|16"),
        ];
        for (line, code, values) in table {
            assert_eq!(shown(line), Some((code.to_owned(), values.to_owned())), "{line}");
        }
    }

    #[test]
    fn lines_without_a_choice_declare_nothing() {
        let table = [
            "",
            "tune: 8 16",
            "x = 8",
            "x = 8 // tune",
            "x = 8 // tune:",
            "x = 8 // tune: 8",
            "x = 8 // tune: 8 8",
            "x = 12 // tune: 8 16",
            "x = 18 // tune: 8 16",
            "x = 8.0 // tune: 8 16",
            "x = 0x8 // tune: 8 16",
            "x = 8u // tune: 8 16",
            "x8 = y // tune: 8 16",
            "x = 8 tune: 8 16",
            "// x = 8 // tune: 8 16",
            "# x = 8 # tune: 8 16",
            "/* x = 8 // tune: 8 16",
            "x = \"finetune: 8 16\"",
        ];
        for line in table {
            assert_eq!(Declaration::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_value_that_would_not_be_found_again_is_no_choice() {
        // `m-1` would become the name `m3`.
        let found = Declaration::parse("n = m-1; // tune: -1 3 -2").unwrap();
        assert_eq!((found.values, found.current), (vec!["-1".to_owned(), "-2".to_owned()], 0));
    }

    #[test]
    fn names_are_what_the_value_is_given_to() {
        let table = [
            ("#define TILE ", Some("TILE")),
            ("constexpr std::size_t TILE = ", Some("TILE")),
            ("TILE: int = ", Some("TILE")),
            ("BLOCK: tl.constexpr = ", Some("BLOCK")),
            ("  \"tile\": ", Some("tile")),
            ("#pragma unroll ", Some("unroll")),
            ("  ", None),
        ];
        for (code, name) in table {
            assert_eq!(name_of(code), name, "{code}");
        }
    }

    #[test]
    fn numbers_are_read_in_every_spelling() {
        let table = [
            ("8", Some(8.0)),
            ("-8", Some(-8.0)),
            ("0x1F", Some(31.0)),
            ("0b101u", Some(5.0)),
            ("1'024ul", Some(1024.0)),
            ("1_024", Some(1024.0)),
            ("1e-3f", Some(0.001)),
            (".5", Some(0.5)),
            ("inf", None),
            ("nan", None),
            ("true", None),
            ("8x", None),
            ("", None),
            ("-", None),
        ];
        for (value, expected) in table {
            assert_eq!(number(value), expected, "{value}");
        }
    }
}
