//! HTTP as far as the tests need it.

use std::net::SocketAddr;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::within;

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// What it carries; empty for a 101.
    pub body: String,
}

impl Response {
    /// Reads a response, and its body where its length is told. `None` where the connection ended before it was whole.
    pub async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Self> {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut response = Self { status, headers: Vec::new(), body: String::new() };
        loop {
            line.clear();
            stream.read_line(&mut line).await.ok()?;
            match line.trim_end().split_once(": ").or(line.trim_end().split_once(':')) {
                Some((name, value)) => response.headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None if line == "\r\n" => break,
                None => return None,
            }
        }
        let body = if response.header("transfer-encoding") == Some("chunked") {
            chunks(stream).await?
        } else {
            let length = response.header("content-length").map_or(0, |length| length.parse().expect("a length"));
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            body
        };
        response.body = String::from_utf8(body).expect("a body of UTF-8");
        Some(response)
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A body that comes in chunks, each with its length before it.
async fn chunks(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; length + "\r\n".len()];
        stream.read_exact(&mut chunk).await.ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(&chunk[..length]);
    }
}

/// Asks for a page.
pub async fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, "", "").await
}

/// Puts JSON.
pub async fn put(address: SocketAddr, path: &str, json: &str) -> Response {
    request(address, "PUT", path, "Content-Type: application/json\r\n", json).await
}

/// Sends a request with further headers, each with its line end.
pub async fn request(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Response {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    let asking = async {
        let mut stream = BufReader::new(TcpStream::connect(address).await.ok()?);
        stream.write_all(request.as_bytes()).await.ok()?;
        Response::read(&mut stream).await
    };
    within(path, asking).await.unwrap_or_else(|| panic!("{address} does not answer {path}"))
}
