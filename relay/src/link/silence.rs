//! How long nothing has come from a peer.
//!
//! A peer is silent while this end waits for it. While this end does not read, because what came is still being
//! taken in, the peer is not silent, however long that lasts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::ReadHalf;

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

    /// Has nothing more be read, or has it go on. Whoever waits for a shut stream is not woken.
    pub(super) fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

/// The reading half of a stream, which notes when it has to wait. What was read ahead comes first.
pub(super) struct Heard {
    ahead: Bytes,
    stream: ReadHalf,
    silence: Arc<Silence>,
    valve: Arc<Valve>,
}

impl Heard {
    pub(super) fn new(ahead: Bytes, stream: ReadHalf, silence: Arc<Silence>) -> Self {
        Self { ahead, stream, silence, valve: Arc::default() }
    }

    pub(super) fn valve(&self) -> Arc<Valve> {
        Arc::clone(&self.valve)
    }
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.valve.shut.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if !self.ahead.is_empty() {
            let len = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..len]);
            self.valve.given.fetch_add(len as u64, Ordering::Relaxed);
            self.ahead.advance(len);
            if self.ahead.is_empty() {
                self.ahead = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.valve.given.fetch_add((buffer.filled().len() - filled) as u64, Ordering::Relaxed);
        match read {
            Poll::Pending => self.silence.waits(),
            Poll::Ready(_) => self.silence.heard(),
        }
        Poll::Ready(ready!(read))
    }
}
