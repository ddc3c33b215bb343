//! Cold caches: before every timed call the arguments leave every cache, and what the kernel keeps for itself leaves
//! the core's own.
//!
//! On x86-64 the arguments' lines are flushed by name, which takes some 40 µs a megabyte, and a walk over
//! twice the second-level cache, some 50 µs, displaces the rest. Elsewhere a walk over twice the last-level cache does both.

use std::fs;
use std::hint::black_box;

/// Where the system does not tell.
const FALLBACK: usize = 8 << 20;
/// Walking more than this before every call would cost more time than the measurement.
const MAX_WALK: usize = 128 << 20;
/// Bytes between the touched addresses.
const LINE: usize = 64;
/// The level that is walked over twice; the last where there are fewer.
const LEVEL: u32 = if cfg!(target_arch = "x86_64") { 2 } else { u32::MAX };

/// Empties the caches.
pub(super) struct Evictor {
    scratch: Vec<u8>,
}

impl Evictor {
    pub(super) fn new() -> Self {
        let size = cache_size(LEVEL).unwrap_or(FALLBACK).saturating_mul(2).min(MAX_WALK);
        Self { scratch: vec![1; size] }
    }

    /// Makes the next call on `buffers` start cold.
    pub(super) fn evict<'a>(&mut self, buffers: impl Iterator<Item = &'a [u8]>) {
        for byte in self.scratch.iter_mut().step_by(LINE) {
            *byte = byte.wrapping_add(1);
        }
        black_box(&self.scratch);
        for buffer in buffers {
            flush(buffer);
        }
        fence();
    }
}

/// Returns the bytes of the largest cache of the first core at `level` or below.
fn cache_size(level: u32) -> Option<usize> {
    let caches = fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?;
    let size = |folder: std::path::PathBuf| {
        let its_level: u32 = fs::read_to_string(folder.join("level")).ok()?.trim().parse().ok()?;
        let size = parse_size(&fs::read_to_string(folder.join("size")).ok()?)?;
        (its_level <= level).then_some(size)
    };
    caches.flatten().filter_map(|entry| size(entry.path())).max()
}

/// Reads `32768K`, the form in which the kernel gives the sizes of caches.
fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let (digits, unit) = match text.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(target_arch = "x86_64")]
fn flush(buffer: &[u8]) {
    for line in buffer.chunks(LINE) {
        // SAFETY: flushing a line changes no memory, and the address is that of a live slice; SSE2 is part of x86-64.
        unsafe { std::arch::x86_64::_mm_clflush(line.as_ptr()) };
    }
}

#[cfg(target_arch = "x86_64")]
fn fence() {
    // SAFETY: a fence touches no memory; SSE2 is part of x86-64.
    unsafe { std::arch::x86_64::_mm_mfence() };
}

#[cfg(not(target_arch = "x86_64"))]
fn flush(_buffer: &[u8]) {}

#[cfg(not(target_arch = "x86_64"))]
fn fence() {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_size("1024K\n"), Some(1 << 20));
        assert_eq!(parse_size("32M"), Some(32 << 20));
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("?"), None);
    }
}
