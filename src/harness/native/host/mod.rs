//! Kernels in C: one process keeps the time and the answers, another holds the kernel.
//!
//! The kernel's process is stopped, with every thread it has, except within a call. To go on is its order to call, and to stop is
//! its word that the call is over: the clock runs exactly while the kernel can, and nothing of it runs while inputs are filled,
//! caches cleared or answers compared. Neither clock, seed, reference nor tolerance is in its memory, or in its reach.

mod shared;
pub mod far;
mod near;

pub(super) use near::Host;
pub use near::PROCESSOR;
