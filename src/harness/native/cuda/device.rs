//! The driver itself, loaded when it is asked for.

use std::ffi::{CString, c_int, c_void};
use std::ptr;

use cudarc::driver::DriverError;
use cudarc::driver::result::{
    self, ctx, device, event, free_sync, function, launch_kernel, malloc_sync, memcpy_dtoh_sync, memcpy_htod_sync,
    memset_d8_async, module, occupancy, primary_ctx, stream,
};
use cudarc::driver::sys::{
    self, CUdevice, CUdevice_attribute as DeviceAttribute, CUevent, CUevent_flags, CUfunction,
    CUfunction_attribute as FunctionAttribute, CUlimit, CUresult,
};

use super::driver::{Address, Driver, DriverFault, Parameter, Resources, Stamp};
use super::launch::Geometry;
use super::nvml::Nvml;

/// What the cache is written over with.
const FLOOD: u8 = 0x5a;
/// Bytes of a place on the PCI bus, such as `0000:3b:00.0`.
const BUS_ID_BYTES: usize = 32;

/// The first device that the driver shows, with a kernel on it.
pub(super) struct Cuda {
    device: CUdevice,
    kernel: CUfunction,
    start: CUevent,
    end: CUevent,
    settled: CUevent,
    cache_bytes: usize,
    /// Threads of a multiprocessor.
    threads: u32,
    /// Shared memory of a block, at most, in bytes.
    shared: u32,
    nvml: Option<Nvml>,
}

impl Cuda {
    /// Loads the function `entry` of a compiled text. The driver must have been initialised.
    pub(super) fn open(cubin: &[u8], entry: &str) -> Result<Self, DriverFault> {
        let device = device::get(0).map_err(unable("no device"))?;
        // SAFETY: the device is the driver's own; the context stays until the process ends.
        unsafe {
            let context = primary_ctx::retain(device).map_err(unable("no context on the device"))?;
            ctx::set_current(context).map_err(unable("no context on the device"))?;
        }
        // Nothing is to be kept in the cache from one call to the next; devices without such lines refuse.
        let _ = ctx::set_limit(CUlimit::CU_LIMIT_PERSISTING_L2_CACHE_SIZE, 0);
        let name = CString::new(entry).map_err(|_| DriverFault::Launch("the entry has a NUL byte".to_owned()))?;
        // SAFETY: the code came from the compiler as a whole, and stays for the length of the call.
        let module =
            unsafe { module::load_data(cubin.as_ptr().cast()) }.map_err(unable("the kernel was not loaded"))?;
        // SAFETY: the module was just loaded, and stays.
        let kernel = unsafe { module::get_function(module, name) }.map_err(unable("the kernel was not found"))?;
        let stamp = || event::create(CUevent_flags::CU_EVENT_DEFAULT).map_err(unable("no event"));
        let attribute = |which| {
            // SAFETY: the device is the driver's own.
            let value = unsafe { device::get_attribute(device, which) }.map_err(unable("no attribute"))?;
            Ok(value.unsigned_abs())
        };
        Ok(Self {
            device,
            kernel,
            start: stamp()?,
            end: stamp()?,
            settled: stamp()?,
            cache_bytes: attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)? as usize,
            threads: attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)?,
            shared: attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
            nvml: bus_id(device).and_then(|id| Nvml::open(&id)),
        })
    }

    /// Returns the CUDA version that the driver offers, such as `13.0`.
    pub(super) fn version(&self) -> Result<String, DriverFault> {
        let mut version: c_int = 0;
        // SAFETY: `version` takes what is written.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(unable("no version"))?;
        Ok(format!("{}.{}", version / 1000, version % 1000 / 10))
    }

    pub(super) fn nvml(&self) -> Option<&Nvml> {
        self.nvml.as_ref()
    }

    fn event(&self, stamp: Stamp) -> CUevent {
        match stamp {
            Stamp::Start => self.start,
            Stamp::End => self.end,
            Stamp::Settled => self.settled,
        }
    }

    fn attribute(&self, which: FunctionAttribute) -> Result<u32, DriverFault> {
        // SAFETY: the kernel was loaded with this value, and stays.
        let value = unsafe { function::get_function_attribute(self.kernel, which) };
        Ok(value.map_err(classed("the kernel has no such attribute"))?.unsigned_abs())
    }
}

impl Driver for Cuda {
    fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DriverFault> {
        // SAFETY: the memory is only used through the driver.
        unsafe { malloc_sync(bytes) }.map(Address).map_err(unable("no memory on the device"))
    }

    fn free(&mut self, Address(at): Address) {
        // SAFETY: the address came from `allocate`, and nobody uses it after this.
        let _ = unsafe { free_sync(at) };
    }

    fn upload(&mut self, Address(at): Address, bytes: &[u8]) -> Result<(), DriverFault> {
        // SAFETY: the caller copies as much as it has allocated there.
        unsafe { memcpy_htod_sync(at, bytes) }.map_err(classed("copying the inputs"))
    }

    fn download(&mut self, Address(at): Address, bytes: &mut [u8]) -> Result<(), DriverFault> {
        // SAFETY: as above.
        unsafe { memcpy_dtoh_sync(bytes, at) }.map_err(classed("copying the outputs"))
    }

    fn reset_persisting(&mut self) -> Result<(), DriverFault> {
        // SAFETY: it takes no argument.
        match unsafe { sys::cuCtxResetPersistingL2Cache() } {
            // Where no line can persist there is none to reset.
            CUresult::CUDA_ERROR_NOT_SUPPORTED => Ok(()),
            code => code.result().map_err(classed("resetting the cache's persisting lines")),
        }
    }

    fn flood(&mut self, Address(at): Address, bytes: usize) -> Result<(), DriverFault> {
        // SAFETY: the caller writes as much as it has allocated there.
        unsafe { memset_d8_async(at, FLOOD, bytes, stream::null()) }.map_err(classed("clearing the cache"))
    }

    fn stamp(&mut self, stamp: Stamp) -> Result<(), DriverFault> {
        // SAFETY: the event is this value's own.
        unsafe { event::record(self.event(stamp), stream::null()) }.map_err(classed("stamping"))
    }

    fn resources(&mut self, geometry: &Geometry) -> Result<Resources, DriverFault> {
        let (registers, threads) = (
            self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_NUM_REGS)?,
            self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?,
        );
        if geometry.threads() > threads {
            return Err(DriverFault::Launch(format!(
                "launch: block has {} threads; with {registers} registers a thread, or as its launch bounds say, the kernel \
                 can have {threads}",
                geometry.threads()
            )));
        }
        let static_shared = self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?;
        let left = self.shared.saturating_sub(static_shared);
        if geometry.shared > left {
            return Err(DriverFault::Launch(format!(
                "launch: shared is {} bytes; beside the {static_shared} bytes that the text declares, the device has {left}",
                geometry.shared
            )));
        }
        let number = |value: u32| c_int::try_from(value).unwrap_or(c_int::MAX);
        // SAFETY: the kernel was loaded with this value, and stays.
        let blocks = unsafe {
            let which = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function::set_function_attribute(self.kernel, which, number(geometry.shared))
                .map_err(classed("launch: asking for shared memory"))?;
            occupancy::max_active_block_per_multiprocessor(
                self.kernel,
                number(geometry.threads()),
                geometry.shared as usize,
            )
        };
        Ok(Resources {
            registers,
            local: self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?,
            static_shared,
            blocks: blocks.map_err(classed("launch: asking for the occupancy"))?.unsigned_abs(),
            threads: self.threads,
        })
    }

    fn launch(&mut self, geometry: &Geometry, parameters: &[Parameter]) -> Result<(), DriverFault> {
        let mut values = parameters.to_vec();
        let mut pointers: Vec<*mut c_void> = values
            .iter_mut()
            .map(|value| match value {
                Parameter::Buffer(Address(at)) => ptr::from_mut(at).cast(),
                Parameter::Size(size) => ptr::from_mut(size).cast(),
            })
            .collect();
        let Geometry { grid: [gx, gy, gz], block: [bx, by, bz], shared } = *geometry;
        // SAFETY: the parameters follow the spec from which the kernel's prototype was generated, and are copied by the call.
        // A kernel that leaves its buffers all the same is what this process is for.
        let launched =
            unsafe { launch_kernel(self.kernel, (gx, gy, gz), (bx, by, bz), shared, stream::null(), &mut pointers) };
        launched.map_err(classed("launching the kernel"))
    }

    fn synchronise(&mut self) -> Result<(), DriverFault> {
        ctx::synchronize().map_err(classed("running the kernel"))
    }

    fn elapsed_us(&mut self, from: Stamp, to: Stamp) -> Result<f64, DriverFault> {
        // Under this name drivers of any age have it, and no others under the newer one.
        type Elapsed = unsafe extern "C" fn(*mut f32, CUevent, CUevent) -> CUresult;
        let mut milliseconds = 0.0;
        // SAFETY: the signature is the driver's own; both events were recorded and reached.
        let code = unsafe {
            let elapsed = sys::culib()
                .get::<Elapsed>(b"cuEventElapsedTime\0")
                .map_err(|error| DriverFault::Device(error.to_string()))?;
            elapsed(&mut milliseconds, self.event(from), self.event(to))
        };
        code.result().map_err(classed("reading the stamps"))?;
        // Whole nanoseconds: the stamps are coarser, and the rest is what a float makes of them.
        Ok((f64::from(milliseconds) * 1e6).round() / 1e3)
    }

    fn is_lost(&self) -> bool {
        self.nvml.as_ref().is_some_and(Nvml::is_lost)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // SAFETY: the context was retained once; nothing of it is used any more.
        let _ = unsafe { primary_ctx::release(self.device) };
    }
}

/// Returns the device's place on the PCI bus.
fn bus_id(device: CUdevice) -> Option<CString> {
    let mut text = [0; BUS_ID_BYTES];
    let len = c_int::try_from(text.len()).ok()?;
    // SAFETY: `text` has as many bytes as it is told.
    unsafe { sys::cuDeviceGetPCIBusId(text.as_mut_ptr(), len, device) }.result().ok()?;
    CString::new(text.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect::<Vec<_>>()).ok()
}

/// What fails before the kernel runs is the device's fault.
fn unable(what: &'static str) -> impl Fn(DriverError) -> DriverFault {
    move |error| DriverFault::Device(told(what, error))
}

/// After a launch an error may be the kernel's: those that only a kernel can bring about are, and no others.
fn classed(what: &'static str) -> impl Fn(DriverError) -> DriverFault {
    move |error| {
        let message = told(what, error);
        match error.0 {
            CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
            | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
            | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUresult::CUDA_ERROR_INVALID_PC
            | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUresult::CUDA_ERROR_LAUNCH_FAILED
            | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
            | CUresult::CUDA_ERROR_ASSERT => DriverFault::Kernel(message),
            CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
            | CUresult::CUDA_ERROR_INVALID_CLUSTER_SIZE
            | CUresult::CUDA_ERROR_INVALID_VALUE => DriverFault::Launch(message),
            _ => DriverFault::Device(message),
        }
    }
}

/// Returns the driver's own words for an error.
fn told(what: &str, error: result::DriverError) -> String {
    let text = |text: Result<&std::ffi::CStr, DriverError>| text.map(|text| text.to_string_lossy().into_owned());
    match (text(error.error_name()), text(error.error_string())) {
        (Ok(name), Ok(words)) => format!("{what}: {words} ({name})"),
        _ => format!("{what}: error {}", error.0 as u32),
    }
}
