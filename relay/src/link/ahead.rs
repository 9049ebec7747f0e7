//! A stream of which something was read already, or more is read than was asked for.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::stream::{ReadHalf, Stream, WriteHalf};

/// How much is read at once in large pieces: two of the largest records of TLS, and four times what the parser of frames
/// asks for.
const PIECE: usize = 32 << 10;

/// Gives what was read already once more, and then what follows. While nothing is left of it and nothing comes, no memory
/// is kept.
pub(crate) struct Ahead<S> {
    ahead: BytesMut,
    /// How much is read at once, if less is asked for.
    piece: usize,
    stream: S,
}

impl<S> Ahead<S> {
    /// A stream of which `ahead` was read already.
    pub(crate) fn new(ahead: BytesMut, stream: S) -> Self {
        Self { ahead, piece: 0, stream }
    }

    /// How much is left of what was read.
    pub(crate) fn left(&self) -> usize {
        self.ahead.len()
    }

    /// From now on reads in large pieces, or what is asked for.
    pub(crate) fn read_in_pieces(&mut self, large: bool) {
        self.piece = if large { PIECE } else { 0 };
    }
}

impl Ahead<Box<dyn Stream>> {
    /// A stream that is read in large pieces. For below TLS: rustls asks for 4 KiB at a time, which would be four calls of
    /// the operating system for a record of 16 KiB.
    pub(crate) fn in_pieces(stream: Box<dyn Stream>) -> Self {
        Self { ahead: BytesMut::new(), piece: PIECE, stream }
    }

    /// The byte that is read next, which is not taken.
    ///
    /// # Errors
    /// The stream fails, or has ended.
    pub(crate) async fn first(&mut self) -> io::Result<u8> {
        if self.ahead.is_empty() {
            self.ahead.reserve(self.piece.max(1));
            self.stream.read_buf(&mut self.ahead).await?;
        }
        self.ahead.first().copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The stream without what was read of it.
    pub(crate) fn into_inner(self) -> Box<dyn Stream> {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { ahead, piece, stream } = self.get_mut();
        if ahead.is_empty() && buffer.remaining() >= *piece {
            *ahead = BytesMut::new();
            return Pin::new(stream).poll_read(cx, buffer);
        }
        if ahead.is_empty() {
            ahead.reserve(*piece);
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
        let Self { ahead, piece, stream } = *self;
        let (read, write) = stream.halves();
        if ahead.is_empty() { (read, write) } else { (Box::new(Ahead { ahead, piece, stream: read }), write) }
    }

    fn untaken(&self) -> Option<u64> {
        self.stream.untaken()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_first_whole_and_in_halves() {
        for taken in 0..=5 {
            let (near, mut far) = tokio::io::duplex(64);
            far.write_all(b" then").await.expect("written");
            let near: Box<dyn Stream> = Box::new(near);
            let mut ahead = Ahead::new(BytesMut::from("first"), near);
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

    #[tokio::test]
    async fn a_stream_in_pieces_gives_all_in_order_and_keeps_no_memory() {
        let (near, mut far) = tokio::io::duplex(3 * PIECE);
        let mut stream = Ahead::in_pieces(Box::new(near));
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
