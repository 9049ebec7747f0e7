//! A well-behaved peer.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::websocket::{CLOSE, FIN, PING, PONG, Reader, TEXT};
use super::{Frame, Link, Relay, Response, upgrade, within};

/// A message that came.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its text as it came.
    pub text: String,
    /// The same, parsed.
    pub json: Value,
}

impl Message {
    /// A field that holds a string.
    pub fn string(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_else(|| panic!("{field} is no string in {}", self.text))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.string("messageId")
    }

    /// The bytes of a field's value.
    pub fn raw(&self, field: &str) -> String {
        let fields: HashMap<String, Box<RawValue>> = serde_json::from_str(&self.text).expect("an object");
        fields.get(field).unwrap_or_else(|| panic!("no {field} in {}", self.text)).get().to_owned()
    }
}

/// What can come over a link.
#[derive(Debug, Clone)]
pub enum Event {
    Message(Message),
    /// An ACK or NACK.
    Answer(Value),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The link ended, with this code and reason; 1006 without a Close frame.
    Closed(u16, String),
}

/// Waits for what comes next, without an answer to it.
pub async fn event(reader: &mut Reader) -> Event {
    let Ok(Frame { first, payload }) = reader.frame().await else { return Event::Closed(1006, String::new()) };
    match first {
        first if first == FIN | TEXT => {
            let text = String::from_utf8(payload).expect("text is UTF-8");
            let json: Value = serde_json::from_str(&text).expect("each text is JSON");
            match json["type"].as_str() {
                Some("ACK" | "NACK") => Event::Answer(json),
                _ => Event::Message(Message { text, json }),
            }
        }
        first if first == FIN | PING => Event::Ping(payload),
        first if first == FIN | PONG => Event::Pong(payload),
        first if first == FIN | CLOSE => {
            let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            Event::Closed(code, String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned())
        }
        other => panic!("a frame that begins with {other:#x}"),
    }
}

/// A peer with a link. It answers pings while it waits for something else.
#[derive(Debug)]
pub struct Peer {
    pub link: Link,
    answers: VecDeque<Value>,
    messages: VecDeque<Message>,
    pongs: VecDeque<Vec<u8>>,
    closed: Option<(u16, String)>,
}

impl Peer {
    /// Links with a relay; `query` says who it is, such as `id=a&tags=x,y`.
    pub async fn connect(relay: &Relay, query: &str) -> Self {
        Self::connect_with(relay, query, &[]).await
    }

    /// The same with headers.
    pub async fn connect_with(relay: &Relay, query: &str, headers: &[(&str, &str)]) -> Self {
        Self::connect_to(relay.links, query, headers).await
    }

    /// The same with a relay of which only the address is known.
    pub async fn connect_to(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Self {
        match within("a link", upgrade(address, &format!("/?{query}"), headers)).await {
            Ok(link) => Self::on(link),
            Err(refused) => panic!("{query} is refused: {refused:?}"),
        }
    }

    /// A peer with this link.
    pub fn on(link: Link) -> Self {
        Self { link, answers: VecDeque::new(), messages: VecDeque::new(), pongs: VecDeque::new(), closed: None }
    }

    /// Asks for a link that must be refused.
    pub async fn refused(relay: &Relay, target: &str, headers: &[(&str, &str)]) -> Response {
        match within("a refusal", upgrade(relay.links, target, headers)).await {
            Ok(_) => panic!("{target} {headers:?} is not refused"),
            Err(response) => response.unwrap_or_else(|| panic!("no response to {target} {headers:?}")),
        }
    }

    /// The id that the relay knows it by.
    pub fn id(&self) -> &str {
        self.link.response.header("slipstream-peer-id").expect("the response tells it")
    }

    /// Sends one text.
    pub async fn send(&mut self, text: impl ToString) {
        self.link.writer.text(&text.to_string());
        self.link.writer.flush().await.expect("the link is up");
    }

    async fn step(&mut self) {
        assert_eq!(self.closed, None, "something was awaited of a link that has ended");
        match within("something on a link", event(&mut self.link.reader)).await {
            Event::Message(message) => self.messages.push_back(message),
            Event::Answer(answer) => self.answers.push_back(answer),
            Event::Pong(payload) => self.pongs.push_back(payload),
            Event::Ping(payload) => {
                self.link.writer.frame(FIN | PONG, &payload);
                // Where the link has just ended, the next read tells.
                let _ = self.link.writer.flush().await;
            }
            Event::Closed(code, reason) => self.closed = Some((code, reason)),
        }
    }

    /// The next ACK or NACK.
    pub async fn answer(&mut self) -> Value {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return answer;
            }
            self.step().await;
        }
    }

    /// The next message, which it does not acknowledge.
    pub async fn message(&mut self) -> Message {
        // The pings that come meanwhile must not keep a test alive.
        within("a message", async {
            loop {
                if let Some(message) = self.messages.pop_front() {
                    return message;
                }
                self.step().await;
            }
        })
        .await
    }

    /// The next message, acknowledged.
    pub async fn take(&mut self) -> Message {
        let message = self.message().await;
        self.acknowledge(&message).await;
        message
    }

    /// The ids of the next messages, acknowledged.
    pub async fn take_ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.take().await.id().to_owned());
        }
        ids
    }

    /// Acknowledges a message.
    pub async fn acknowledge(&mut self, message: &Message) {
        let ack = json!({"type": "ACK", "messageId": message.id(), "clusterGroupId": message.json["clusterGroupId"]});
        self.send(ack).await;
    }

    /// Sends a message and waits for its ACK.
    pub async fn publish(&mut self, message: impl ToString) -> Value {
        self.send(message.to_string()).await;
        let answer = self.answer().await;
        assert_eq!(answer["type"], "ACK", "{answer} to {}", message.to_string());
        answer
    }

    /// Sends a message and waits for its NACK.
    pub async fn rejected(&mut self, message: impl ToString) -> Value {
        self.send(message.to_string()).await;
        let answer = self.answer().await;
        assert_eq!(answer["type"], "NACK", "{answer} to {}", message.to_string());
        answer
    }

    /// Waits for the pong to a ping with this payload.
    pub async fn ping(&mut self, payload: &[u8]) {
        self.link.writer.frame(FIN | PING, payload);
        self.link.writer.flush().await.expect("the link is up");
        while self.pongs.front().is_none_or(|pong| pong != payload) {
            self.pongs.pop_front();
            self.step().await;
        }
    }

    /// Closes the link with this code, and waits for its end.
    pub async fn close(mut self, code: u16) {
        self.link.writer.frame(FIN | CLOSE, &code.to_be_bytes());
        self.link.writer.flush().await.expect("the link lives");
        self.closed().await;
    }

    /// Waits for the end of the link; what comes before it is kept.
    pub async fn closed(&mut self) -> (u16, String) {
        // The pings that come meanwhile must not keep a test alive.
        within("the end of a link", async {
            loop {
                if let Some((code, reason)) = self.closed.clone() {
                    return (code, reason);
                }
                self.step().await;
            }
        })
        .await
    }

    /// Asserts that no message is there, nor comes in the next moment. A slow machine can only hide a fault here, never
    /// make one: before it is asked, everything that could have caused a message is awaited.
    pub async fn silent(&mut self) {
        while tokio::time::timeout(Duration::from_millis(200), self.link.reader.arrives()).await.is_ok() {
            self.step().await;
        }
        assert!(self.messages.is_empty(), "these came, and should not have: {:#?}", self.messages);
    }
}
