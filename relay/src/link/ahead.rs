//! A stream of which something was read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::{ReadHalf, Stream, WriteHalf};

/// Gives what was read already once more, and then what follows.
pub(crate) struct Ahead<S> {
    ahead: Bytes,
    stream: S,
}

impl Ahead<Box<dyn Stream>> {
    pub(crate) fn new(ahead: Bytes, stream: Box<dyn Stream>) -> Self {
        Self { ahead, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        if self.ahead.is_empty() {
            // The memory of it goes, too.
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Stream for Ahead<Box<dyn Stream>> {
    /// The halves of the stream itself, so that a link is no slower for what stood before it.
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let Self { ahead, stream } = *self;
        let (read, write) = stream.halves();
        if ahead.is_empty() { (read, write) } else { (Box::new(Ahead { ahead, stream: read }), write) }
    }

    fn untaken(&self) -> Option<u64> {
        self.stream.untaken()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_first_whole_and_in_halves() {
        for taken in 0..=5 {
            let (near, mut far) = tokio::io::duplex(64);
            far.write_all(b" then").await.expect("written");
            let mut ahead = Ahead::new(Bytes::from_static(b"first"), Box::new(near));
            let mut begin = vec![0; taken];
            ahead.read_exact(&mut begin).await.expect("it is there");
            let (mut read, mut write) = Box::new(ahead).halves();
            let mut rest = vec![0; 10 - taken];
            read.read_exact(&mut rest).await.expect("the rest is there");
            assert_eq!([begin, rest].concat(), b"first then");
            write.write_all(b"back").await.expect("written");
            write.flush().await.expect("flushed");
            let mut back = [0; 4];
            far.read_exact(&mut back).await.expect("it is there");
            assert_eq!(&back, b"back");
        }
    }
}
