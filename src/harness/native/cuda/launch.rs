//! The launch line of a CUDA text: `// launch: grid = ceil_div(n, BLOCK), block = BLOCK, shared = 0`.

use thiserror::Error;

use crate::harness::native::expr::{Sizes, eval};

/// The most threads of a block, and the most in each direction: no CUDA device has had more.
const MAX_THREADS: u64 = 1024;
const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
/// The most blocks in each direction.
const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];
/// More dynamic shared memory than any device has, in bytes; what this device has is asked of it.
const MAX_SHARED: u32 = 1 << 20;

/// Why a text cannot be launched.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum LaunchError {
    #[error(
        "the text has no launch line; add one, such as `// launch: grid = ceil_div(n, 256), block = 256, shared = 0`"
    )]
    Missing,
    #[error("line {second}: the text has a launch line already, in line {first}; keep one")]
    Twice { first: usize, second: usize },
    #[error("line {line}: launch: {message}")]
    Malformed { line: usize, message: String },
    #[error("line {line}: launch, in case {case:?}: {message}")]
    Impossible { line: usize, case: String, message: String },
}

/// What a text says of its launch, before a case's sizes are known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Launch {
    line: usize,
    grid: Vec<String>,
    block: Vec<String>,
    shared: String,
    /// The macros of the text that may be numbers, in their order.
    macros: Vec<(String, String)>,
}

/// A launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    /// Dynamic shared memory of a block, in bytes.
    pub(super) shared: u32,
}

impl Geometry {
    /// Returns the threads of a block.
    pub(super) fn threads(&self) -> u32 {
        self.block.iter().fold(1, |threads, extent| threads.saturating_mul(*extent))
    }
}

impl Launch {
    /// Reads the launch line of a text.
    pub(super) fn parse(text: &str) -> Result<Self, LaunchError> {
        let mut lines = (1..).zip(text.lines()).filter_map(|(number, line)| Some((number, declaration(line)?)));
        let (line, body) = lines.next().ok_or(LaunchError::Missing)?;
        if let Some((second, _)) = lines.next() {
            return Err(LaunchError::Twice { first: line, second });
        }
        let malformed = |message| LaunchError::Malformed { line, message };
        let (mut grid, mut block, mut shared) = (None, None, None);
        for entry in split(body).map_err(malformed)? {
            let (key, value) = entry
                .split_once('=')
                .ok_or_else(|| malformed(format!("{entry:?} is not KEY = VALUE; keys are grid, block and shared")))?;
            let place = match key.trim() {
                "grid" => &mut grid,
                "block" => &mut block,
                "shared" => &mut shared,
                key => return Err(malformed(format!("unknown key {key:?}; known are grid, block and shared"))),
            };
            if place.replace(extents(value.trim()).map_err(malformed)?).is_some() {
                return Err(malformed(format!("{} occurs twice; keep one", key.trim())));
            }
        }
        let needed =
            |place: Option<_>, key| place.ok_or_else(|| malformed(format!("{key} is missing; add `{key} = …`")));
        let shared = match shared.unwrap_or_else(|| vec!["0".to_owned()]).as_slice() {
            [shared] => shared.clone(),
            _ => return Err(malformed("shared is one value, in bytes".to_owned())),
        };
        Ok(Self { line, grid: needed(grid, "grid")?, block: needed(block, "block")?, shared, macros: macros(text) })
    }

    /// Works out the launch for the sizes of the case called `case`.
    pub(super) fn geometry(&self, case: &str, sizes: &Sizes) -> Result<Geometry, LaunchError> {
        let impossible = |message| LaunchError::Impossible { line: self.line, case: case.to_owned(), message };
        let known = self.known(sizes);
        let grid = dimensions("grid", &self.grid, MAX_GRID, &known).map_err(impossible)?;
        let block = dimensions("block", &self.block, MAX_BLOCK, &known).map_err(impossible)?;
        let threads: u64 = block.iter().map(|extent| u64::from(*extent)).product();
        if threads > MAX_THREADS {
            return Err(impossible(format!("block has {threads} threads; the most are {MAX_THREADS}")));
        }
        let shared = number("shared", &self.shared, 0, MAX_SHARED, &known).map_err(impossible)?;
        Ok(Geometry { grid, block, shared })
    }

    /// Returns the sizes, and the macros that are numbers. A size hides a macro of its name; a macro that has two values is
    /// none, since what the compiler makes of its conditions is not known here.
    fn known(&self, sizes: &Sizes) -> Sizes {
        let mut known = sizes.clone();
        for (name, text) in &self.macros {
            let is_one = self.macros.iter().filter(|(other, _)| other == name).count() == 1;
            if is_one && let Ok(value) = eval(text, &known) {
                known.entry(name.clone()).or_insert(value);
            }
        }
        known
    }
}

/// Returns what a line declares, where it is a launch line.
fn declaration(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//")?.trim_start().strip_prefix("launch:")
}

/// Splits a text at the commas that no parenthesis holds.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a ')' has no '('")?,
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("a '(' has no ')'".to_owned());
    }
    parts.push(text.get(start..).unwrap_or_default().trim());
    Ok(parts)
}

/// Returns the one to three expressions of a value: `256`, `(ceil_div(n, 16), 4)`.
fn extents(value: &str) -> Result<Vec<String>, String> {
    let inner = value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    // `(a + b) * (c + d)` begins and ends with parentheses that are not a pair.
    let parts = match inner.map(split) {
        Some(Ok(parts)) => parts,
        Some(Err(_)) | None => vec![value],
    };
    if parts.len() > 3 {
        return Err(format!("{value:?} has {} dimensions; there are three", parts.len()));
    }
    Ok(parts.into_iter().map(str::to_owned).collect())
}

/// Returns the object-like macros of a text whose values may be numbers.
fn macros(text: &str) -> Vec<(String, String)> {
    let defined = |line: &str| {
        let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("define")?;
        let (name, value) = rest.strip_prefix([' ', '\t'])?.trim_start().split_once([' ', '\t'])?;
        let value = value.split("//").next().unwrap_or_default().split("/*").next().unwrap_or_default();
        Some((name.to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(defined).collect()
}

fn dimensions(key: &str, texts: &[String], most: [u32; 3], known: &Sizes) -> Result<[u32; 3], String> {
    let mut extents = [1; 3];
    for ((extent, text), most) in extents.iter_mut().zip(texts).zip(most) {
        *extent = number(key, text, 1, most, known)?;
    }
    Ok(extents)
}

fn number(key: &str, text: &str, least: u32, most: u32, known: &Sizes) -> Result<u32, String> {
    let value = eval(text, known).map_err(|error| format!("{key} {text:?}: {error}"))?;
    u32::try_from(value)
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| format!("{key} {text:?} is {value}; it must be from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(text: &str) -> Result<Geometry, String> {
        let sizes = Sizes::from([("n".to_owned(), 1000), ("rows".to_owned(), 7)]);
        let launch = Launch::parse(text).map_err(|error| error.to_string())?;
        launch.geometry("big", &sizes).map_err(|error| error.to_string())
    }

    #[test]
    fn dimensions_are_expressions_over_the_sizes() {
        let found = geometry("// launch: grid = (ceil_div(n, 32), rows), block = (32, 8), shared = 4*32*8").unwrap();
        assert_eq!(found, Geometry { grid: [32, 7, 1], block: [32, 8, 1], shared: 1024 });
        let one = Geometry { grid: [4, 1, 1], block: [256, 1, 1], shared: 0 };
        assert_eq!(geometry("  //launch: block=256,grid=(ceil_div(n, 256))\nrest"), Ok(one));
        let product = geometry("// launch: grid = (rows + 1) * (rows - 1), block = 1").unwrap();
        assert_eq!(product.grid, [48, 1, 1]);
    }

    #[test]
    fn macros_of_the_text_are_names_too_so_that_one_edit_changes_both() {
        let text = "#define BLOCK 128 // tune: 64 128\n# define TILE (BLOCK / 4)\n#define NAME x\n#define F(a) 2\n\
                    #define n 5\n// launch: grid = ceil_div(n, TILE), block = BLOCK\n";
        assert_eq!(geometry(text), Ok(Geometry { grid: [32, 1, 1], block: [128, 1, 1], shared: 0 }));
        let twice = "#if A\n#define T 1\n#else\n#define T 2\n#endif\n// launch: grid = T, block = 1";
        assert!(geometry(twice).unwrap_err().contains("no size is called \"T\""));
    }

    #[test]
    fn what_cannot_be_launched_is_named_with_its_line_and_its_case() {
        let table = [
            ("void f() {}", "no launch line; add one, such as `// launch: grid"),
            ("// launch: grid = 1, block = 1\n\n// launch: grid = 1, block = 1", "line 3: the text has a launch line"),
            ("\n// launch: grid = 1", "line 2: launch: block is missing"),
            ("// launch:", "\"\" is not KEY = VALUE"),
            ("// launch: grid = 1, block = 1, cluster = 2", "unknown key \"cluster\""),
            ("// launch: grid = 1, block = 1, grid = 2", "grid occurs twice"),
            ("// launch: grid = (1, 1, 1, 1), block = 1", "4 dimensions; there are three"),
            ("// launch: grid = (1, block = 1", "'(' has no ')'"),
            ("// launch: grid = 1), block = 1", "')' has no '('"),
            ("// launch: grid = 1, block = 1, shared = (1, 2)", "shared is one value"),
            ("// launch: grid = m, block = 1", "in case \"big\": grid \"m\": no size is called \"m\""),
            ("// launch: grid = n - 1000, block = 1", "grid \"n - 1000\" is 0; it must be from 1 to 2147483647"),
            ("// launch: grid = (1, 65536), block = 1", "is 65536; it must be from 1 to 65535"),
            ("// launch: grid = 1, block = 1025", "is 1025; it must be from 1 to 1024"),
            ("// launch: grid = 1, block = (1, 1, 65)", "is 65; it must be from 1 to 64"),
            ("// launch: grid = 1, block = (32, 33)", "block has 1056 threads; the most are 1024"),
            ("// launch: grid = 1, block = 1, shared = 2097152", "shared \"2097152\" is 2097152"),
            ("// launch: grid = 1, block = 1, shared = 0 - 1", "is -1; it must be from 0"),
        ];
        for (text, expected) in table {
            let message = geometry(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn hostile_texts_end_in_an_error() {
        for body in ["(((((", ")(", ",,,,", "=", "grid=(((1))),block=(((,)))", "grid = é, block = \u{0}"] {
            assert!(geometry(&format!("// launch: {body}")).is_err(), "{body}");
        }
        assert!(geometry(&format!("// launch: grid = {}1, block = 1", "(".repeat(100_000))).is_err());
    }
}
