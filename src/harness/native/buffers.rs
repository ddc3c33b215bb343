//! The memory of a call's arguments: aligned, and watched on both sides.

use memmap2::MmapMut;

use super::spec::Case;

/// Bytes watched before and after a buffer: a page.
pub(super) const GUARD: usize = 4096;

/// A buffer that starts on a page, between two guards of a byte that the kernel does not know.
pub(super) struct Guarded {
    memory: MmapMut,
    len: usize,
    canary: u8,
}

/// A side of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

impl Guarded {
    /// Returns the bytes that each buffer of `case` needs, guards included.
    pub(super) fn memory_lens(case: &Case) -> Vec<usize> {
        case.buffers().map(|arg| Self::memory_len(arg.bytes())).collect()
    }

    fn memory_len(len: usize) -> usize {
        GUARD + len + GUARD
    }

    /// Puts a buffer into `memory`, which is as long as [`memory_lens`](Self::memory_lens) says.
    pub(super) fn new(mut memory: MmapMut, len: usize, canary: u8) -> Self {
        memory.fill(canary);
        Self { memory, len, canary }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.parts().1
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let (_, rest) = self.memory.split_at_mut(GUARD);
        rest.split_at_mut(self.len).0
    }

    /// Returns the buffer between its guards.
    pub(super) fn watched(&self) -> &[u8] {
        &self.memory
    }

    pub(super) fn watched_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    /// Tells which side of the buffer was written to, if any.
    pub(super) fn trespass(&self) -> Option<Side> {
        let (before, _, after) = self.parts();
        let touched = |guard: &[u8]| guard.iter().any(|byte| *byte != self.canary);
        if touched(before) {
            Some(Side::Before)
        } else if touched(after) {
            Some(Side::After)
        } else {
            None
        }
    }

    fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        let (before, rest) = self.memory.split_at(GUARD);
        let (buffer, after) = rest.split_at(self.len);
        (before, buffer, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(len: usize) -> Guarded {
        Guarded::new(MmapMut::map_anon(Guarded::memory_len(len)).unwrap(), len, 7)
    }

    #[test]
    fn buffers_are_aligned_and_of_their_length() {
        for len in [1, 63, 64, 65, 100_000] {
            let mut buffer = buffer(len);
            assert_eq!(buffer.bytes().as_ptr() as usize % GUARD, 0);
            assert_eq!(buffer.bytes().len(), len);
            buffer.bytes_mut().fill(0);
            assert_eq!(buffer.trespass(), None);
            let watched = GUARD + len + GUARD;
            assert_eq!((buffer.watched().len(), buffer.watched_mut().len()), (watched, watched));
            assert!(buffer.watched()[..GUARD].iter().chain(&buffer.watched()[GUARD + len..]).all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_single_byte_on_either_side_is_noticed() {
        for (place, side) in
            [(0, Side::Before), (GUARD - 1, Side::Before), (GUARD + 5, Side::After), (2 * GUARD + 4, Side::After)]
        {
            let mut buffer = buffer(5);
            buffer.watched_mut()[place] = 8;
            assert_eq!(buffer.trespass(), Some(side), "{place}");
        }
    }
}
