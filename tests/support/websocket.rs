//! A WebSocket written out by hand, so that a test can also write what no library would (RFC 6455).

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf,
    split,
};
use tokio::net::TcpStream;

use super::Response;

/// First bytes of frames: the opcodes, and the bit of a message's last frame.
pub const FIN: u8 = 0x80;
pub const CONTINUE: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A stream of bytes, over TLS or not.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for S {}

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its first byte: FIN, the reserved bits, the opcode.
    pub first: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A frame as a client sends it, masked; `first` is its first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    bytes.push(first);
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).expect("it is short")),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(middle).expect("it fits").to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The reading side of a link.
#[derive(Debug)]
pub struct Reader(BufReader<ReadHalf<Box<dyn Stream>>>);

impl Reader {
    /// Waits until something is there to read, also the end. It can be cancelled.
    pub async fn arrives(&mut self) {
        // Where it fails, the next read tells.
        let _ = self.0.fill_buf().await;
    }

    /// The next frame; an error of kind `UnexpectedEof` or `ConnectionReset` where the link has ended.
    pub async fn frame(&mut self) -> io::Result<Frame> {
        let first = self.0.read_u8().await?;
        let length = match self.0.read_u8().await? {
            126 => u64::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await?,
            // A server that masks has a length above 127 here, and fails the assertion.
            short => u64::from(short),
        };
        assert!(length < 1 << 30, "a server sends neither masked nor endless frames: {length}");
        let mut payload = vec![0; usize::try_from(length).expect("it fits")];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { first, payload })
    }
}

/// The writing side of a link. Frames are collected until [`flush`](Self::flush).
#[derive(Debug)]
pub struct Writer {
    stream: WriteHalf<Box<dyn Stream>>,
    waiting: Vec<u8>,
}

impl Writer {
    /// Adds a frame.
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.waiting.extend(frame(first, payload));
    }

    /// Adds a text message in one frame.
    pub fn text(&mut self, text: &str) {
        self.frame(FIN | TEXT, text.as_bytes());
    }

    /// Sends what was added.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.waiting).await?;
        self.waiting.clear();
        self.stream.flush().await
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Bytes that were added and not sent.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Both sides of a link.
#[derive(Debug)]
pub struct Link {
    pub reader: Reader,
    pub writer: Writer,
    /// The response to the upgrade request.
    pub response: Response,
}

/// Asks for a link. `target` is the path with the query. Where it is refused, the error is the response; `None` where
/// there was no whole one.
pub async fn upgrade(relay: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Result<Link, Option<Response>> {
    upgrade_after(relay, "", target, headers).await
}

/// The same, for which this stands before the request, such as the header of a proxy.
pub async fn upgrade_after(
    relay: SocketAddr,
    before: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Link, Option<Response>> {
    let stream = TcpStream::connect(relay).await.map_err(|_| None)?;
    stream.set_nodelay(true).map_err(|_| None)?;
    upgrade_over(Box::new(stream), before, target, headers).await
}

/// The same over a stream that is there.
pub async fn upgrade_over(
    stream: Box<dyn Stream>,
    before: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Link, Option<Response>> {
    let (read, mut stream) = split(stream);
    let mut request = format!(
        "{before}GET {target} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await.map_err(|_| None)?;
    stream.flush().await.map_err(|_| None)?;
    let mut reader = BufReader::with_capacity(64 * 1024, read);
    let response = Response::read(&mut reader).await.ok_or(None)?;
    if response.status != 101 {
        return Err(Some(response));
    }
    // The answer to this key in RFC 6455, section 1.3.
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    Ok(Link { reader: Reader(reader), writer: Writer { stream, waiting: Vec::new() }, response })
}
