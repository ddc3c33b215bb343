//! NVML: the driver's own version, and the clocks of a device. It is asked for little, and may be missing.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::ptr;

use libloading::os::unix::Library;

use crate::harness::Health;

const LIBRARY: &str = "libnvidia-ml.so.1";

/// `NVML_SUCCESS`, and `NVML_ERROR_GPU_IS_LOST`.
const SUCCESS: c_int = 0;
const GPU_IS_LOST: c_int = 15;
/// `NVML_CLOCK_SM`, `NVML_CLOCK_MEM` and `NVML_TEMPERATURE_GPU`.
const CLOCK_SM: c_int = 1;
const CLOCK_MEMORY: c_int = 2;
const TEMPERATURE_GPU: c_int = 0;
/// Bytes that hold a driver's version.
const VERSION_BYTES: usize = 80;

/// The bits of `nvmlClocksEventReasons`.
const REASONS: &[(u64, &str)] = &[
    (0x1, "gpu_idle"),
    (0x2, "applications_clocks_setting"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
];

type Handle = *mut c_void;
type GetNumber = unsafe extern "C" fn(Handle, *mut c_uint) -> c_int;
type GetNumberOf = unsafe extern "C" fn(Handle, c_int, *mut c_uint) -> c_int;
type GetBits = unsafe extern "C" fn(Handle, *mut c_ulonglong) -> c_int;

/// A device, as NVML knows it.
pub(super) struct Nvml {
    library: Library,
    handle: Handle,
}

impl Nvml {
    /// Finds the device at a place of the PCI bus; `None` where the library or the device is missing.
    pub(super) fn open(bus_id: &CStr) -> Option<Self> {
        // SAFETY: running the initialisers of the driver's library is what this process exists for.
        let library = unsafe { Library::new(LIBRARY) }.ok()?;
        let mut handle: Handle = ptr::null_mut();
        // SAFETY: the signatures are NVML's own; the text ends in a NUL, and `handle` takes what is written.
        unsafe {
            let init = library.get::<unsafe extern "C" fn() -> c_int>("nvmlInit_v2").ok()?;
            let by_bus = library
                .get::<unsafe extern "C" fn(*const c_char, *mut Handle) -> c_int>("nvmlDeviceGetHandleByPciBusId_v2")
                .ok()?;
            (init() == SUCCESS && by_bus(bus_id.as_ptr(), &mut handle) == SUCCESS).then_some(())?;
        }
        Some(Self { library, handle })
    }

    /// Returns the driver's version, such as `580.65.06`.
    pub(super) fn driver(&self) -> Option<String> {
        let mut text: [c_char; VERSION_BYTES] = [0; VERSION_BYTES];
        let len = c_uint::try_from(text.len()).ok()?;
        // SAFETY: the signature is NVML's own, and `text` has as many bytes as it is told.
        let version = unsafe {
            let get = self
                .library
                .get::<unsafe extern "C" fn(*mut c_char, c_uint) -> c_int>("nvmlSystemGetDriverVersion")
                .ok()?;
            (get(text.as_mut_ptr(), len) == SUCCESS).then_some(())?;
            CStr::from_ptr(text.as_ptr())
        };
        Some(version.to_string_lossy().into_owned())
    }

    /// Returns what the device tells of itself now.
    pub(super) fn health(&self) -> Health {
        Health {
            sm_mhz: self.number_of("nvmlDeviceGetClockInfo", CLOCK_SM).ok(),
            memory_mhz: self.number_of("nvmlDeviceGetClockInfo", CLOCK_MEMORY).ok(),
            temperature_c: self.number_of("nvmlDeviceGetTemperature", TEMPERATURE_GPU).ok(),
            power_w: self.power_mw().map(|milliwatts| f64::from(milliwatts) / 1e3),
            throttle_reasons: self.reasons(),
        }
    }

    /// Tells whether the device has fallen off its bus.
    pub(super) fn is_lost(&self) -> bool {
        self.number_of("nvmlDeviceGetClockInfo", CLOCK_SM) == Err(GPU_IS_LOST)
    }

    fn number_of(&self, function: &str, what: c_int) -> Result<c_uint, c_int> {
        let mut value = 0;
        // SAFETY: the functions that are asked for by name here have this signature, and `value` takes what is written.
        let code = unsafe {
            let get = self.library.get::<GetNumberOf>(function).map_err(|_| -1)?;
            get(self.handle, what, &mut value)
        };
        if code == SUCCESS { Ok(value) } else { Err(code) }
    }

    fn power_mw(&self) -> Option<c_uint> {
        let mut value = 0;
        // SAFETY: the signature is NVML's own, and `value` takes what is written.
        let code = unsafe { self.library.get::<GetNumber>("nvmlDeviceGetPowerUsage").ok()?(self.handle, &mut value) };
        (code == SUCCESS).then_some(value)
    }

    fn reasons(&self) -> Option<Vec<String>> {
        // Newer drivers have a new name for it.
        let names = ["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"];
        let mut bits = 0;
        // SAFETY: both have this signature, and `bits` takes what is written.
        let code = unsafe {
            let get = names.iter().find_map(|name| self.library.get::<GetBits>(*name).ok())?;
            get(self.handle, &mut bits)
        };
        (code == SUCCESS).then(|| named(bits))
    }
}

/// Returns the names of the reasons whose bits are set; of a bit without a name, its number.
fn named(bits: u64) -> Vec<String> {
    let known: u64 = REASONS.iter().map(|(bit, _)| bit).sum();
    let mut names: Vec<String> =
        REASONS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    if bits & !known != 0 {
        names.push(format!("{:#x}", bits & !known));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_named_and_unknown_ones_are_not_lost() {
        assert!(named(0).is_empty());
        assert_eq!(named(0x4 | 0x40 | 0x4000), ["sw_power_cap", "hw_thermal_slowdown", "0x4000"]);
    }

    #[test]
    fn without_the_library_or_the_device_there_is_no_nvml() {
        assert!(Nvml::open(c"ffff:ff:1f.7").is_none());
    }
}
