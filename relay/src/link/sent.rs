//! What was written on a link, and what became of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::WriteHalf;

/// The writing half of a stream, which notes what becomes of the bytes. Clones are the same half; the writer has one
/// and the keepalive another, and both are polled by one task.
#[derive(Clone)]
pub(super) struct Sent(Arc<Mutex<State>>);

struct State {
    stream: WriteHalf,
    written: u64,
    written_at: Instant,
    /// Whether a write waits for room.
    waits: bool,
    /// How often a write that had to wait went on.
    resumed: u64,
}

/// How things stand at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// How many bytes the far end has taken; where that cannot be known, how many were written.
    pub(super) taken: u64,
    /// Whether there is something that it has not taken.
    pub(super) is_owed: bool,
    /// How often a write that had to wait went on.
    pub(super) resumed: u64,
    /// When something was written last.
    pub(super) written_at: Instant,
}

impl Sent {
    pub(super) fn new(stream: WriteHalf) -> Self {
        let state = State { stream, written: 0, written_at: Instant::now(), waits: false, resumed: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn standing(&self) -> Standing {
        let State { stream, written, written_at, waits, resumed } = &*self.0.lock();
        // The handshake's bytes are not counted as written, but may be among the untaken.
        let untaken = stream.untaken().unwrap_or(0);
        Standing {
            taken: written.saturating_sub(untaken),
            is_owed: *waits || untaken > 0,
            resumed: *resumed,
            written_at: *written_at,
        }
    }
}

impl AsyncWrite for Sent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        let written = Pin::new(&mut state.stream).poll_write(cx, bytes);
        match &written {
            Poll::Pending => state.waits = true,
            Poll::Ready(done) => {
                state.resumed += u64::from(std::mem::replace(&mut state.waits, false));
                if let Ok(count) = done {
                    state.written += *count as u64;
                    state.written_at = Instant::now();
                }
            }
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_shutdown(cx)
    }
}
