//! The opening handshake, written out by hand, both sides (section 4).

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The example of section 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The lines of an HTTP head. It is read byte by byte, so that no frame is read with it.
async fn head(stream: &mut TcpStream) -> Vec<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).expect("a head is ASCII").lines().map(str::to_owned).collect()
}

/// A header, whatever the case of its name.
fn header<'h>(head: &'h [String], name: &str) -> Option<&'h str> {
    let mut headers = head.iter().filter_map(|line| line.split_once(':'));
    headers.find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Asks a server for a link and offers compression, which must be declined.
pub(crate) async fn ask(server: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.expect("the server listens");
    stream.set_nodelay(true).expect("an option of TCP");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the server listens");
    let head = head(&mut stream).await;
    assert!(head[0].starts_with("HTTP/1.1 101 "), "{head:?}");
    assert_eq!(header(&head, "Sec-WebSocket-Accept"), Some(ACCEPT), "{head:?}");
    assert_eq!(header(&head, "Sec-WebSocket-Extensions"), None, "compression is declined");
    stream
}

/// Grants a client that has connected its link.
pub(crate) async fn grant(stream: TcpStream) -> TcpStream {
    grant_with(stream, "").await
}

/// Grants a link, with these lines of further headers.
pub(crate) async fn grant_with(mut stream: TcpStream, headers: &str) -> TcpStream {
    stream.set_nodelay(true).expect("an option of TCP");
    let head = head(&mut stream).await;
    let key = header(&head, "Sec-WebSocket-Key").expect("a key");
    let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{headers}\r\n",
        STANDARD.encode(digest)
    );
    stream.write_all(answer.as_bytes()).await.expect("the client listens");
    stream
}
