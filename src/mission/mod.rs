//! The mission: what to optimise, how far, at what price, and the prompt that says so.
//!
//! A mission is a Markdown file with YAML front matter; its body is the prompt, in which `<name>` is a variable. Everything
//! here is pure text to value, but for reading the file itself and the files that a deploy step watches.

mod error;
mod document;
mod keys;
mod choice;
mod units;
mod slurm;
mod front;
mod settings;
mod profiles;
mod variables;
mod parse;
mod deploy;

pub use choice::*;
pub use deploy::*;
pub use error::*;
pub use parse::*;
pub use slurm::SlurmSettings;
