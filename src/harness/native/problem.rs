//! What a `harness.toml` means: every expression worked out, every mistake found before anything runs.

use std::collections::BTreeSet;
use std::path::Path;

use super::dtype::Dtype;
use super::expr::{Sizes, eval};
use super::spec::{Arg, BufferArg, Case, Content};
use super::toml_file::{ArgEntry, ArgRole, CaseEntry, Compile, Distribution, HarnessFile, Tolerance};
use crate::harness::HarnessError;
use crate::harness::open::bad;

/// Bytes of a case's buffers together with the reference's doubles.
const MAX_CASE_BYTES: usize = 2 << 30;

/// The problem that kernels solve.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) name: String,
    pub(super) entry: String,
    pub(super) reference: String,
    pub(super) compile: Compile,
    pub(super) tolerance: Tolerance,
    pub(super) params: Vec<Param>,
    pub(super) cases: Vec<Case>,
}

/// A parameter of the C prototype.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Param {
    pub(super) name: String,
    pub(super) kind: ParamKind,
}

/// What a parameter is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ParamKind {
    Buffer { dtype: Dtype, shape: Vec<String>, content: Content },
    Size { value: String },
}

impl Problem {
    /// Reads the text of the harness at `path`, which the errors name.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Self, HarnessError> {
        let text = std::str::from_utf8(text).map_err(|_| bad(path, "is not UTF-8 text"))?;
        let file: HarnessFile = toml::from_str(text).map_err(|error| bad(path, error.to_string().trim_end()))?;
        resolve(file).map_err(|message| bad(path, message))
    }
}

fn resolve(file: HarnessFile) -> Result<Problem, String> {
    if file.name.trim().is_empty() {
        return Err("name is empty; give the problem a name".to_owned());
    }
    if !is_identifier(&file.entry) {
        return Err(format!("entry {:?} is not a C identifier; name the kernel's function", file.entry));
    }
    if file.compile.cc.is_empty() {
        return Err("compile.cc is empty; name a C compiler, such as \"cc\"".to_owned());
    }
    check_tolerance(file.tolerance)?;
    check_unique("args: name", file.args.iter().map(|arg| arg.name.as_str()))?;
    let params = file.args.into_iter().map(param).collect::<Result<Vec<_>, _>>()?;
    let is_output = |param: &Param| matches!(param.kind, ParamKind::Buffer { content: Content::Output, .. });
    if !params.iter().any(is_output) {
        return Err("args has no buffer with role = \"out\"; a kernel without output cannot be checked".to_owned());
    }
    if file.cases.is_empty() {
        return Err("cases is empty; add a [[cases]] with an id and its sizes".to_owned());
    }
    check_unique("cases: id", file.cases.iter().map(|case| case.id.as_str()))?;
    let cases = file.cases.into_iter().map(|entry| case(entry, &params)).collect::<Result<Vec<_>, _>>()?;
    Ok(Problem {
        name: file.name,
        entry: file.entry,
        reference: file.reference,
        compile: file.compile,
        tolerance: file.tolerance,
        params,
        cases,
    })
}

fn check_tolerance(tolerance: Tolerance) -> Result<(), String> {
    for (key, value) in [("rtol", tolerance.rtol), ("atol", tolerance.atol)] {
        if !value.is_finite() || value < 0.0 {
            return Err(format!("tolerance.{key} is {value}; it must be finite and not below zero"));
        }
    }
    Ok(())
}

fn check_unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{what} {name:?} occurs twice; give each its own"));
        }
    }
    Ok(())
}

fn param(entry: ArgEntry) -> Result<Param, String> {
    let name = entry.name;
    if !is_identifier(&name) {
        return Err(format!("args: name {name:?} is not a C identifier"));
    }
    let kind = match (entry.role, entry.dtype, entry.shape, entry.distribution, entry.value) {
        (ArgRole::Size, None, None, None, Some(value)) => ParamKind::Size { value },
        (ArgRole::Size, ..) => {
            return Err(format!("args.{name}: a size has a value and nothing else, such as value = \"n\""));
        }
        (ArgRole::In, Some(dtype), Some(shape), Some(distribution), None) => {
            check_distribution(dtype, distribution)
                .map_err(|message| format!("args.{name}.distribution: {message}"))?;
            ParamKind::Buffer { dtype, shape, content: Content::Input(distribution) }
        }
        (ArgRole::In, ..) => {
            return Err(format!("args.{name}: an input has a dtype, a shape and a distribution, and no value"));
        }
        (ArgRole::Out, Some(dtype), Some(shape), None, None) => {
            ParamKind::Buffer { dtype, shape, content: Content::Output }
        }
        (ArgRole::Out, ..) => {
            return Err(format!("args.{name}: an output has a dtype and a shape, and neither distribution nor value"));
        }
    };
    Ok(Param { name, kind })
}

fn check_distribution(dtype: Dtype, distribution: Distribution) -> Result<(), String> {
    match (distribution, dtype.integer_range()) {
        (Distribution::Uniform { low, high }, Some((least, most))) => {
            let fine = low.fract() == 0.0 && high.fract() == 0.0 && least <= low && low <= high && high <= most;
            if fine { Ok(()) } else { Err(format!("low and high must be integers from {least} to {most}, low first")) }
        }
        (Distribution::Uniform { low, high }, None) => {
            let fine = low.is_finite() && high.is_finite() && low < high;
            if fine { Ok(()) } else { Err("low and high must be finite, low below high".to_owned()) }
        }
        (Distribution::Normal { .. }, Some(_)) => Err("integer elements can only be uniform".to_owned()),
        (Distribution::Normal { mean, std }, None) => {
            let fine = mean.is_finite() && std.is_finite() && std > 0.0;
            if fine { Ok(()) } else { Err("mean and std must be finite, std above zero".to_owned()) }
        }
    }
}

fn case(entry: CaseEntry, params: &[Param]) -> Result<Case, String> {
    if entry.id.trim().is_empty() {
        return Err("cases: an id is empty; name the case".to_owned());
    }
    let mut bytes: usize = 0;
    let mut args = Vec::with_capacity(params.len());
    for param in params {
        let at = |message: String| format!("args.{} in case {:?}: {message}", param.name, entry.id);
        args.push(match &param.kind {
            ParamKind::Size { value } => Arg::Size(size(value, &entry.sizes).map_err(at)?),
            ParamKind::Buffer { dtype, shape, content } => {
                let len = length(shape, &entry.sizes).map_err(at)?;
                bytes = len
                    .checked_mul(dtype.size() + size_of::<f64>())
                    .and_then(|more| bytes.checked_add(more))
                    .filter(|bytes| *bytes <= MAX_CASE_BYTES)
                    .ok_or_else(|| at(format!("the case needs more than {MAX_CASE_BYTES} bytes; use smaller sizes")))?;
                Arg::Buffer(BufferArg { name: param.name.clone(), dtype: *dtype, len, content: *content })
            }
        });
    }
    Ok(Case { id: entry.id, sizes: entry.sizes, args })
}

fn size(value: &str, sizes: &Sizes) -> Result<i32, String> {
    let number = eval(value, sizes).map_err(|error| format!("value {value:?}: {error}"))?;
    i32::try_from(number).map_err(|_| format!("value {value:?} is {number}, which does not fit into an int"))
}

fn length(shape: &[String], sizes: &Sizes) -> Result<usize, String> {
    if shape.is_empty() {
        return Err("shape is empty; a single element is [\"1\"]".to_owned());
    }
    shape.iter().try_fold(1usize, |len, text| {
        let extent = eval(text, sizes).map_err(|error| format!("shape {text:?}: {error}"))?;
        usize::try_from(extent)
            .ok()
            .filter(|extent| *extent > 0)
            .ok_or_else(|| format!("shape {text:?} is {extent}; it must be above zero"))
            .and_then(|extent| len.checked_mul(extent).ok_or_else(|| format!("shape {text:?}: too many elements")))
    })
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "scale"
entry = "scale"
reference = "reference.c"
[compile]
cc = "cc"
flags = ["-O2"]
[tolerance]
rtol = 1e-5
atol = 1e-6
[[args]]
name = "x"
role = "in"
dtype = "f32"
shape = ["n", "2*n"]
distribution = { kind = "normal", mean = 0.0, std = 1.0 }
[[args]]
name = "y"
role = "out"
dtype = "u8"
shape = ["n"]
[[args]]
name = "n"
role = "size"
value = "n"
[[cases]]
id = "small"
sizes = { n = 4 }
"#;

    fn parse(text: &str) -> Result<Problem, HarnessError> {
        Problem::parse(Path::new("/k/harness.toml"), text.as_bytes())
    }

    #[test]
    fn expressions_are_worked_out_for_each_case() {
        let problem = parse(GOOD).unwrap();
        let lens: Vec<usize> = problem.cases[0]
            .args
            .iter()
            .map(|arg| match arg {
                Arg::Buffer(buffer) => buffer.len,
                Arg::Size(size) => usize::try_from(*size).unwrap(),
            })
            .collect();
        assert_eq!(lens, [32, 4, 4]);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let table = [
            ("cc = \"cc\"", "cc = \"cc\"\nlto = true", "unknown field `lto`"),
            ("entry = \"scale\"", "", "missing field `entry`"),
            ("entry = \"scale\"", "entry = \"scale(); evil\"", "not a C identifier"),
            ("cc = \"cc\"", "cc = \"\"", "compile.cc is empty"),
            ("rtol = 1e-5", "rtol = -1.0", "tolerance.rtol is -1"),
            ("rtol = 1e-5", "rtol = nan", "tolerance.rtol is NaN"),
            ("name = \"y\"", "name = \"x\"", "\"x\" occurs twice"),
            ("role = \"out\"", "role = \"inout\"", "unknown variant `inout`"),
            ("dtype = \"u8\"", "dtype = \"f16\"", "unknown variant `f16`"),
            ("dtype = \"u8\"", "", "args.y: an output has a dtype"),
            ("kind = \"normal\", mean = 0.0, std = 1.0", "kind = \"normal\", mean = 0.0, std = 0.0", "std above zero"),
            ("kind = \"normal\", mean = 0.0, std = 1.0", "kind = \"uniform\", low = 1.0, high = 1.0", "low below high"),
            ("kind = \"normal\", mean = 0.0, std = 1.0", "kind = \"zeros\"", "unknown variant `zeros`"),
            ("dtype = \"f32\"", "dtype = \"i32\"", "integer elements can only be uniform"),
            ("shape = [\"n\", \"2*n\"]", "shape = []", "shape is empty"),
            ("shape = [\"n\", \"2*n\"]", "shape = [\"k\"]", "no size is called \"k\"; the case has n"),
            ("shape = [\"n\", \"2*n\"]", "shape = [\"n-4\"]", "is 0; it must be above zero"),
            ("sizes = { n = 4 }", "sizes = { n = 400000 }", "needs more than"),
            ("sizes = { n = 4 }", "sizes = { n = 9223372036854775807 }", "does not fit into 64 bits"),
            ("value = \"n\"", "value = \"n*1000000000\"", "does not fit into an int"),
            ("value = \"n\"", "value = \"n\"\ndtype = \"f32\"", "a size has a value and nothing else"),
            ("sizes = { n = 4 }", "sizes = { n = 4.5 }", "invalid type"),
            ("id = \"small\"", "id = \"\"", "an id is empty"),
            ("[[cases]]\nid = \"small\"\nsizes = { n = 4 }", "", "missing field `cases`"),
        ];
        for (from, to, expected) in table {
            assert!(GOOD.contains(from), "{from}");
            let message = parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("/k/harness.toml"), "{to}: {message}");
        }
    }

    #[test]
    fn no_case_two_cases_of_one_name_and_no_output_are_refused() {
        let (head, _) = GOOD.split_once("[[cases]]").unwrap();
        let none = format!("cases = []\n{head}");
        assert!(parse(&none).unwrap_err().to_string().contains("cases is empty"));
        let twice = format!("{GOOD}\n[[cases]]\nid = \"small\"\nsizes = {{ n = 5 }}");
        assert!(parse(&twice).unwrap_err().to_string().contains("\"small\" occurs twice"));
        let (start, rest) = GOOD.split_once("[[args]]\nname = \"y\"").unwrap();
        let (_, end) = rest.split_once("[[args]]").unwrap();
        assert!(parse(&format!("{start}[[args]]{end}")).unwrap_err().to_string().contains("no buffer with role"));
    }

    #[test]
    fn what_is_not_toml_or_not_text_is_refused() {
        assert!(parse("name = ").unwrap_err().to_string().contains("line 1"));
        let error = Problem::parse(Path::new("h.toml"), &[0xff, 0xfe]).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"));
    }
}
