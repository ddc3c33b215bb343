//! Whole files, one after the other, in one buffer.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Bytes of the first buffer: more than most files of a run have.
const FIRST: usize = 64 << 10;

/// What a processor's cache moves at once, in bytes: the system copies far more slowly to where none begins.
const LINE: usize = 64;

/// A buffer for one file at a time. Where many are read, memory that is at hand takes a file in faster than new memory does,
/// and a file whose end is found by reading needs no question about its size.
#[derive(Debug, Default)]
pub struct Pages {
    memory: Vec<u8>,
    /// Where its first line begins.
    start: usize,
}

impl Pages {
    /// Reads all of a file, in place of the one before.
    ///
    /// # Errors
    /// The system's reason.
    pub fn read(&mut self, path: &Path) -> io::Result<&[u8]> {
        let (mut file, mut end) = (File::open(path)?, self.start);
        loop {
            if end == self.memory.len() {
                let length = end - self.start;
                self.grow();
                end = self.start + length;
            }
            match file.read(self.memory.get_mut(end..).unwrap_or_default()) {
                Ok(0) => return Ok(self.memory.get(self.start..end).unwrap_or_default()),
                Ok(read) => end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn grow(&mut self) {
        let mut memory = vec![0; FIRST.max(2 * self.memory.len())];
        let start = memory.as_ptr().align_offset(LINE);
        let kept = self.memory.iter().skip(self.start);
        memory.iter_mut().skip(start).zip(kept).for_each(|(to, from)| *to = *from);
        *self = Self { memory, start };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_longer_and_shorter_than_the_one_before_are_read_to_their_ends_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut pages = Pages::default();
        for length in [0, 5, FIRST, FIRST + 1, 7 * FIRST, 3] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            fs::write(&path, &bytes).unwrap();
            assert_eq!(pages.read(&path).unwrap(), bytes, "{length} bytes");
        }
        assert_eq!(pages.read(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
