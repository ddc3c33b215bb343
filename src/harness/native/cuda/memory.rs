//! A device in the host's memory, on which the loop of a measurement is tried: it keeps a log of what was asked of it, and
//! fails where it is told to.

use std::collections::{BTreeMap, VecDeque};

use super::driver::{Address, Driver, DriverFault, Parameter, Resources, Stamp};
use super::launch::Geometry;

/// What a kernel sees: its buffers by the order of its parameters, each with the address of its first element.
pub(super) type Kernel = Box<dyn FnMut(&mut Memory, &[Parameter])>;

/// The device's memory, by the addresses of its allocations.
#[derive(Default)]
pub(super) struct Memory(BTreeMap<u64, Vec<u8>>);

impl Memory {
    /// Returns `len` bytes from `at`, wherever in an allocation that is.
    pub(super) fn at(&mut self, Address(at): Address, len: usize) -> &mut [u8] {
        let (start, bytes) = self.0.range_mut(..=at).next_back().unwrap();
        let from = usize::try_from(at - start).unwrap();
        &mut bytes[from..from + len]
    }
}

/// One thing that was asked of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Upload,
    Download,
    Reset,
    Flood(usize),
    Stamp(Stamp),
    Launch(Geometry),
    Synchronise,
    Free,
}

pub(super) struct Fake {
    pub(super) memory: Memory,
    pub(super) kernel: Kernel,
    pub(super) asked: Vec<Asked>,
    /// Fails the operation at this place of the log, and every later one.
    pub(super) fails: Option<(usize, DriverFault)>,
    /// What the stamps of the calls to come say; the last of them stays.
    pub(super) times: VecDeque<(f64, f64)>,
    pub(super) lost: bool,
    next: u64,
}

impl Fake {
    pub(super) fn new(kernel: Kernel) -> Self {
        let times = VecDeque::from([(5.0, 9.0)]);
        Self { memory: Memory::default(), kernel, asked: Vec::new(), fails: None, times, lost: false, next: 4096 }
    }

    fn ask(&mut self, asked: Asked) -> Result<(), DriverFault> {
        let place = self.asked.len();
        self.asked.push(asked);
        match &self.fails {
            Some((from, fault)) if place >= *from => Err(fault.clone()),
            _ => Ok(()),
        }
    }
}

impl Driver for &mut Fake {
    fn cache_bytes(&self) -> usize {
        200 << 20
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DriverFault> {
        let at = self.next;
        self.next += (bytes as u64).next_multiple_of(256) + 256;
        // Nobody looks at what clears the cache.
        self.memory.0.insert(at, vec![0; bytes.min(1 << 20)]);
        Ok(Address(at))
    }

    fn free(&mut self, Address(at): Address) {
        self.asked.push(Asked::Free);
        self.memory.0.remove(&at).unwrap();
    }

    fn upload(&mut self, at: Address, bytes: &[u8]) -> Result<(), DriverFault> {
        self.ask(Asked::Upload)?;
        self.memory.at(at, bytes.len()).copy_from_slice(bytes);
        Ok(())
    }

    fn download(&mut self, at: Address, bytes: &mut [u8]) -> Result<(), DriverFault> {
        self.ask(Asked::Download)?;
        bytes.copy_from_slice(self.memory.at(at, bytes.len()));
        Ok(())
    }

    fn reset_persisting(&mut self) -> Result<(), DriverFault> {
        self.ask(Asked::Reset)
    }

    fn flood(&mut self, _at: Address, bytes: usize) -> Result<(), DriverFault> {
        self.ask(Asked::Flood(bytes))
    }

    fn stamp(&mut self, stamp: Stamp) -> Result<(), DriverFault> {
        self.ask(Asked::Stamp(stamp))
    }

    fn resources(&mut self, geometry: &Geometry) -> Result<Resources, DriverFault> {
        if geometry.threads() > 512 {
            return Err(DriverFault::Launch("launch: block has too many threads".to_owned()));
        }
        Ok(Resources { registers: 32, local: 16, static_shared: 128, blocks: 4, threads: 2048 })
    }

    fn launch(&mut self, geometry: &Geometry, parameters: &[Parameter]) -> Result<(), DriverFault> {
        self.ask(Asked::Launch(*geometry))?;
        let Fake { kernel, memory, .. } = &mut **self;
        kernel(memory, parameters);
        Ok(())
    }

    fn synchronise(&mut self) -> Result<(), DriverFault> {
        self.ask(Asked::Synchronise)
    }

    fn elapsed_us(&mut self, from: Stamp, _to: Stamp) -> Result<f64, DriverFault> {
        let (kernel, settling) = self.times.front().copied().unwrap();
        if from == Stamp::End && self.times.len() > 1 {
            self.times.pop_front();
        }
        Ok(if from == Stamp::Start { kernel } else { settling })
    }

    fn is_lost(&self) -> bool {
        self.lost
    }
}
