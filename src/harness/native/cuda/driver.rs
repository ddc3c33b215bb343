//! What the measuring loop asks of a CUDA driver, and whose fault it is where the driver refuses.

use super::launch::Geometry;

/// An address in the device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(pub(super) u64);

/// A moment in the life of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Right before the kernel.
    Start,
    /// Right after it.
    End,
    /// After the host has waited for the whole device.
    Settled,
}

/// One argument of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    Buffer(Address),
    Size(i32),
}

/// What a launch takes of a multiprocessor. Bytes, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resources {
    pub(super) registers: u32,
    pub(super) local: u32,
    pub(super) static_shared: u32,
    /// Blocks that it holds at once.
    pub(super) blocks: u32,
    /// Threads that it holds at most.
    pub(super) threads: u32,
}

/// Why the driver refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DriverFault {
    /// The kernel did what it may not.
    Kernel(String),
    /// The launch asks for more than the device has.
    Launch(String),
    /// The device or its driver is at fault.
    Device(String),
}

/// A device with a kernel on it, ready to be launched.
///
/// What is queued runs in the order in which it was queued, each operation after everything before it has ended.
pub(super) trait Driver {
    /// Returns the size of the device's last cache, in bytes.
    fn cache_bytes(&self) -> usize;

    /// Allocates memory whose address is a multiple of 256.
    fn allocate(&mut self, bytes: usize) -> Result<Address, DriverFault>;

    /// Gives memory back. What cannot be given back stays until the process ends.
    fn free(&mut self, at: Address);

    /// Copies to the device, and waits.
    fn upload(&mut self, at: Address, bytes: &[u8]) -> Result<(), DriverFault>;

    /// Copies from the device, and waits.
    fn download(&mut self, at: Address, bytes: &mut [u8]) -> Result<(), DriverFault>;

    /// Makes the lines of the cache that were to persist ordinary ones.
    fn reset_persisting(&mut self) -> Result<(), DriverFault>;

    /// Queues the writing of `bytes` bytes.
    fn flood(&mut self, at: Address, bytes: usize) -> Result<(), DriverFault>;

    /// Queues a stamp.
    fn stamp(&mut self, stamp: Stamp) -> Result<(), DriverFault>;

    /// Says what a launch takes, or why it cannot be.
    fn resources(&mut self, geometry: &Geometry) -> Result<Resources, DriverFault>;

    /// Queues the kernel.
    fn launch(&mut self, geometry: &Geometry, parameters: &[Parameter]) -> Result<(), DriverFault>;

    /// Waits for the whole device.
    fn synchronise(&mut self) -> Result<(), DriverFault>;

    /// Returns the microseconds between two stamps that have been reached.
    fn elapsed_us(&mut self, from: Stamp, to: Stamp) -> Result<f64, DriverFault>;

    /// Tells whether the device is known to have gone, whatever the driver has blamed.
    fn is_lost(&self) -> bool;
}
