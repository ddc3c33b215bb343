//! The workspace: the kernel file in its git repository, and the branch that gathers a run's improvements.
//!
//! Two things of the user's are ever written: the kernel file, and `refs/heads/agent/<run-id>` with its objects and reflog.
//! HEAD, the index, the stash, the configuration and every other file stay byte for byte as they were. Hooks, filters and
//! commit signing never run, so that the committed text is the measured text.

mod error;
mod text;
mod file;
mod diff;
mod tree;
mod open;
mod commit;

pub use commit::*;
pub use diff::*;
pub use error::*;
pub use open::*;
pub use text::*;
