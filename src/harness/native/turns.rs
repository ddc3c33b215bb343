//! Two blocks at once, of which one works at a time.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;

/// The longest line of orders, in bytes: they are a few dozen.
const MAX_LINE: u64 = 4096;

/// How many timed calls a block makes before the other has its turn: so few that they take some milliseconds and that a block has
/// many turns, and so many that the fastest of them is one that nothing disturbed.
pub const TURN_CALLS: usize = 3;

/// The word by which a turn is given, and given back.
pub const TURN: [u8; 1] = [1];

/// What a block reads on standard input: a line of orders, and then a byte each time that it is its turn. To give the turn
/// away it writes the byte back. At the end of the input nobody else is there, and every turn is its own.
#[derive(Debug)]
pub struct Turns {
    input: Option<BufReader<File>>,
    held: bool,
}

impl Turns {
    /// Reads the line of orders, and takes standard input away for good: whoever could rewind it would read them once more.
    pub(super) fn open() -> io::Result<(Vec<u8>, Self)> {
        let mut input = BufReader::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
        let mut orders = Vec::new();
        (&mut input).take(MAX_LINE).read_until(b'\n', &mut orders)?;
        forget_stdin()?;
        Ok((orders, Self { input: Some(input), held: false }))
    }

    /// Returns turns of a block that has nobody beside it.
    #[cfg(test)]
    pub(super) fn alone() -> Self {
        Self { input: None, held: false }
    }

    /// Waits until it is this block's turn, if it is not yet.
    pub(super) fn take(&mut self) {
        if let Some(input) = &mut self.input
            && !self.held
        {
            // Whatever else it is, it is the end.
            if !matches!(input.read(&mut [0]), Ok(1)) {
                self.input = None;
            }
            self.held = true;
        }
    }

    /// Gives the turn to the other, if it was this one's.
    pub(super) fn give(&mut self) {
        if let Some(input) = &mut self.input
            && self.held
        {
            if input.get_mut().write_all(&TURN).is_err() {
                self.input = None;
            }
            self.held = false;
        }
    }

    /// Lets the other have a turn.
    pub(super) fn pass(&mut self) {
        self.give();
        self.take();
    }
}

/// Puts an empty file in place of standard input.
pub(super) fn forget_stdin() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(File::open("/dev/null")?)?)
}
