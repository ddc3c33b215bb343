//! Runners: where a job runs.

mod api;
mod device_lock;
mod local;
mod stage;

pub use api::*;
pub use device_lock::DeviceLock;
pub use local::Local;
