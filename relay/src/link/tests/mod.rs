//! A running link against a peer that is written by hand, byte for byte.

mod closing;
mod flow;
mod hello;
mod keepalive;
mod violations;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::vec::Drain;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Keeps what comes, each text once a permit is there.
struct Kept {
    texts: Arc<Mutex<Vec<Bytes>>>,
    gate: Arc<Semaphore>,
}

impl Inbox for Kept {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        for text in texts {
            assert_ne!(text, "panic", "a panic was asked for");
            self.gate.acquire().await.expect("never closed").forget();
            self.texts.lock().push(text);
        }
    }
}

/// Sends what stands in it.
#[derive(Default)]
struct Waiting {
    texts: Mutex<VecDeque<String>>,
    wake: Notify,
}

impl Waiting {
    fn push(&self, text: impl Into<String>) {
        self.texts.lock().push_back(text.into());
        self.wake.notify_one();
    }
}

impl Outbound for Waiting {
    fn fill(&self, frames: &mut FrameBatch) {
        let mut texts = self.texts.lock();
        while !frames.is_full()
            && let Some(text) = texts.pop_front()
        {
            frames.text(|out| out.extend_from_slice(text.as_bytes()));
        }
    }

    async fn ready(&self) {
        self.wake.notified().await;
    }
}

/// The far end of a link.
struct Peer {
    stream: DuplexStream,
    masks: bool,
    texts: Arc<Mutex<Vec<Bytes>>>,
    gate: Arc<Semaphore>,
    outbound: Arc<Waiting>,
    control: LinkControl,
    running: JoinHandle<Ended>,
}

/// Small limits, and times that never come unless a test makes them.
fn limits() -> LinkLimits {
    LinkLimits {
        max_message_bytes: 1000,
        max_fragments: 4,
        heartbeat: PATIENCE * 100,
        idle_timeout: PATIENCE * 300,
        close_timeout: PATIENCE * 100,
        write_batch_bytes: 4096,
    }
}

/// A link in this role, and the peer at its far end.
fn start(role: Role, limits: LinkLimits) -> Peer {
    let (stream, own) = tokio::io::duplex(64 << 10);
    let texts = Arc::<Mutex<Vec<Bytes>>>::default();
    let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    let inbox = Kept { texts: Arc::clone(&texts), gate: Arc::clone(&gate) };
    let (outbound, control) = (Arc::<Waiting>::default(), LinkControl::new());
    let socket = Socket::new(Box::new(own));
    let running = tokio::spawn(run(socket, role, inbox, Arc::clone(&outbound), limits, control.clone()));
    Peer { stream, masks: role == Role::Server, texts, gate, outbound, control, running }
}

/// A frame with this first byte.
fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if masked { 0x80 } else { 0 };
    match u16::try_from(payload.len()) {
        Ok(len @ 0..126) => bytes.push(mask_bit | u8::try_from(len).expect("small")),
        Ok(len) => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    if masked {
        let mask = [0xA5, 0x5A, 0x0F, 0xF0];
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        bytes.extend_from_slice(payload);
    }
    bytes
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

impl Peer {
    async fn raw(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("in time").expect("written");
    }

    async fn send(&mut self, first: u8, payload: &[u8]) {
        let bytes = frame(first, payload, self.masks);
        self.raw(&bytes).await;
    }

    /// The next frame of the link: its first byte and its payload, unmasked.
    async fn receive(&mut self) -> (u8, Vec<u8>) {
        timeout(PATIENCE, self.read_frame()).await.expect("a frame in time")
    }

    async fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let first = self.stream.read_u8().await.expect("a frame");
        let second = self.stream.read_u8().await.expect("a length");
        assert_eq!(second & 0x80 != 0, !self.masks, "only clients mask");
        let len = match second & 0x7F {
            126 => usize::from(self.stream.read_u16().await.expect("a length")),
            127 => usize::try_from(self.stream.read_u64().await.expect("a length")).expect("small"),
            len => usize::from(len),
        };
        let mut mask = [0; 4];
        if !self.masks {
            self.stream.read_exact(&mut mask).await.expect("a mask");
        }
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).await.expect("a payload");
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (first, payload)
    }

    async fn expect_close(&mut self, code: u16) -> String {
        let (first, payload) = self.receive().await;
        assert_eq!(first, FIN | CLOSE);
        assert_eq!(payload[..2], code.to_be_bytes(), "{payload:?}");
        String::from_utf8(payload[2..].to_vec()).expect("a reason in UTF-8")
    }

    /// The link answers a ping: everything that was sent before has been read.
    async fn round_trip(&mut self) {
        self.send(FIN | PING, b"are you there").await;
        assert_eq!(self.receive().await, (FIN | PONG, b"are you there".to_vec()));
    }

    async fn ended(self) -> Ended {
        drop(self.stream);
        timeout(PATIENCE, self.running).await.expect("the link ends").expect("no panic")
    }

    fn texts(&self) -> Vec<String> {
        let texts = self.texts.lock();
        texts.iter().map(|text| String::from_utf8(text.to_vec()).expect("UTF-8")).collect()
    }
}
