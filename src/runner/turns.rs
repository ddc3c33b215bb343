//! The near side of two blocks that take turns: it hands the turn from one to the other.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::harness::native::TURN;

/// The ends of two programs' standard inputs.
pub(super) struct Turns([UnixStream; 2]);

impl Turns {
    /// Opens standard inputs that begin with these bytes, and returns the programs' ends of them.
    pub(super) async fn open(begin: [&[u8]; 2]) -> io::Result<(Self, [OwnedFd; 2])> {
        let [(mut first, one), (mut second, other)] = [UnixStream::pair()?, UnixStream::pair()?];
        first.write_all(begin[0]).await?;
        second.write_all(begin[1]).await?;
        Ok((Self([first, second]), [far_end(one)?, far_end(other)?]))
    }

    /// Hands the turn from one to the other, the first one first, as long as both are there. Then the inputs end, which
    /// leaves every turn to whoever remains, and the one that had it is returned.
    pub(super) async fn hand_over(self) -> usize {
        let Self(mut inputs) = self;
        let mut holder = 0;
        loop {
            let [first, second] = &mut inputs;
            let input = if holder == 0 { first } else { second };
            if input.write_all(&TURN).await.is_err() || !matches!(input.read(&mut [0]).await, Ok(1)) {
                return holder;
            }
            holder = 1 - holder;
        }
    }
}

fn far_end(end: UnixStream) -> io::Result<OwnedFd> {
    let end = end.into_std()?;
    end.set_nonblocking(false)?;
    Ok(end.into())
}
