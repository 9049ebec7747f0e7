//! Links over real sockets: how they are granted and refused, and a client against a relay that only echoes.

mod counting;
mod credentials;
mod failures;
mod proxies;
mod refusals;
mod transport;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::vec::Drain;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use slipstream_store::{ClusterGroup, PeerId, PeerKind, Tag};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::door::{MAX_HEADERS, MAX_REQUEST_BYTES};
use super::*;
use crate::client::{Client, ClientOptions, ConnectError, Received};
use crate::link::{
    self, CloseCode, Ended, FrameBatch, HandshakeError, Hello, Inbox, LinkControl, LinkLimits, Outbound, Refusal,
    RetryAfter, Role, Secret, Socket, Welcome,
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
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        for text in texts {
            assert_ne!(text, "panic", "a panic was asked for");
            self.0.texts.lock().push(text);
            self.0.wake.notify_one();
        }
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

/// The address of a peer, and the name of its principal.
type Admitted = (SocketAddr, Option<String>);

/// Admits everyone but the peer `own`, and echoes.
#[derive(Debug, Default, Clone)]
struct EchoRelay {
    hellos: Arc<Mutex<Vec<Hello>>>,
    admitted: Arc<Mutex<Vec<Admitted>>>,
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

    async fn admit(
        &self,
        hello: Hello,
        remote: SocketAddr,
        principal: Principal,
    ) -> Result<(Welcome, EchoSeat), Refusal> {
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
        self.admitted.lock().push((remote, principal.name().map(str::to_owned)));
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
    serving: JoinHandle<JoinSet<()>>,
}

fn start(limits: ListenLimits) -> Running {
    start_with(limits, EchoRelay::default(), AllowAll)
}

fn start_with(limits: ListenLimits, relay: EchoRelay, authorizer: impl Authorizer) -> Running {
    start_on(Box::new(listener()), limits, relay, authorizer)
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port")
}

fn start_on(
    listener: Box<dyn Listener>,
    limits: ListenLimits,
    relay: EchoRelay,
    authorizer: impl Authorizer,
) -> Running {
    let address = listener.local_addr().expect("an address");
    let (shutdown, tracker, authorizer) = (CancellationToken::new(), TaskTracker::new(), Arc::new(authorizer));
    let serving = tokio::spawn(serve(listener, relay.clone(), authorizer, limits, shutdown.clone(), tracker.clone()));
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
        if request.contains("app-1") {
            // A link that is granted ends when the peer does.
            stream.read_buf(&mut answer).await.expect("an answer");
            stream.shutdown().await.expect("shut down");
        }
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

#[tokio::test]
async fn the_welcome_says_who_the_relay_is() {
    let running = start(ListenLimits::default());
    let answer = running.ask(&upgrade("/?id=app-1", "")).await;
    let lines: Vec<String> = answer.to_lowercase().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "http/1.1 101 switching protocols");
    for header in [
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
        "connection: upgrade",
        "upgrade: websocket",
        "slipstream-id: echo",
        "slipstream-tags: t1,t2",
        "slipstream-cluster-group: g",
        "slipstream-kind: relay",
        "slipstream-protocol: 1",
        "slipstream-accept: ack-batch",
        "slipstream-max-message-bytes: 1048576",
        "slipstream-peer-id: app-1",
    ] {
        assert!(lines.iter().any(|line| line == header), "{header} in {answer}");
    }
}

#[tokio::test]
async fn the_answer_to_a_request_that_also_says_close_is_an_upgrade_alone() {
    let running = start(ListenLimits::default());
    for lines in [
        "Connection: close, Upgrade",
        "Connection: Upgrade, close",
        "Connection: close\r\nConnection: upgrade",
        "connection: UPGRADE\r\nCONNECTION: Close",
        "Connection: keep-alive, upgrade,close",
    ] {
        let request = upgrade("/?id=app-1", "").replace("Connection: Upgrade", lines);
        let answer = running.ask(&request).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{lines}: {answer}");
        let connection: Vec<&str> = answer.lines().filter(|line| line.starts_with("connection:")).collect();
        assert_eq!(connection, ["connection: upgrade"], "{lines}: {answer}");
    }
}

#[tokio::test]
async fn a_subprotocol_is_echoed_and_a_credential_is_not() {
    let running = start(ListenLimits::default());
    for offer in ["slipstream.v1", "mqtt, slipstream.v1", "slipstream.bearer.s3cret,slipstream.v1"] {
        let answer = running.ask(&upgrade("/?id=app-1", &format!("Sec-WebSocket-Protocol: {offer}\r\n"))).await;
        let echoed: Vec<&str> = answer.lines().filter(|line| line.starts_with("Sec-WebSocket-Protocol")).collect();
        assert_eq!(echoed, ["Sec-WebSocket-Protocol: slipstream.v1"], "{answer}");
        assert!(!answer.contains("s3cret"), "{answer}");
    }
    assert_eq!(running.relay.hellos.lock().len(), 3);
    for offer in ["mqtt", "slipstream.v2", "slipstream.bearer.s3cret"] {
        let answer = running.ask(&upgrade("/?id=app-2", &format!("Sec-WebSocket-Protocol: {offer}\r\n"))).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("expected slipstream.v1"), "{answer}");
        assert!(!answer.contains("s3cret"), "{answer}");
    }
    assert_eq!(running.relay.hellos.lock().len(), 3, "who is refused is not admitted first");
}

/// An upgrade request, with further header lines; half of the stream is closed after it by whoever asks.
fn upgrade(target: &str, further: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{further}\r\n"
    )
}

#[tokio::test]
async fn everything_a_client_says_arrives() {
    let running = start(ListenLimits::default());
    let options = ClientOptions {
        id: Some(PeerId::new("relay-2").expect("valid")),
        tags: vec![Tag::new("a").expect("valid"), Tag::new("b").expect("valid")],
        group: Some(ClusterGroup::new("cluster").expect("valid")),
        ack_batch: true,
        as_relay: true,
        max_message_bytes: Some(4096),
        token: Some(Secret::new("s3cret".to_owned())),
        ..ClientOptions::default()
    };
    let client = Client::connect(&running.url(), &options).await.expect("connected");
    let announced = client.welcome();
    assert_eq!(announced.id.as_ref().map(PeerId::as_str), Some("echo"));
    assert_eq!(announced.group.as_ref().map(ClusterGroup::as_str), Some("g"));
    assert!(announced.is_relay && announced.accepts_ack_batch);
    assert_eq!(announced.max_message_bytes, Some(1 << 20));
    assert_eq!(announced.tags.as_deref().map(|tags| tags.iter().map(Tag::as_str).collect()), Some(vec!["t1", "t2"]));
    let hello = running.relay.hellos.lock().pop().expect("a hello");
    assert_eq!(hello.id, options.id);
    assert_eq!(hello.tags.to_vec(), options.tags);
    assert_eq!(Some(hello.group), options.group);
    assert_eq!((hello.kind, hello.accepts_ack_batch), (PeerKind::Relay, true));
    assert_eq!((hello.max_message_bytes, hello.token), (Some(4096), options.token));
    let (remote, principal) = running.relay.admitted.lock().pop().expect("admitted");
    assert!(remote.ip().is_loopback());
    assert_eq!(principal, None, "nobody asked for a credential");
}

#[tokio::test]
async fn a_close_of_the_relay_reaches_the_client() {
    let running = start(ListenLimits::default());
    let client = running.connect("app-1").await.expect("connected");
    running.relay.controls.lock()[0].close(CloseCode::TAKEN_OVER, "taken over");
    let (mut sender, mut receiver) = client.split();
    let received = timeout(PATIENCE, receiver.next()).await.expect("in time").expect("an end").expect("in order");
    let expected = Received::Closed { code: Some(CloseCode::TAKEN_OVER), reason: "taken over".to_owned() };
    assert_eq!(received, expected);
    assert!(receiver.next().await.is_none());
    assert!(sender.send("late").await.is_err());
    until("the relay's side ends", || !running.relay.ended.lock().is_empty()).await;
    let ended = running.relay.ended.lock().pop().expect("ended");
    assert!(matches!(ended, Ended::Local { answered: true, .. }), "{ended}");
}

#[tokio::test]
async fn acknowledgements_are_what_the_protocol_says() {
    let running = start(ListenLimits::default());
    let (mut sender, mut receiver) = running.connect("app-1").await.expect("connected").split();
    let id = |text: &str| slipstream_store::MessageId::new(text).expect("valid");
    let group = ClusterGroup::singleton();
    sender.acknowledge(&[], None).await.expect("sent");
    sender.acknowledge(&[id("a\"\\")], None).await.expect("sent");
    sender.acknowledge(&[id("a"), id("b")], Some(&group)).await.expect("sent");
    for expected in [
        r#"{"type":"ACK","messageId":"a\"\\"}"#,
        r#"{"type":"ACK","messageIds":["a","b"],"clusterGroupId":"singleton"}"#,
    ] {
        let received = timeout(PATIENCE, receiver.next()).await.expect("in time");
        assert_eq!(received.expect("more").expect("a text"), Received::Text(Bytes::from(expected)));
    }
}

#[tokio::test]
async fn a_client_whose_receiver_nobody_asks_can_still_close() {
    let running = start(ListenLimits::default());
    let (mut sender, mut receiver) = running.connect("app-1").await.expect("connected").split();
    // More comes back than the client holds, but not more than the sockets do.
    for _ in 0..100 {
        sender.send(&"x".repeat(8000)).await.expect("sent");
    }
    sender.flush().await.expect("flushed");
    assert!(receiver.next().await.is_some_and(|first| first.is_ok()));
    timeout(PATIENCE, sender.close()).await.expect("in time").expect("closed");
}

#[tokio::test]
async fn one_panic_ends_one_link() {
    let running = start(ListenLimits::default());
    let (mut unlucky, _receiver) = running.connect("unlucky").await.expect("connected").split();
    let (mut sender, mut receiver) = running.connect("lucky").await.expect("connected").split();
    unlucky.send("panic").await.expect("sent");
    until("one link ends", || !running.relay.ended.lock().is_empty()).await;
    assert!(matches!(running.relay.ended.lock()[0], Ended::Panicked));
    sender.send("still here").await.expect("sent");
    assert_eq!(receiver.next().await.expect("more").expect("a text"), Received::Text(Bytes::from("still here")));
    running.connect("another").await.expect("new links are granted");
}

#[tokio::test]
async fn a_shutdown_stops_accepting_and_leaves_the_links() {
    let running = start(ListenLimits::default());
    let client = running.connect("app-1").await.expect("connected");
    let mut half = TcpStream::connect(running.address).await.expect("connected");
    until("both are there", || running.tracker.len() == 2).await;
    running.shutdown.cancel();
    let links = timeout(PATIENCE, running.serving).await.expect("in time").expect("no panic");
    let read = timeout(PATIENCE, half.read(&mut [0; 1])).await.expect("a handshake under way is dropped");
    assert_eq!(read.unwrap_or(0), 0);
    let (mut sender, mut receiver) = client.split();
    sender.send("still here").await.expect("sent");
    assert!(receiver.next().await.expect("more").is_ok());
    running.relay.controls.lock()[0].close(CloseCode::AWAY, "shutting down");
    running.tracker.close();
    timeout(PATIENCE, running.tracker.wait()).await.expect("the links end");
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens");
    drop(links);
}

#[tokio::test]
async fn whoever_drops_the_listener_drops_its_links() {
    let running = start(ListenLimits::default());
    let client = running.connect("app-1").await.expect("connected");
    running.serving.abort();
    let (_sender, mut receiver) = client.split();
    let ended = timeout(PATIENCE, receiver.next()).await.expect("in time").expect("more");
    assert!(ended.is_err(), "{ended:?}");
    running.tracker.close();
    timeout(PATIENCE, running.tracker.wait()).await.expect("nothing runs any more");
}

#[tokio::test(start_paused = true)]
async fn failed_accepts_are_not_tried_again_at_once() {
    #[derive(Default, Clone)]
    struct Failing(Arc<std::sync::atomic::AtomicU32>);
    #[async_trait]
    impl Listener for Failing {
        async fn accept(&self) -> io::Result<Accepted> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Err(io::Error::other("too many open files"))
        }
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Err(io::Error::other("nowhere"))
        }
    }
    let (failing, shutdown) = (Failing::default(), CancellationToken::new());
    let (listener, relay) = (Box::new(failing.clone()), EchoRelay::default());
    let serving = serve(listener, relay, Arc::new(AllowAll), ListenLimits::default(), shutdown, TaskTracker::new());
    let _ = timeout(Duration::from_secs(100), serving).await;
    let tries = failing.0.load(std::sync::atomic::Ordering::Relaxed);
    assert!((100..120).contains(&tries), "{tries} tries in 100 s");
}

#[tokio::test]
async fn a_server_that_is_no_relay_is_told_from_one_that_breaks_the_handshake() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    for (accept, fault) in [("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Accept"), ("", "Sec-WebSocket-Accept")] {
        let serving = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.expect("written");
            stream
        };
        let options = ClientOptions::default();
        let (connected, _stream) = tokio::join!(Client::connect(&url, &options), serving);
        let error = connected.expect_err("the key was another one").to_string();
        assert!(error.contains(fault), "{error}");
    }
    drop(listener);
    let error = Client::connect(&url, &ClientOptions::default()).await.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}
