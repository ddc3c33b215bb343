//! One case in one process: calls on fresh inputs with cold caches, timed, and checked where the kernel cannot know.

use std::ffi::{c_longlong, c_void};

use super::buffers::{Guarded, Side};
use super::compare::{Mismatch, compare};
use super::inputs::{Stream, below, byte, fill, poison, stream};
use super::library::Entry;
use super::machine::{Fault, Machine};
use super::spec::{BufferArg, Case, Content, Spec};
use super::turns::Turns;

/// The call numbers that checks before and after the timing use; timed calls count from 1.
const FIRST: u64 = 0;
const LAST: u64 = u64::MAX;
/// Numbers that belong to a case and to no call of it.
const CASE: u64 = u64::MAX - 1;

/// A case with its memory.
pub(super) struct Bench<'a> {
    machine: &'a mut dyn Machine,
    reference: &'a Entry,
    spec: &'a Spec,
    seed: u64,
    index: u64,
    slots: Vec<Slot>,
    sizes: Vec<c_longlong>,
}

/// A buffer of the kernel's call.
struct Slot {
    arg: BufferArg,
    memory: Guarded,
    /// An input as it was before the call; an output as it was right after.
    kept: Vec<u8>,
}

impl<'a> Bench<'a> {
    /// Allocates the memory of the case at place `index` of the spec.
    pub(super) fn new(
        machine: &'a mut dyn Machine,
        reference: &'a Entry,
        spec: &'a Spec,
        (index, case): (u64, &'a Case),
        seed: u64,
    ) -> Result<Self, Fault> {
        let lens = Guarded::memory_lens(case);
        let mut canaries = stream(seed, index, CASE);
        let mut slot = |(arg, memory): (&BufferArg, _)| {
            let memory = Guarded::new(memory, arg.bytes(), byte(&mut canaries));
            Slot { arg: arg.clone(), memory, kept: Vec::new() }
        };
        let slots = case.buffers().zip(machine.memory(&lens)?).map(&mut slot).collect();
        machine.prepare(case, &lens)?;
        Ok(Self { machine, reference, spec, seed, index, slots, sizes: case.integers() })
    }

    /// Returns the microseconds of each timed call.
    ///
    /// The answer is checked on the first call, on one call of each stage that the seed picks, and after the last one. The turn
    /// is this block's before and after.
    pub(super) fn run(&mut self, turns: &mut Turns) -> Result<Vec<f64>, Fault> {
        self.call(FIRST)?;
        self.check_answer()?;
        let mut picks = stream(self.seed, self.index, CASE);
        let mut times = Vec::new();
        for repeats in &self.spec.stage_repeats {
            let stage = self.stage(*repeats, times.len(), below(&mut picks, *repeats), turns)?;
            let stop = self.spec.early_stop_us.is_some_and(|limit| median(&stage) > limit);
            times.extend(stage);
            if stop {
                break;
            }
        }
        turns.pass();
        self.call(LAST)?;
        self.check_answer()?;
        self.machine.conclude()?;
        Ok(times)
    }

    fn stage(&mut self, repeats: u32, done: usize, checked: u32, turns: &mut Turns) -> Result<Vec<f64>, Fault> {
        let mut times = Vec::new();
        for (number, repeat) in (done..).zip(0..repeats) {
            if self.spec.turn_calls.is_some_and(|calls| number.is_multiple_of(calls)) {
                turns.pass();
            }
            times.push(self.call(number as u64 + 1)?);
            if repeat == checked {
                self.check_answer()?;
            }
        }
        Ok(times)
    }

    /// Calls the kernel once on inputs of its own, and returns the microseconds it took.
    fn call(&mut self, number: u64) -> Result<f64, Fault> {
        let mut stream = stream(self.seed, self.index, number);
        self.slots.iter_mut().for_each(|slot| slot.prepare(&mut stream));
        let mut buffers: Vec<&mut Guarded> = self.slots.iter_mut().map(|slot| &mut slot.memory).collect();
        let elapsed = self.machine.call(&mut buffers)?;
        // First of all, so that work which the kernel left to another thread comes too late.
        self.slots.iter_mut().for_each(Slot::keep_output);
        self.slots.iter().try_for_each(Slot::check_untouched)?;
        Ok(elapsed)
    }

    /// Compares the outputs of the last call with the reference's.
    fn check_answer(&self) -> Result<(), Fault> {
        let mut doubles: Vec<Vec<f64>> = self.slots.iter().map(Slot::reference_buffer).collect();
        let buffers: Vec<*mut c_void> = doubles.iter_mut().map(|buffer| buffer.as_mut_ptr().cast()).collect();
        // SAFETY: as for the kernel, with a double for each element.
        unsafe { self.reference.call(&buffers, &self.sizes) };
        for (slot, expected) in self.slots.iter().zip(&doubles) {
            if slot.arg.content == Content::Output {
                let got = slot.arg.dtype.decode(&slot.kept);
                compare(&slot.arg.name, &got, expected, self.spec.tolerance).map_err(|mismatch| match mismatch {
                    Mismatch::Wrong { .. } => Fault::Kernel(mismatch.to_string()),
                    Mismatch::NoOracle { .. } => Fault::Reference(mismatch.to_string()),
                })?;
            }
        }
        Ok(())
    }
}

impl Slot {
    fn prepare(&mut self, stream: &mut Stream) {
        match self.arg.content {
            Content::Input(distribution) => {
                fill(stream, self.arg.dtype, distribution, self.memory.bytes_mut());
                self.keep();
            }
            Content::Output => poison(stream, self.arg.dtype, self.memory.bytes_mut()),
        }
    }

    /// Keeps the bytes as they are now.
    fn keep(&mut self) {
        self.kept.clear();
        self.kept.extend_from_slice(self.memory.bytes());
    }

    fn keep_output(&mut self) {
        if self.arg.content == Content::Output {
            self.keep();
        }
    }

    fn check_untouched(&self) -> Result<(), Fault> {
        let name = &self.arg.name;
        match self.memory.trespass() {
            Some(Side::Before) => return Err(Fault::Kernel(format!("the kernel wrote before the start of {name}"))),
            Some(Side::After) => return Err(Fault::Kernel(format!("the kernel wrote past the end of {name}"))),
            None => {}
        }
        let is_input = matches!(self.arg.content, Content::Input(_));
        if is_input && self.kept != self.memory.bytes() {
            return Err(Fault::Kernel(format!("the kernel changed its input {name}")));
        }
        Ok(())
    }

    fn reference_buffer(&self) -> Vec<f64> {
        match self.arg.content {
            Content::Input(_) => self.arg.dtype.decode(&self.kept),
            Content::Output => vec![f64::NAN; self.arg.len],
        }
    }
}

/// Returns the median, the upper one of an even number of times.
pub(super) fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
