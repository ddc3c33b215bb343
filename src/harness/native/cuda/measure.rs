//! One block on a CUDA device.

use std::fs;
use std::path::Path;

use super::build::{CODE, LOG, TEXT};
use super::call::Accelerator;
use super::device::Cuda;
use super::driver::{Driver as _, DriverFault};
use super::launch::Launch;
use super::nvml::Nvml;
use crate::harness::Conditions;
use crate::harness::device;
use crate::harness::native::machine::{Fault, Machine};
use crate::harness::native::spec::Spec;
use crate::harness::nvrtc::uses;
use crate::protocol::Device;

/// Has the device at hand measured by `run`, with the kernel that was built in `folder`. Returns what `run` does, and what
/// the device was like meanwhile.
pub(in crate::harness::native) fn measure<T>(
    folder: &Path,
    spec: &Spec,
    run: impl FnOnce(&mut dyn Machine) -> Result<T, Fault>,
) -> Result<(Device, T, Conditions), Fault> {
    let machine = |error: String| Fault::Machine(error);
    let read = |name| fs::read(folder.join(name)).map_err(|error| machine(format!("{name}: {error}")));
    let launch =
        Launch::parse(&String::from_utf8_lossy(&read(TEXT)?)).map_err(|error| Fault::Launch(error.to_string()))?;
    let log = String::from_utf8_lossy(&read(LOG)?).into_owned();
    let spilled = uses(&log).into_iter().find(|kernel| kernel.name == spec.entry).map(|kernel| kernel.spilled);
    let device = device::cuda().map_err(|error| machine(error.to_string()))?;
    let unable = |fault| match fault {
        DriverFault::Kernel(message) | DriverFault::Launch(message) | DriverFault::Device(message) => machine(message),
    };
    let driver = Cuda::open(&read(CODE)?, &spec.entry).map_err(unable)?;
    let mut accelerator = Accelerator::new(driver, &launch, spilled)?;
    let health = |accelerator: &Accelerator<'_, Cuda>| accelerator.driver().nvml().map(Nvml::health);
    let before = health(&accelerator);
    let measured = run(&mut accelerator)?;
    let driver = accelerator.driver();
    let conditions = Conditions {
        cuda: driver.version().map_err(unable)?,
        driver: driver.nvml().and_then(Nvml::driver),
        cache_bytes: driver.cache_bytes() as u64,
        overhead_us: accelerator.empty.kernel,
        settling_us: accelerator.empty.settling,
        before,
        after: health(&accelerator),
        launches: accelerator.facts,
    };
    Ok((device, measured, conditions))
}
