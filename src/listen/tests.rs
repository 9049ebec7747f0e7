//! Links over real sockets: how they are granted and refused, and a client against a relay that only echoes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use slipstream_store::{ClusterGroup, PeerId, PeerKind, Tag};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::client::{Client, ClientOptions, ConnectError, Received};
use crate::link::{
    CloseCode, Ended, FrameBatch, HandshakeError, Inbox, LinkControl, LinkLimits, Outbound, Role, Secret,
};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends back what comes.
#[derive(Debug, Default)]
struct Echo {
    texts: Mutex<Vec<Bytes>>,
    wake: Notify,
}

struct EchoInbox(Arc<Echo>);

impl Inbox for EchoInbox {
    async fn text(&mut self, text: Bytes) {
        assert_ne!(text, "panic", "a panic was asked for");
        self.0.texts.lock().push(text);
        self.0.wake.notify_one();
    }
}

impl Outbound for Echo {
    fn fill(&self, frames: &mut FrameBatch) {
        for text in self.texts.lock().drain(..) {
            frames.text_bytes(&text);
        }
    }

    async fn ready(&self) {
        self.wake.notified().await;
    }
}

/// Admits everyone but the peer `own`, and echoes.
#[derive(Debug, Default, Clone)]
struct EchoRelay {
    hellos: Arc<Mutex<Vec<Hello>>>,
    controls: Arc<Mutex<Vec<LinkControl>>>,
    ended: Arc<Mutex<Vec<Ended>>>,
    /// Admissions wait for this, where it is set.
    gate: Option<Arc<Semaphore>>,
}

struct EchoSeat {
    relay: EchoRelay,
    control: LinkControl,
}

#[async_trait]
impl Admission for EchoRelay {
    type Seat = EchoSeat;

    async fn admit(&self, hello: Hello) -> Result<(Welcome, EchoSeat), Refusal> {
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("open").forget();
        }
        if hello.id.as_ref().is_some_and(|id| id.as_str() == "own") {
            return Err(Refusal::bad_request("id: own is this relay's own"));
        }
        let welcome = Welcome {
            relay_id: PeerId::new("echo").expect("valid"),
            tags: vec![Tag::new("t1").expect("valid"), Tag::new("t2").expect("valid")].into(),
            group: ClusterGroup::new("g").expect("valid"),
            peer_id: hello.id.clone().unwrap_or_else(|| PeerId::new("anon-x").expect("valid")),
            max_message_bytes: 1 << 20,
        };
        self.hellos.lock().push(hello);
        let control = LinkControl::new();
        self.controls.lock().push(control.clone());
        Ok((welcome, EchoSeat { relay: self.clone(), control }))
    }
}

impl Seat for EchoSeat {
    async fn run(self, socket: Socket) {
        let echo = Arc::<Echo>::default();
        let inbox = EchoInbox(Arc::clone(&echo));
        let ended = link::run(socket, Role::Server, inbox, echo, LinkLimits::default(), self.control).await;
        self.relay.ended.lock().push(ended);
    }
}

struct Running {
    relay: EchoRelay,
    address: SocketAddr,
    shutdown: CancellationToken,
    tracker: TaskTracker,
    serving: JoinHandle<()>,
}

fn start(limits: ListenLimits) -> Running {
    start_with(limits, EchoRelay::default(), AllowAll)
}

fn start_with(limits: ListenLimits, relay: EchoRelay, authorizer: impl Authorizer) -> Running {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
    let serving =
        tokio::spawn(serve(Box::new(listener), relay.clone(), authorizer, limits, shutdown.clone(), tracker.clone()));
    Running { relay, address, shutdown, tracker, serving }
}

impl Running {
    fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    async fn connect(&self, id: &str) -> Result<Client, ConnectError> {
        let options = ClientOptions { id: Some(PeerId::new(id).expect("valid")), ..ClientOptions::default() };
        Client::connect(&self.url(), &options).await
    }

    /// Sends a request as it stands and reads the whole answer.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the answer ends");
        read.expect("read");
        String::from_utf8(answer).expect("text")
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

#[tokio::test]
async fn texts_go_both_ways_in_order() {
    let running = start(ListenLimits::default());
    let client = running.connect("app-1").await.expect("connected");
    assert_eq!(client.welcome().peer_id, Some(PeerId::new("app-1").expect("valid")));
    let (mut sender, mut receiver) = client.split();
    let texts: Vec<String> = (0..20_000).map(|n| format!("{{\"n\":{n},\"ö\":\"{}\"}}", "x".repeat(n % 300))).collect();
    let sending = async {
        for text in &texts {
            sender.send(text).await.expect("sent");
        }
        sender.flush().await.expect("flushed");
    };
    let receiving = async {
        for text in &texts {
            let received = receiver.next().await.expect("more").expect("a text");
            assert_eq!(received, Received::Text(Bytes::from(text.clone())));
        }
    };
    timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.expect("in time");
    sender.close().await.expect("closed in order");
    assert!(receiver.next().await.is_none());
    until("the relay's side ends", || !running.relay.ended.lock().is_empty()).await;
    let ended = running.relay.ended.lock().pop().expect("ended");
    assert!(matches!(ended, Ended::Peer { code: Some(CloseCode::NORMAL), .. }), "{ended}");
}
