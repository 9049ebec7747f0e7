//! A WebSocket server written out by hand, which a relay dials.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::websocket::{CLOSE, FIN, PING, PONG, TEXT};
use super::{Event, Message, own_loopback, within};

/// Where a relay dials to.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// Its address.
    pub address: SocketAddr,
}

impl Server {
    /// Listens on a free port.
    pub async fn start() -> Self {
        Self::at((own_loopback(), 0).into()).await
    }

    /// Listens on this address.
    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("it has an address");
        Self { listener, address }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// The next dial.
    pub async fn dialled(&self) -> Dialled {
        let (stream, _) = within("a dial", self.listener.accept()).await.expect("it can be accepted");
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            within("an upgrade request", stream.read_line(&mut line)).await.expect("a line");
            match line.trim_end() {
                "" => return Dialled { stream, head },
                line => head.push(line.to_owned()),
            }
        }
    }

    /// Grants the next dial, with further headers.
    pub async fn granted(&self, headers: &[(&str, &str)]) -> ServerLink {
        self.dialled().await.grant(headers).await
    }

    /// Asserts that nobody dials in the next moment. A slow machine can only hide a fault here.
    pub async fn not_dialled(&self) {
        let dialled = tokio::time::timeout(std::time::Duration::from_millis(200), self.listener.accept()).await;
        assert!(dialled.is_err(), "the relay dialled, and should not have");
    }
}

/// An upgrade request that waits for its answer.
#[derive(Debug)]
pub struct Dialled {
    stream: BufReader<TcpStream>,
    head: Vec<String>,
}

impl Dialled {
    /// The first line of the request.
    pub fn line(&self) -> &str {
        &self.head[0]
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.iter().filter_map(|line| line.split_once(": "));
        headers.find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Answers as it stands here, and waits until the relay hangs up.
    pub async fn answer(mut self, answer: &str) {
        self.stream.write_all(answer.as_bytes()).await.expect("the relay listens");
        // However it ends.
        let _ = within("the end of the stream", self.stream.read_to_end(&mut Vec::new())).await;
    }

    /// Grants the link, with further headers.
    pub async fn grant(mut self, headers: &[(&str, &str)]) -> ServerLink {
        let key = self.header("sec-websocket-key").expect("a key");
        let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
            STANDARD.encode(digest)
        );
        for (name, value) in headers {
            answer += &format!("{name}: {value}\r\n");
        }
        answer += "\r\n";
        self.stream.write_all(answer.as_bytes()).await.expect("the relay listens");
        ServerLink { stream: self.stream }
    }
}

/// The server's end of a link.
#[derive(Debug)]
pub struct ServerLink {
    stream: BufReader<TcpStream>,
}

impl ServerLink {
    /// Sends a text.
    pub async fn send(&mut self, text: impl ToString) {
        self.frame(FIN | TEXT, text.to_string().as_bytes()).await;
    }

    /// Sends a frame, which a server does not mask.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = vec![first];
        match u16::try_from(payload.len()) {
            Ok(short @ 0..=125) => bytes.push(u8::try_from(short).expect("it is short")),
            Ok(middle) => {
                bytes.push(126);
                bytes.extend(middle.to_be_bytes());
            }
            Err(_) => {
                bytes.push(127);
                bytes.extend((payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend(payload);
        // Where the link has just ended, the next read tells.
        let _ = self.stream.write_all(&bytes).await;
    }

    /// What comes next. Pings are answered.
    pub async fn event(&mut self) -> Event {
        loop {
            let Ok((first, payload)) = within("something on a dialled link", self.read()).await else {
                return Event::Closed(1006, String::new());
            };
            if first == FIN | PING {
                self.frame(FIN | PONG, &payload).await;
            } else if first == FIN | CLOSE {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                self.frame(FIN | CLOSE, &payload).await;
                return Event::Closed(code, String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned());
            } else if first == FIN | TEXT {
                let text = String::from_utf8(payload).expect("text is UTF-8");
                let json: Value = serde_json::from_str(&text).expect("each text is JSON");
                return match json["type"].as_str() {
                    Some("ACK" | "NACK") => Event::Answer(json),
                    _ => Event::Message(Message { text, json }),
                };
            }
        }
    }

    /// The next message, which is not acknowledged.
    pub async fn message(&mut self) -> Message {
        match self.event().await {
            Event::Message(message) => message,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The next message, acknowledged.
    pub async fn take(&mut self) -> Message {
        let message = self.message().await;
        self.send(json!({"type": "ACK", "messageId": message.id()})).await;
        message
    }

    /// The next ACK or NACK.
    pub async fn answer(&mut self) -> Value {
        match self.event().await {
            Event::Answer(answer) => answer,
            other => panic!("expected an answer, got {other:?}"),
        }
    }

    /// Waits for the end of the link.
    pub async fn closed(&mut self) -> (u16, String) {
        within("the end of a link", async {
            loop {
                if let Event::Closed(code, reason) = self.event().await {
                    return (code, reason);
                }
            }
        })
        .await
    }

    async fn read(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        let second = self.stream.read_u8().await?;
        assert!(second & 0x80 != 0, "a client masks each frame");
        let length = match second & 0x7f {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        let mut mask = [0; 4];
        self.stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::try_from(length).expect("it fits")];
        self.stream.read_exact(&mut payload).await?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        Ok((first, payload))
    }
}
