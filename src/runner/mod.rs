//! Runners: where a job runs.

mod api;

pub use api::*;
