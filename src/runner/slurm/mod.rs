//! The runner for a Slurm cluster: one allocation a measurement, one step of it a job.
//!
//! `salloc` holds the allocation, and holds it no longer than this process lives: it waits for the end of a pipe from here.
//! Each job is an `srun` of `agent job` in that allocation. What went wrong is told by what Slurm says of the job.

mod command;
mod request;
mod state;
mod allocation;
mod lost;
mod cluster;

pub use cluster::Slurm;
