//! Runners: where a job runs.

mod api;
mod device_lock;
mod memory;
mod turns;
mod bench;
mod local;
mod stage;
pub mod remote;
mod slurm;
mod modal;

pub use api::*;
pub use device_lock::DeviceLock;
pub use local::Local;
pub use modal::Modal;
pub use slurm::Slurm;
