//! The text of `harness.toml`, as it is written. What it means is resolved in `problem`.

use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::expr::Sizes;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HarnessFile {
    pub(super) name: String,
    /// The C function that the kernel defines.
    pub(super) entry: String,
    /// The file with the oracle, beside this one.
    pub(super) reference: String,
    pub(super) compile: Compile,
    pub(super) tolerance: Tolerance,
    /// In the order of the C prototype.
    pub(super) args: Vec<ArgEntry>,
    pub(super) cases: Vec<CaseEntry>,
}

/// How the kernel is compiled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compile {
    pub(super) cc: String,
    #[serde(default)]
    pub(super) flags: Vec<String>,
    /// Functions of libraries that the kernel may call beside those that compute.
    #[serde(default)]
    pub(super) imports: Vec<String>,
}

/// An element is right where it differs from the reference by at most `atol + rtol * |reference|`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tolerance {
    pub(super) rtol: f64,
    pub(super) atol: f64,
}

/// What an argument is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ArgRole {
    In,
    Out,
    Size,
}

/// An argument: a buffer has `dtype` and `shape`, an input also its `distribution`; a size has `value` alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArgEntry {
    pub(super) name: String,
    pub(super) role: ArgRole,
    pub(super) dtype: Option<Dtype>,
    pub(super) shape: Option<Vec<String>>,
    pub(super) distribution: Option<Distribution>,
    pub(super) value: Option<String>,
}

/// Where an input's elements come from. For integer types: uniform, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Distribution {
    Uniform { low: f64, high: f64 },
    Normal { mean: f64, std: f64 },
}

/// One problem size.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseEntry {
    pub(super) id: String,
    pub(super) sizes: Sizes,
}
