//! A stream that gives the bytes of a script in pieces, and keeps what is written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use slipstream::link::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Into which pieces a script is cut: of 1 to this many bytes, in an order that follows from the number; 0 is not at all. A
/// long script has longer pieces, so that there are not many more than [`MOST_PIECES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pieces(pub(crate) u8);

impl Pieces {
    pub(crate) const WHOLE: Self = Self(0);

    /// The length of the piece of a script that begins at `at`.
    fn length(self, at: usize, script: &[u8]) -> usize {
        match usize::from(self.0) {
            0 => usize::MAX,
            most => 1 + (at.wrapping_mul(0x9E37_79B9) >> 7) % most + script.len() / MOST_PIECES,
        }
    }
}

const MOST_PIECES: usize = 256;

/// What comes after the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The far end has ended the stream.
    End,
    /// The far end has ended the stream if it got an answer that grants a link, and says nothing more otherwise.
    EndIfGranted,
}

/// What stays of a stream.
#[derive(Debug, Default)]
pub(crate) struct Left {
    written: Mutex<Vec<u8>>,
    dropped: Notify,
}

impl Left {
    /// What was written to the stream.
    pub(crate) fn written(&self) -> Vec<u8> {
        self.written.lock().clone()
    }

    /// Returns when nobody has the stream any more.
    pub(crate) async fn dropped(&self) {
        self.dropped.notified().await;
    }
}

/// Replaces a placeholder of the script, once something was written.
pub(crate) type Completed = fn(script: &[u8], written: &[u8]) -> Vec<u8>;

/// The stream.
pub(crate) struct Scripted {
    script: Bytes,
    at: usize,
    pieces: Pieces,
    then: Then,
    completed: Option<Completed>,
    /// Whether the reader was made to wait before the next piece.
    has_waited: bool,
    /// Whom a write wakes, since more may come then.
    reader: Option<Waker>,
    left: Arc<Left>,
}

impl Scripted {
    pub(crate) fn new(script: &[u8], pieces: Pieces, then: Then) -> (Self, Arc<Left>) {
        let left = Arc::<Left>::default();
        let script = Bytes::copy_from_slice(script);
        let stream = Self {
            script,
            at: 0,
            pieces,
            then,
            completed: None,
            has_waited: false,
            reader: None,
            left: Arc::clone(&left),
        };
        (stream, left)
    }

    /// The same, whose script begins once something was written, which completes it.
    pub(crate) fn answering(mut self, completed: Completed) -> Self {
        self.completed = Some(completed);
        self
    }

    fn wait(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_over(&self) -> bool {
        match self.then {
            Then::End => true,
            Then::EndIfGranted => self.left.written.lock().starts_with(b"HTTP/1.1 101 "),
        }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(completed) = self.completed {
            let script = {
                let written = self.left.written.lock();
                written.ends_with(b"\r\n\r\n").then(|| completed(&self.script, &written))
            };
            let Some(script) = script else { return self.wait(cx) };
            self.script = script.into();
            self.completed = None;
        }
        if self.at == self.script.len() {
            return if self.is_over() { Poll::Ready(Ok(())) } else { self.wait(cx) };
        }
        // Between two pieces everybody else gets a turn.
        self.has_waited = !self.has_waited && self.pieces != Pieces::WHOLE;
        if self.has_waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = self.pieces.length(self.at, &self.script).min(buf.remaining()).min(self.script.len() - self.at);
        buf.put_slice(&self.script[self.at..self.at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.left.written.lock().extend_from_slice(bytes);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Scripted {}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.left.dropped.notify_one();
    }
}
