//! The memory of a call's arguments: aligned, and watched on both sides.

/// Bytes watched before and after a buffer, at least.
pub(super) const GUARD: usize = 4096;
/// A cache line.
const ALIGNMENT: usize = 64;

/// A buffer that starts on a cache line, between two guards of a byte that the kernel does not know.
pub(super) struct Guarded {
    memory: Vec<u8>,
    start: usize,
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
    /// Allocates `len` bytes.
    pub(super) fn new(len: usize, canary: u8) -> Self {
        let memory = vec![canary; GUARD + ALIGNMENT + len + GUARD];
        let start = GUARD + memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start, len, canary }
    }

    /// Returns the address that a kernel gets.
    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        // From the whole allocation, so that a kernel that leaves its buffer meets the guards within it.
        self.memory.as_mut_ptr().wrapping_add(self.start)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.parts().1
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let (_, rest) = self.memory.split_at_mut(self.start);
        rest.split_at_mut(self.len).0
    }

    /// Returns the buffer between its guards: as many bytes on either side, whatever its alignment.
    pub(super) fn watched(&self) -> &[u8] {
        self.memory.split_at(self.start - GUARD).1.split_at(self.watched_len()).0
    }

    pub(super) fn watched_mut(&mut self) -> &mut [u8] {
        let len = self.watched_len();
        self.memory.split_at_mut(self.start - GUARD).1.split_at_mut(len).0
    }

    pub(super) fn watched_len(&self) -> usize {
        GUARD + self.len + GUARD
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
        let (before, rest) = self.memory.split_at(self.start);
        let (buffer, after) = rest.split_at(self.len);
        (before, buffer, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_of_their_length() {
        for len in [1, 63, 64, 65, 100_000] {
            let mut buffer = Guarded::new(len, 7);
            assert_eq!(buffer.as_mut_ptr() as usize % ALIGNMENT, 0);
            assert_eq!(buffer.bytes().len(), len);
            buffer.bytes_mut().fill(0);
            assert_eq!(buffer.trespass(), None);
            let len = buffer.watched_len();
            assert_eq!((buffer.watched().len(), buffer.watched_mut().len()), (len, len));
            assert!(buffer.watched()[..GUARD].iter().chain(&buffer.watched()[len - GUARD..]).all(|byte| *byte == 7));
            buffer.watched_mut()[GUARD - 1] = 8;
            assert_eq!(buffer.trespass(), Some(Side::Before));
        }
    }

    #[test]
    fn a_single_byte_on_either_side_is_noticed() {
        let mut buffer = Guarded::new(5, 7);
        let after = buffer.start + 5;
        buffer.memory[after] = 8;
        assert_eq!(buffer.trespass(), Some(Side::After));
        let before = buffer.start - 1;
        buffer.memory[before] = 8;
        assert_eq!(buffer.trespass(), Some(Side::Before));
    }
}
