//! Calls on a device: fresh memory, cold caches, and stamps around the kernel alone.
//!
//! All of it is queued in the one stream in which the driver begins nothing before everything earlier has ended, in the whole
//! context: the end stamp is a synchronisation of the whole device, without the host's way there and back in the time. No
//! kernel can start work of its own, since device code is compiled to stay as it is.

use super::driver::{Address, Driver, DriverFault, Parameter, Stamp};
use super::launch::{Geometry, Launch};
use crate::harness::LaunchFacts;
use crate::harness::native::bench::median;
use crate::harness::native::buffers::{GUARD, Guarded};
use crate::harness::native::machine::{Fault, Machine};
use crate::harness::native::spec::{Arg, Case};

/// The least that is written to clear the cache, in bytes: the device is busy with it while the host queues what follows, so
/// that no time of the host's lies between the stamps.
const MIN_FLOOD: usize = 256 << 20;
/// Empty calls whose stamps are compared.
const EMPTY_CALLS: usize = 25;
/// What the device may take longer to settle than after an empty call, beside the kernel's own time, in microseconds.
const SETTLING_SLACK_US: f64 = 100.0;

/// What a call's stamps say, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Elapsed {
    /// From the start to the end.
    pub(super) kernel: f64,
    /// From the end until the host had waited for the whole device.
    pub(super) settling: f64,
}

/// A device with the kernel on it.
pub(super) struct Accelerator<'a, D: Driver> {
    driver: D,
    launch: &'a Launch,
    flood: (Address, usize),
    /// What an empty call's stamps say: the medians.
    pub(super) empty: Elapsed,
    /// Bytes that the compiler says are spilled.
    spilled: Option<u64>,
    case: Option<Prepared>,
    /// One for each case that was measured to its end.
    pub(super) facts: Vec<LaunchFacts>,
}

/// The case that is being measured.
struct Prepared {
    facts: LaunchFacts,
    geometry: Geometry,
    parameters: Vec<Parameter>,
    buffers: Vec<Address>,
    calls: Vec<Elapsed>,
}

impl<'a, D: Driver> Accelerator<'a, D> {
    /// Takes the memory that clears the cache, and measures empty calls.
    pub(super) fn new(mut driver: D, launch: &'a Launch, spilled: Option<u64>) -> Result<Self, Fault> {
        let len = driver.cache_bytes().saturating_mul(2).max(MIN_FLOOD);
        let at = driver.allocate(len).map_err(|fault| blame(&driver, fault))?;
        let empty = Elapsed { kernel: 0.0, settling: 0.0 };
        let mut new = Self { driver, launch, flood: (at, len), empty, spilled, case: None, facts: Vec::new() };
        let calls = (0..EMPTY_CALLS).map(|_| new.timed(|_| Ok(()))).collect::<Result<Vec<_>, _>>();
        new.empty = medians(&calls.map_err(|fault| blame(&new.driver, fault))?);
        Ok(new)
    }

    pub(super) fn driver(&self) -> &D {
        &self.driver
    }

    /// Has the device do what `queue` queues, with cold caches, between the stamps.
    fn timed(&mut self, queue: impl FnOnce(&mut D) -> Result<(), DriverFault>) -> Result<Elapsed, DriverFault> {
        let (at, len) = self.flood;
        let driver = &mut self.driver;
        driver.synchronise()?;
        driver.reset_persisting()?;
        driver.flood(at, len)?;
        driver.stamp(Stamp::Start)?;
        queue(driver)?;
        driver.stamp(Stamp::End)?;
        driver.synchronise()?;
        driver.stamp(Stamp::Settled)?;
        driver.synchronise()?;
        Ok(Elapsed {
            kernel: driver.elapsed_us(Stamp::Start, Stamp::End)?,
            settling: driver.elapsed_us(Stamp::End, Stamp::Settled)?,
        })
    }

    fn prepared(&mut self, case: &Case, lens: &[usize]) -> Result<Prepared, Fault> {
        let geometry = self.launch.geometry(&case.id, &case.sizes).map_err(|error| Fault::Launch(error.to_string()))?;
        let taken = self.driver.resources(&geometry).map_err(|fault| blame(&self.driver, fault))?;
        let mut buffers = Vec::new();
        for len in lens {
            buffers.push(self.driver.allocate(*len).map_err(|fault| blame(&self.driver, fault))?);
        }
        let mut inner = buffers.iter().map(|Address(at)| Address(at + GUARD as u64));
        let parameters = case.args.iter().filter_map(|arg| match arg {
            Arg::Size(size) => Some(Parameter::Size(*size)),
            Arg::Buffer(_) => inner.next().map(Parameter::Buffer),
        });
        let held = f64::from(taken.blocks.saturating_mul(geometry.threads()));
        let facts = LaunchFacts {
            case: case.id.clone(),
            grid: geometry.grid,
            block: geometry.block,
            registers: taken.registers,
            spilled_bytes: self.spilled,
            local_bytes: taken.local,
            static_shared_bytes: taken.static_shared,
            dynamic_shared_bytes: geometry.shared,
            blocks_per_multiprocessor: taken.blocks,
            occupancy: held / f64::from(taken.threads.max(1)),
            settling_us: 0.0,
        };
        Ok(Prepared { facts, geometry, parameters: parameters.collect(), buffers, calls: Vec::new() })
    }

    fn called(&mut self, case: &Prepared, buffers: &mut [&mut Guarded]) -> Result<Elapsed, DriverFault> {
        for (at, buffer) in case.buffers.iter().zip(buffers.iter()) {
            self.driver.upload(*at, buffer.watched())?;
        }
        let elapsed = self.timed(|driver| driver.launch(&case.geometry, &case.parameters))?;
        for (at, buffer) in case.buffers.iter().zip(buffers.iter_mut()) {
            self.driver.download(*at, buffer.watched_mut())?;
        }
        Ok(elapsed)
    }
}

impl<D: Driver> Machine for Accelerator<'_, D> {
    fn prepare(&mut self, case: &Case, lens: &[usize]) -> Result<(), Fault> {
        self.case = Some(self.prepared(case, lens)?);
        Ok(())
    }

    fn call(&mut self, buffers: &mut [&mut Guarded]) -> Result<f64, Fault> {
        let mut case = self.case.take().ok_or_else(|| Fault::Machine("no case was prepared".to_owned()))?;
        let elapsed = self.called(&case, buffers).map_err(|fault| blame(&self.driver, fault))?;
        case.calls.push(elapsed);
        self.case = Some(case);
        Ok(elapsed.kernel)
    }

    /// What had run on after the end stamp would have kept the device from settling.
    fn conclude(&mut self) -> Result<(), Fault> {
        let Some(Prepared { mut facts, buffers, calls, .. }) = self.case.take() else { return Ok(()) };
        buffers.into_iter().for_each(|at| self.driver.free(at));
        let calls = medians(&calls);
        facts.settling_us = calls.settling;
        self.facts.push(facts);
        if calls.settling > 2.0 * self.empty.settling + calls.kernel + SETTLING_SLACK_US {
            return Err(Fault::Kernel(format!(
                "the device went on for {:.1} us after the kernel's end; after an empty call it takes {:.1} us",
                calls.settling, self.empty.settling
            )));
        }
        Ok(())
    }
}

fn medians(calls: &[Elapsed]) -> Elapsed {
    let of = |figure: fn(&Elapsed) -> f64| median(&calls.iter().map(figure).collect::<Vec<_>>());
    Elapsed { kernel: of(|call| call.kernel), settling: of(|call| call.settling) }
}

/// Says whose fault it is. A device that has gone blames whatever was under way.
fn blame<D: Driver>(driver: &D, fault: DriverFault) -> Fault {
    match fault {
        DriverFault::Device(message) => Fault::Machine(message),
        DriverFault::Kernel(message) | DriverFault::Launch(message) if driver.is_lost() => {
            Fault::Machine(format!("{message}, and the device has gone"))
        }
        DriverFault::Kernel(message) => Fault::Crash(message),
        DriverFault::Launch(message) => Fault::Launch(message),
    }
}
