//! Artifacts: one text file a measurement, for people, for models, and for programs that read the original's format.
//!
//! ````text
//! # AFTERHOURS PyGPUBench Artifact
//! timestamp_utc: 2026-02-24T00:03:25Z
//! mode: benchmark
//! …                                       the other keys of `Header`, in their order, then our own
//!
//! ## Kernel Diff (against git_hash)
//! ```diff
//! …
//! ```
//!
//! ## runner output
//! …
//! ## stderr                               only where there was any
//! …
//! ## exit_code
//! 0
//!
//! ## json_result
//! ```json
//! {…}
//! ```
//!
//! ## Codex Analysis                       appended later, any number of times
//! timestamp_utc: …
//! decision: KEEP
//! summary: …
//! feedback: …
//! next_step: …
//! ````
//!
//! # Hostile text
//!
//! Diffs, outputs and analyses are written by kernels and models, and may contain anything, headings and fences of this
//! very format too. What is written reads back exactly, and no reader can take such text for a section:
//!
//! - In the diff and the outputs, a line that begins, after white space, with `##`, `# AFTERHOURS`, a fence of three
//!   backticks or tildes, or `(no kernel diff vs git hash)`, gets a backslash before it; so does one that has backslashes
//!   there already. To read, one backslash is taken away. Whatever Python's `str.splitlines` takes for a line's end
//!   ends a line here.
//! - After the text comes exactly one line feed, whether or not the text ends in one.
//! - A value after `key: ` that contains control characters or line breaks, begins with `"`, or begins or ends with white
//!   space, is written as a JSON string.
//! - In JSON, control characters and Unicode's line breaks, `##` and three backticks are written as `\uXXXX`.

mod error;
mod name;
mod parse;
mod render;
mod result;
mod store;
mod text;
mod types;

pub use error::{ArtifactError, ParseError};
pub use name::{stamp, standalone_name};
pub use parse::{body, parse, parse_around};
pub use render::{render, render_analysis};
pub use result::ResultObject;
pub use store::{Written, append_analysis, append_analysis_at, read, write, write_result};
pub use text::visible;
pub use types::{AnalysisEntry, Artifact, Header, Mode};
