//! Streams of a relay that are broken on purpose: frames get lost, or change places.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use slipstream::link::Stream;
use slipstream::listen::{Accepted, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is wrong with a stream. It hits one delivery in twenty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tamper {
    LosesFrames,
    SwapsFrames,
}

/// A listener whose streams are tampered with on the way out.
pub(crate) struct Tampering {
    inner: Box<dyn Listener>,
    tamper: Tamper,
}

impl Tampering {
    pub(crate) fn with(inner: Box<dyn Listener>, tamper: Tamper) -> Box<dyn Listener> {
        Box::new(Self { inner, tamper })
    }
}

#[async_trait]
impl Listener for Tampering {
    async fn accept(&self) -> io::Result<Accepted> {
        let accepted = self.inner.accept().await?;
        let frames =
            Frames { tamper: self.tamper, upgraded: false, unread: Vec::new(), deliveries: 0, held: Vec::new() };
        Ok(Accepted::after(accepted.remote(), async {
            let (inner, info) = accepted.handshake().await?;
            let stream: Box<dyn Stream> = Box::new(Tampered { inner, frames, outgoing: Vec::new() });
            Ok((stream, info))
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Cuts what a relay writes into frames, and passes them on as its tamper wants.
struct Frames {
    tamper: Tamper,
    /// Whether the answer to the upgrade request is through.
    upgraded: bool,
    unread: Vec<u8>,
    deliveries: u64,
    held: Vec<u8>,
}

impl Frames {
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.unread.extend_from_slice(bytes);
        if !self.upgraded {
            let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") else { return };
            out.extend(self.unread.drain(..end + 4));
            self.upgraded = true;
        }
        while let Some(len) = frame_len(&self.unread).filter(|len| *len <= self.unread.len()) {
            let frame: Vec<u8> = self.unread.drain(..len).collect();
            // An answer has no value.
            if !frame.windows(7).any(|seven| seven == b"\"value\"") {
                out.extend(frame);
                continue;
            }
            self.deliveries += 1;
            match (self.tamper, self.deliveries % 20) {
                (Tamper::LosesFrames, 0) => {}
                (Tamper::SwapsFrames, 0) => self.held = frame,
                _ => {
                    out.extend(frame);
                    out.append(&mut self.held);
                }
            }
        }
    }
}

/// The length of the unmasked frame at the front, with its head.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    match *bytes.get(1)? {
        126 => Some(4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok().map(|len| 10 + len),
        len => Some(2 + usize::from(len)),
    }
}

struct Tampered {
    inner: Box<dyn Stream>,
    frames: Frames,
    /// What is to be written; a flush writes it.
    outgoing: Vec<u8>,
}

impl Stream for Tampered {}

impl AsyncRead for Tampered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tampered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let this = &mut *self;
        this.frames.pass(bytes, &mut this.outgoing);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut *this.inner).poll_write(cx, &this.outgoing))?;
            this.outgoing.drain(..written);
        }
        Pin::new(&mut *this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut *self.inner).poll_shutdown(cx)
    }
}
