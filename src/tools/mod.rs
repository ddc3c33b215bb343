//! The tools: their arguments, the registry that checks a call, and what each does.

mod args;
mod edit;
mod judge;
mod measure;
mod pairs;
mod read;
mod record;
mod registry;

pub use args::*;
pub use edit::*;
pub use judge::*;
pub use measure::*;
pub use pairs::*;
pub use read::*;
pub use record::*;
pub use registry::*;
