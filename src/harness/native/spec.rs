//! What the worker is told: `spec.json` in the stage, and the secrets on its standard input.

use std::ffi::c_longlong;

use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::expr::Sizes;
use super::toml_file::{Distribution, Tolerance};

/// The open part: a kernel may read it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) harness: String,
    pub(super) target: Target,
    /// The kernel's function.
    pub(super) entry: String,
    pub(super) tolerance: Tolerance,
    /// More functions that the kernel may call.
    pub(super) imports: Vec<String>,
    /// Timed calls of each stage.
    pub(super) stage_repeats: Vec<u32>,
    /// Microseconds.
    pub(super) early_stop_us: Option<f64>,
    /// After how many timed calls the block beside this one has its turn.
    pub(super) turn_calls: Option<usize>,
    pub(super) cases: Vec<Case>,
}

/// What the kernel is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// C, for the host's processor.
    Host,
    /// CUDA, for the first device that the driver shows.
    Cuda,
}

/// A case whose expressions have been worked out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) id: String,
    /// As the harness names them.
    pub(super) sizes: Sizes,
    /// In the order of the prototype.
    pub(super) args: Vec<Arg>,
}

/// One argument of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Arg {
    Buffer(BufferArg),
    Size(i32),
}

/// A buffer of `len` elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BufferArg {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) len: usize,
    pub(super) content: Content,
}

impl Case {
    pub(super) fn buffers(&self) -> impl Iterator<Item = &BufferArg> {
        self.args.iter().filter_map(|arg| match arg {
            Arg::Buffer(arg) => Some(arg),
            Arg::Size(_) => None,
        })
    }

    /// Returns the sizes that a call takes, as the shims do.
    pub(super) fn integers(&self) -> Vec<c_longlong> {
        let integer = |arg: &Arg| match arg {
            Arg::Size(size) => Some(c_longlong::from(*size)),
            Arg::Buffer(_) => None,
        };
        self.args.iter().filter_map(integer).collect()
    }
}

impl BufferArg {
    pub(super) fn bytes(&self) -> usize {
        self.len.saturating_mul(self.dtype.size())
    }
}

/// What a buffer holds before a call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    /// Random elements that the kernel may only read.
    Input(Distribution),
    /// Poison that the kernel overwrites.
    Output,
}

/// The part that only the worker may know, and only in memory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Secrets {
    /// The block's inputs follow from it.
    pub(super) seed: u64,
    /// Echoed in the result.
    pub(super) nonce: String,
}
