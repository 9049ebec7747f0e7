//! The two ends of a connection, as the relay and the client see them.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use slipstream::link::{ReadHalf, SendHalf, Stream, WriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::Connection;
use super::pipe::{Pipe, Reading};
use super::routes::Network;

/// One end. It is closed when both halves are dropped.
struct End {
    network: Arc<Network>,
    connection: Arc<Connection>,
    side: usize,
}

impl End {
    fn outgoing(&self) -> &Pipe {
        &self.connection.pipes[self.side]
    }

    fn incoming(&self) -> &Pipe {
        &self.connection.pipes[1 - self.side]
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let unread = self.incoming().abandon();
        if !self.connection.is_dead(self.side) {
            let (weather, is_cut) = self.network.weather(self.outgoing());
            if unread {
                self.outgoing().reset(&weather, is_cut);
            } else {
                self.outgoing().end(&weather, is_cut);
            }
        }
        self.network.dropped(&self.connection, self.side);
    }
}

/// A stream over the simulated network.
pub(crate) struct SimStream {
    reader: Reader,
    writer: Writer,
}

struct Reader {
    end: Arc<End>,
    timer: Timer,
}

struct Writer {
    end: Arc<End>,
    timer: Timer,
}

/// Wakes its task at the moment it was set to last.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether the moment has come.
    fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl SimStream {
    pub(super) fn new(network: &Arc<Network>, connection: &Arc<Connection>, side: usize) -> Self {
        let end = Arc::new(End { network: Arc::clone(network), connection: Arc::clone(connection), side });
        let reader = Reader { end: Arc::clone(&end), timer: Timer::default() };
        Self { reader, writer: Writer { end, timer: Timer::default() } }
    }
}

impl Stream for SimStream {
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        (Box::new(self.reader), Box::new(self.writer))
    }
}

impl SendHalf for Writer {}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.end.connection.is_dead(this.end.side) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            match this.end.incoming().read(cx, buffer) {
                Reading::Done(done) => return Poll::Ready(done),
                Reading::Idle => return Poll::Pending,
                Reading::Until(at) if this.timer.poll(at, cx) => {}
                Reading::Until(_) => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let (end, incoming) = (&this.end, this.end.incoming());
        if end.connection.is_dead(end.side) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if incoming.is_reset() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let (weather, is_cut) = end.network.weather(end.outgoing());
        let (written, reader_gone) = end.outgoing().write(cx, bytes, &weather, is_cut);
        if reader_gone {
            // The answer of a host whose program has closed the connection.
            let (weather, is_cut) = end.network.weather(incoming);
            incoming.reset(&weather, is_cut);
        }
        if let (Poll::Pending, Some(at)) = (&written, incoming.reset_at())
            && this.timer.poll(at, cx)
        {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = &self.end;
        if end.connection.is_dead(end.side) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let (weather, is_cut) = end.network.weather(end.outgoing());
        end.outgoing().end(&weather, is_cut);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for SimStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
