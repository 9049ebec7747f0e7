//! How long nothing has come from a peer.
//!
//! A peer is silent while this end waits for it. While this end does not read, because what came is still being
//! taken in, the peer is not silent, however long that lasts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::{Ahead, ReadHalf};

/// Since when a peer is silent.
#[derive(Debug)]
pub(super) struct Silence {
    began: Instant,
    /// Milliseconds from `began` to when this end began to wait for the peer; [`Self::NOT_WAITING`] while it does not.
    waiting_since: AtomicU64,
}

impl Silence {
    const NOT_WAITING: u64 = u64::MAX;

    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), waiting_since: AtomicU64::new(Self::NOT_WAITING) })
    }

    fn waits(&self) {
        if self.waiting_since.load(Ordering::Relaxed) == Self::NOT_WAITING {
            let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(Self::NOT_WAITING - 1);
            self.waiting_since.store(since, Ordering::Relaxed);
        }
    }

    fn heard(&self) {
        self.waiting_since.store(Self::NOT_WAITING, Ordering::Relaxed);
    }

    /// When the peer fell silent, if it is.
    pub(super) fn since(&self) -> Option<Instant> {
        match self.waiting_since.load(Ordering::Relaxed) {
            Self::NOT_WAITING => None,
            since => Some(self.began + Duration::from_millis(since)),
        }
    }
}

/// What the one who reads knows of a stream that he has lent to a parser.
#[derive(Debug, Default)]
pub(super) struct Valve {
    given: AtomicU64,
    shut: AtomicBool,
}

impl Valve {
    /// How many bytes were handed out so far.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Has nothing more be read than what is in memory already, or has it go on. Whoever waits for a shut stream is not
    /// woken.
    pub(super) fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

/// A read that brought as much is followed by one of a large piece: the peer sends faster than this end reads.
const PLENTY: usize = 4 << 10;

/// The reading half of a stream, which notes when it has to wait.
pub(super) struct Heard {
    stream: Ahead<ReadHalf>,
    silence: Arc<Silence>,
    valve: Arc<Valve>,
}

impl Heard {
    /// A stream of which `ahead` was read already.
    pub(super) fn new(ahead: Bytes, stream: ReadHalf, silence: Arc<Silence>) -> Self {
        Self { stream: Ahead::new(ahead.into(), stream), silence, valve: Arc::default() }
    }

    pub(super) fn valve(&self) -> Arc<Valve> {
        Arc::clone(&self.valve)
    }
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let is_drained = self.stream.left() == 0;
        if is_drained && self.valve.shut.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let given = buffer.filled().len() - filled;
        self.valve.given.fetch_add(given as u64, Ordering::Relaxed);
        if is_drained {
            let came = given + self.stream.left();
            self.stream.read_in_pieces(came >= PLENTY);
        }
        match read {
            Poll::Pending => self.silence.waits(),
            Poll::Ready(_) => self.silence.heard(),
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// So many bytes at hand, and how many reads they took.
    struct AtHand(usize, Arc<AtomicU64>);

    impl AsyncRead for AtHand {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let read = buffer.remaining().min(self.0);
            buffer.put_slice(&vec![7; read]);
            self.0 -= read;
            self.1.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_peer_that_sends_much_is_read_in_large_pieces_and_one_that_sends_little_is_not() {
        for (bytes, reads) in [(8 << 10, 1), (8 << 20, 300), (100, 1)] {
            let count = Arc::<AtomicU64>::default();
            let mut heard = Heard::new(Bytes::new(), Box::new(AtHand(bytes, Arc::clone(&count))), Silence::new());
            let mut all = vec![0; bytes];
            for part in all.chunks_mut(8 << 10) {
                heard.read_exact(part).await.expect("it is there");
            }
            assert_eq!((all, heard.valve.given()), (vec![7; bytes], bytes as u64));
            assert!((1..=reads).contains(&count.load(Ordering::Relaxed)), "{bytes}: {count:?}");
            assert_eq!(heard.stream.left(), 0);
        }
    }
}
