//! What the benches share: a session over a real repository whose measurements are canned and whose model is a script,
//! and the quantiles of what they time.
#![allow(dead_code, unreachable_pub, reason = "each bench uses a part")]

pub mod canned;
pub mod sample;
pub mod night;
pub mod script;
pub mod stage;
pub mod talker;
pub mod tally;

/// Whatever went wrong: a bench has nobody to explain it to but its reader.
pub type Failed = Box<dyn std::error::Error>;
