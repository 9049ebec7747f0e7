//! A link or a listener that is run on a stream, in time that passes by itself when everybody waits.

use std::future::{Future, pending};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::vec::Drain;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use slipstream::link::{
    CloseCode, Ended, FrameBatch, Hello, Inbox, LinkControl, LinkLimits, Outbound, Refusal, Role, Socket, Stream,
    Welcome, run,
};
use slipstream::listen::{Accepted, Admission, AllowAll, ListenLimits, Listener, Principal, Seat, serve};
use slipstream_store::{ClusterGroup, PeerId};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where every connection comes from: an address that [`serving`] trusts as a proxy.
pub(crate) const REMOTE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), 4711);

thread_local! {
    static RUNTIME: Runtime = runtime();
}

#[expect(clippy::expect_used, reason = "without a runtime nothing can be tried")]
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Runs this to its end.
pub(crate) fn alone<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// How a link ended, as far as that follows from what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The far end closed it.
    Closed(Option<CloseCode>, String),
    /// The far end broke a rule.
    Violation(CloseCode),
    /// The stream ended without a Close.
    Lost,
}

/// What came of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) texts: Vec<Bytes>,
    pub(crate) end: End,
}

struct Kept(Arc<Mutex<Vec<Bytes>>>);

impl Inbox for Kept {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        for text in texts {
            self.0.lock().push(text);
        }
    }
}

/// Nothing to send.
struct Mute;

impl Outbound for Mute {
    fn fill(&self, _: &mut FrameBatch) {}

    async fn ready(&self) {
        pending().await
    }
}

/// Runs a link to its end.
pub(crate) async fn linked(socket: Socket, role: Role, limits: LinkLimits) -> Outcome {
    let texts = Arc::<Mutex<Vec<Bytes>>>::default();
    let ended = run(socket, role, Kept(Arc::clone(&texts)), Arc::new(Mute), limits, LinkControl::new()).await;
    let end = match &ended {
        Ended::Peer { code, reason } => Some(End::Closed(*code, reason.clone())),
        Ended::Violation { code, .. } => Some(End::Violation(*code)),
        Ended::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(End::Lost),
        _ => None,
    };
    let texts = texts.lock().clone();
    assert!(end.is_some(), "a link ended as none can on a stream that ends: {ended}");
    Outcome { texts, end: end.unwrap_or(End::Lost) }
}

/// What a listener made of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) hello: Hello,
    pub(crate) remote: SocketAddr,
    /// What came of its link, once that has ended.
    pub(crate) outcome: Option<Outcome>,
}

type Admissions = Arc<Mutex<Option<Admitted>>>;

/// Lets everyone in.
struct Everyone {
    admitted: Admissions,
    limits: LinkLimits,
}

#[async_trait]
#[expect(clippy::expect_used, reason = "these are names")]
impl Admission for Everyone {
    type Seat = Place;

    async fn admit(&self, hello: Hello, remote: SocketAddr, _: Principal) -> Result<(Welcome, Place), Refusal> {
        let peer_id = hello.id.clone().unwrap_or_else(|| PeerId::new("anonymous").expect("an id"));
        let former = self.admitted.lock().replace(Admitted { hello, remote, outcome: None });
        assert!(former.is_none(), "one request is answered");
        let welcome = Welcome {
            relay_id: PeerId::new("relay").expect("an id"),
            tags: Arc::from([]),
            group: ClusterGroup::singleton(),
            peer_id,
            max_message_bytes: self.limits.max_message_bytes as u64,
        };
        Ok((welcome, Place { admitted: Arc::clone(&self.admitted), limits: self.limits.clone() }))
    }
}

struct Place {
    admitted: Admissions,
    limits: LinkLimits,
}

impl Seat for Place {
    async fn run(self, socket: Socket) {
        let outcome = linked(socket, Role::Server, self.limits).await;
        if let Some(admitted) = self.admitted.lock().as_mut() {
            admitted.outcome = Some(outcome);
        }
    }
}

/// Gives one connection, and then none.
pub(crate) struct Once(Mutex<Option<Box<dyn Stream>>>);

impl Once {
    pub(crate) fn new(stream: impl Stream) -> Self {
        Self(Mutex::new(Some(Box::new(stream))))
    }
}

#[async_trait]
impl Listener for Once {
    async fn accept(&self) -> io::Result<Accepted> {
        let stream = self.0.lock().take();
        match stream {
            Some(stream) => Ok(Accepted::plain(stream, REMOTE)),
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(REMOTE)
    }
}

/// Lets a listener serve its one connection, until `served` returns. Returns who was admitted.
pub(crate) async fn serving<T>(
    listener: impl Listener + 'static,
    limits: LinkLimits,
    served: impl Future<Output = T>,
) -> (Option<Admitted>, T) {
    let admitted = Admissions::default();
    let everyone = Everyone { admitted: Arc::clone(&admitted), limits };
    let trusted_proxies = "10.0.0.0/8".parse().unwrap_or_default();
    let limits =
        ListenLimits { trusted_proxies, handshake_timeout: Duration::from_millis(250), ..ListenLimits::default() };
    let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
    let serving = tokio::spawn(serve(
        Box::new(listener),
        everyone,
        Arc::new(AllowAll),
        limits,
        shutdown.clone(),
        tracker.clone(),
    ));
    let served = served.await;
    shutdown.cancel();
    tracker.close();
    tracker.wait().await;
    assert!(serving.await.is_ok(), "the listener panicked");
    let admitted = admitted.lock().take();
    (admitted, served)
}
