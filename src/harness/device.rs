//! The device of a measurement, as the machine itself names it.

use std::{env, fs};

use thiserror::Error;

use crate::protocol::Device;

/// Why a machine's CUDA device has no name.
#[derive(Debug, Error)]
pub(super) enum DeviceError {
    #[error("libcuda was not found; install the driver of the device")]
    NoDriver,
    #[error("the CUDA driver names no device: {0}")]
    Driver(#[from] cudarc::driver::DriverError),
}

/// Returns the host's processor, by its model's name.
pub(super) fn host() -> Device {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or(env::consts::ARCH, |(_, name)| name.trim());
    Device { name: format!("cpu ({model})"), compute_capability: None }
}

/// Returns the first CUDA device that this process's environment lets it see. No context is made on it.
pub(super) fn cuda() -> Result<Device, DeviceError> {
    use cudarc::driver::result::{device, init};
    use cudarc::driver::sys::{CUdevice_attribute as Attribute, is_culib_present};
    // SAFETY: looking for the library runs its initialisers; this process does nothing else meanwhile. Without the look, the
    // first call would panic where there is none.
    if !unsafe { is_culib_present() } {
        return Err(DeviceError::NoDriver);
    }
    init()?;
    let first = device::get(0)?;
    // SAFETY: `first` is a device that the driver has just returned.
    let attribute = |which| unsafe { device::get_attribute(first, which) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok(Device { name: device::get_name(first)?, compute_capability: Some(format!("{major}.{minor}")) })
}
