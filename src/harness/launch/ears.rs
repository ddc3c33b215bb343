//! The near ends of a program's channels, and what came through them.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};
use rustix::process::Pid;

use super::orders::REPORT_BYTES;

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 16;

/// A pipe for reports.
pub(super) struct Report {
    pipe: File,
    content: Vec<u8>,
    overlong: bool,
    open: bool,
}

impl Report {
    /// Returns the near end of a pipe that does not block.
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self { pipe: pipe.into(), content: Vec::new(), overlong: false, open: true }
    }

    /// Returns what there is to wait for.
    pub(super) fn open(&self) -> Option<BorrowedFd<'_>> {
        self.open.then(|| self.pipe.as_fd())
    }

    /// Reads what there is. Beyond the bound it is read and forgotten, so that the program is never kept waiting.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        while self.open {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(count) => {
                    let room = REPORT_BYTES.saturating_sub(self.content.len()).min(count);
                    self.overlong |= room < count;
                    self.content.extend_from_slice(buffer.get(..room).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns all of it; `None` where it was too long.
    pub(super) fn content(&mut self) -> Option<Vec<u8>> {
        (!self.overlong).then(|| std::mem::take(&mut self.content))
    }
}

/// A program's standard output: a socket, as only there the kernel of the system says which process wrote.
pub(super) struct Printed {
    socket: UnixStream,
    content: Vec<u8>,
    open: bool,
}

impl Printed {
    /// Returns the near end, and the far end for the program.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        sockopt::set_socket_passcred(&socket, true)?;
        Ok((Self { socket, content: Vec::new(), open: true }, theirs.into()))
    }

    /// Returns what there is to wait for.
    pub(super) fn open(&self) -> Option<BorrowedFd<'_>> {
        self.open.then(|| self.socket.as_fd())
    }

    /// Passes on what there is to this process's own output, and keeps what the process `author` itself has written.
    pub(super) fn drain(&mut self, author: Pid) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        while self.open {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(&mut buffer)];
            let count = match recvmsg(&self.socket, &mut into, &mut control, RecvFlags::empty()) {
                Ok(message) => message.bytes,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_author = |message| matches!(message, RecvAncillaryMessage::ScmCredentials(who) if who.pid == author);
            let own = control.drain().any(is_author);
            let text = buffer.get(..count).unwrap_or_default();
            self.open = count > 0;
            io::stdout().write_all(text)?;
            if own && self.content.len() < REPORT_BYTES {
                self.content.extend_from_slice(text);
            }
        }
        io::stdout().flush()
    }

    /// Returns what the author wrote; what came after the bound is missing.
    pub(super) fn content(self) -> Vec<u8> {
        self.content
    }
}
