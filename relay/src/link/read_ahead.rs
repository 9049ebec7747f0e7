//! A stream that is read in large pieces, for a reader that asks for small ones.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// How much is read at once: two of the largest records of TLS.
const PIECE: usize = 32 << 10;

/// Below TLS, because rustls asks for 4 KiB at a time: four calls of the operating system for a record of 16 KiB. While
/// nothing comes, no memory is kept.
pub(crate) struct ReadAhead {
    ahead: BytesMut,
    stream: Box<dyn Stream>,
}

impl ReadAhead {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { ahead: BytesMut::new(), stream }
    }

    /// The byte that is read next, which is not taken.
    ///
    /// # Errors
    /// The stream fails, or has ended.
    pub(crate) async fn first(&mut self) -> io::Result<u8> {
        if self.ahead.is_empty() {
            self.ahead.reserve(PIECE);
            self.stream.read_buf(&mut self.ahead).await?;
        }
        self.ahead.first().copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The stream without what was read of it.
    pub(crate) fn into_inner(self) -> Box<dyn Stream> {
        self.stream
    }

    /// How many of the bytes that were written the far end has not taken yet, if that can be known.
    pub(crate) fn untaken(&self) -> Option<u64> {
        self.stream.untaken()
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { ahead, stream } = self.get_mut();
        if ahead.is_empty() {
            ahead.reserve(PIECE);
            let read = pin!(stream.read_buf(ahead)).poll(cx);
            if ahead.is_empty() {
                *ahead = BytesMut::new();
            }
            ready!(read)?;
        }
        let count = ahead.len().min(buffer.remaining());
        buffer.put_slice(&ahead[..count]);
        ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn all_comes_in_order_and_no_memory_is_kept() {
        let (near, mut far) = tokio::io::duplex(3 * PIECE);
        let mut stream = ReadAhead::new(Box::new(near));
        let sent: Vec<u8> = (0..=250).cycle().take(2 * PIECE + 1).collect();
        far.write_all(&sent).await.expect("written");
        assert_eq!(stream.first().await.expect("it is there"), sent[0]);
        assert_eq!(stream.first().await.expect("it is there still"), sent[0]);
        let mut read = vec![0; sent.len()];
        for part in read.chunks_mut(4096) {
            stream.read_exact(part).await.expect("it is there");
        }
        assert_eq!(read, sent);
        let mut byte = [0];
        let more = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut byte)))).await;
        assert!(more.is_pending());
        assert_eq!(stream.ahead.capacity(), 0);
        drop(far);
        assert_eq!(stream.read(&mut byte).await.expect("the end"), 0);
        assert!(stream.first().await.is_err(), "nothing comes any more");
    }
}
