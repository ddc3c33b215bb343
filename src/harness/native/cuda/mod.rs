//! CUDA kernels: device code alone, compiled by NVRTC for the device at hand, and timed by the device's own events.

mod launch;
mod driver;
mod call;
mod nvml;
mod device;
pub mod build;
mod measure;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;

pub(super) use measure::measure;
