//! What a CUDA device was like while a block ran on it: not judged, but on record.

use serde::{Deserialize, Serialize};

/// The circumstances of a block on a CUDA device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// The CUDA version that the driver offers, such as `13.0`.
    pub cuda: String,
    /// The driver's own version, such as `580.65.06`; absent where NVML is missing.
    pub driver: Option<String>,
    /// The device's second-level cache, in bytes.
    pub cache_bytes: u64,
    /// What the two stamps of a call measure with nothing between them, in microseconds: the median. It is part of every
    /// call's time, and nothing is taken off for it.
    pub overhead_us: f64,
    /// From a call's last stamp to one that follows the host's wait for the whole device, with nothing between: the median,
    /// in microseconds.
    pub settling_us: f64,
    /// Before the first call.
    pub before: Option<Health>,
    /// After the last one.
    pub after: Option<Health>,
    /// One a case, in the harness's order.
    pub launches: Vec<LaunchFacts>,
}

/// Clocks and what holds them back. What NVML does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The multiprocessors' clock, in megahertz.
    pub sm_mhz: Option<u32>,
    /// The memory's clock, in megahertz.
    pub memory_mhz: Option<u32>,
    /// In degrees Celsius.
    pub temperature_c: Option<u32>,
    /// In watts.
    pub power_w: Option<f64>,
    /// Why the clocks are lower than they could be, such as `sw_power_cap`; empty where nothing holds them back.
    pub throttle_reasons: Option<Vec<String>>,
}

/// A case's launch, and its share of a multiprocessor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchFacts {
    /// The case's name.
    pub case: String,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes that are spilled, stores and loads together; absent where the compiler does not tell.
    pub spilled_bytes: Option<u64>,
    /// Local memory of a thread, in bytes: its stack, spills included.
    pub local_bytes: u32,
    /// Shared memory of a block that the text declares, in bytes.
    pub static_shared_bytes: u32,
    /// Shared memory of a block that the launch adds, in bytes.
    pub dynamic_shared_bytes: u32,
    /// Blocks that a multiprocessor holds at once.
    pub blocks_per_multiprocessor: u32,
    /// Threads that it holds so, as a fraction of the most.
    pub occupancy: f64,
    /// From a call's last stamp to one that follows the host's wait for the whole device: the median over the calls, in
    /// microseconds.
    pub settling_us: f64,
}
