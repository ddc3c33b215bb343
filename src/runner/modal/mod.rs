//! The runner for Modal: one call of the deployed app a job, made by a Python child with Modal's own client.

mod app;
mod call;

pub use call::Modal;
