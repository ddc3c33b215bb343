//! The memory that both processes map: a page of orders, then a case's buffers.

use std::ffi::c_longlong;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::harness::native::buffers::GUARD;

/// Bytes of the orders, and the grain of the buffers' places.
pub(super) const PAGE: usize = 4096;

/// Words before those of the arguments: the order, how many buffers there are, and how many sizes.
const HEAD: usize = 3;

/// What the kernel's process does when it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Loads the kernel.
    Load,
    /// Maps the buffers of the next case.
    Map,
    /// Calls the kernel.
    Call,
}

impl Order {
    const ALL: [Self; 3] = [Self::Load, Self::Map, Self::Call];
}

/// The page of orders.
pub(super) struct Orders(MmapRaw);

impl Orders {
    /// Maps the page of the shared memory `file`.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        MmapOptions::new().len(PAGE).map_raw(file).map(Self)
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        // SAFETY: the page is mapped and aligned, and whoever maps it reads and writes whole words alone.
        (at < PAGE / size_of::<u64>()).then(|| unsafe { &*self.0.as_ptr().cast::<AtomicU64>().add(at) })
    }

    fn write(&self, words: impl IntoIterator<Item = u64>) -> Option<()> {
        words.into_iter().enumerate().try_for_each(|(at, word)| {
            self.word(at)?.store(word, Ordering::Release);
            Some(())
        })
    }

    fn read(&self, at: usize) -> Option<u64> {
        self.word(at).map(|word| word.load(Ordering::Acquire))
    }

    /// Writes the next order.
    pub(super) fn give(&self, order: Order) {
        // The first word always has its place.
        let _ = self.write([order as u64]);
    }

    /// Writes the order to map buffers that begin at `starts`, in bytes from the memory's own beginning, and the call's sizes.
    /// Returns nothing where the page has no room for them.
    pub(super) fn give_map(&self, starts: &[usize], sizes: &[c_longlong]) -> Option<()> {
        let head = [Order::Map as u64, starts.len() as u64, sizes.len() as u64];
        let starts = starts.iter().map(|start| *start as u64);
        self.write(head.into_iter().chain(starts).chain(sizes.iter().map(|size| size.cast_unsigned())))
    }

    /// Returns the order that was given.
    pub(super) fn order(&self) -> Option<Order> {
        Order::ALL.get(usize::try_from(self.read(0)?).ok()?).copied()
    }

    /// Returns where the buffers begin, and the call's sizes.
    pub(super) fn arguments(&self) -> Option<(Vec<usize>, Vec<c_longlong>)> {
        let [buffers, sizes] = [self.read(1)?, self.read(2)?].map(|count| usize::try_from(count).unwrap_or(PAGE));
        let start = |at| usize::try_from(self.read(HEAD + at)?).ok();
        let size = |at| self.read(HEAD + buffers + at).map(u64::cast_signed);
        Some(((0..buffers).map(start).collect::<Option<_>>()?, (0..sizes).map(size).collect::<Option<_>>()?))
    }
}

/// Returns where buffers of so many bytes lie, guards included, and how long a memory that holds them is.
pub(super) fn places(lens: &[usize]) -> (Vec<usize>, usize) {
    let mut end = PAGE;
    let mut place = |len: &usize| {
        let at = end;
        end += len.next_multiple_of(PAGE);
        at
    };
    (lens.iter().map(&mut place).collect(), end)
}

/// Returns where the buffer between the guards begins that lies at `place`.
pub(super) fn start(place: usize) -> usize {
    place + GUARD
}

/// Makes a memory of so many bytes, which nobody can make shorter or longer.
pub(super) fn memory(len: usize) -> io::Result<File> {
    let file = File::from(memfd_create("kernel", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(len as u64)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let file = memory(PAGE).unwrap();
        let (near, far) = (Orders::of(&file).unwrap(), Orders::of(&file).unwrap());
        assert_eq!(far.order(), Some(Order::Load), "the first");
        near.give_map(&[8192, 40960], &[-3, c_longlong::MAX]).unwrap();
        assert_eq!(far.order(), Some(Order::Map));
        assert_eq!(far.arguments(), Some((vec![8192, 40960], vec![-3, c_longlong::MAX])));
        near.give(Order::Call);
        assert_eq!((far.order(), far.arguments().unwrap().0.len()), (Some(Order::Call), 2));
    }

    #[test]
    fn more_arguments_than_the_page_holds_and_orders_that_are_none_are_not_believed() {
        let orders = Orders::of(&memory(PAGE).unwrap()).unwrap();
        assert_eq!(orders.give_map(&[PAGE; 510], &[]), None);
        orders.write([7, u64::MAX, 1]).unwrap();
        assert_eq!((orders.order(), orders.arguments()), (None, None));
    }

    #[test]
    fn buffers_lie_behind_the_orders_and_apart() {
        let (places, len) = places(&[1, 4096, 4097]);
        assert_eq!((places, len), (vec![4096, 8192, 12288], 20480));
    }
}
