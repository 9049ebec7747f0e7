//! A stream of bytes in TLS, from either end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::ahead::Ahead;
use super::stream::{ReadHalf, SendHalf, Stream, WriteHalf};
use crate::tls;

/// How much is encrypted before it is written: more than a batch of frames, which ends with the message that fills it.
/// At rustls' own 64 KiB the last bytes of each batch would be a write of their own.
const ENCRYPTED_AT_ONCE: usize = 128 << 10;

/// A stream on which the handshake of TLS is done.
///
/// What goes wrong is said in plain words. A far end that leaves without `close_notify` (RFC 8446 §6.1) has left, as over
/// TCP: whether it said all that it had to say is told by its frames.
pub(crate) struct Sealed(TlsStream<Ahead<Box<dyn Stream>>>);

impl Sealed {
    pub(crate) fn new(stream: impl Into<TlsStream<Ahead<Box<dyn Stream>>>>) -> Self {
        let mut stream = stream.into();
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED_AT_ONCE)),
            TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED_AT_ONCE)),
        }
        Self(stream)
    }
}

impl AsyncRead for Sealed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.0).poll_read(cx, buffer)) {
            Err(error) if tls::is_ordinary_leave(&error) => Poll::Ready(Ok(())),
            read => Poll::Ready(read.map_err(tls::said_plainly)),
        }
    }
}

impl AsyncWrite for Sealed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes).map_err(tls::said_plainly)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(tls::said_plainly)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx).map_err(tls::said_plainly)
    }
}

impl Stream for Sealed {
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let shared = Arc::new(Mutex::new(*self));
        (Box::new(Half(Arc::clone(&shared))), Box::new(Half(shared)))
    }

    fn untaken(&self) -> Option<u64> {
        self.0.get_ref().0.untaken()
    }
}

/// Either half: one state of TLS serves both directions, so they take turns. Neither waits while it holds the lock.
struct Half(Arc<Mutex<Sealed>>);

impl AsyncRead for Half {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Half {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(cx)
    }
}

impl SendHalf for Half {
    fn untaken(&self) -> Option<u64> {
        self.0.lock().untaken()
    }
}
