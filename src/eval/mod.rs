//! Evals: real sessions over real repositories, with scripted replies and scripted measurements, held against what is
//! expected of them.
//!
//! Only the model and the runner are stand-ins. Gate, journal, artifacts, statistics and commits are those of every run, and
//! after each scenario the promises of every run are checked, whatever the scenario itself expects.

mod error;
mod text;
mod condensed;
mod measurement;
mod scripted;
mod expected;
mod scenario;
mod stage;
mod compare;
mod invariants;
mod watch;
mod play;
mod results;
mod tape;
mod record;

pub use error::EvalError;
pub use play::{ExitCode, play};
pub use record::record;
pub use results::{Outcome, Results};
pub use scenario::{Scenario, find};
