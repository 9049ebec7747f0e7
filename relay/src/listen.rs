//! How links begin that others dial: accepts streams, answers their upgrade requests, and seats those who are admitted.
//!
//! Nothing here decides who a peer is or what follows: that is the [`Admission`]'s. What an unknown peer can take is
//! bounded: the number of its connections, the time of its handshake, and the memory of its request.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::descriptors::{self, KEPT_FROM_LINKS};
use crate::link::{self, Hello, Refusal, Socket, Stream, Welcome, awake};
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// Largest head of an upgrade request. It is the smallest that hyper knows.
const MAX_REQUEST_BYTES: usize = 8192;
/// Most headers of an upgrade request.
const MAX_HEADERS: usize = 64;
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// First and longest pause after an accept that failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];
/// How much and how long is read after a refusal, so that it is not lost in a reset of the stream.
const LINGER_BYTES: u64 = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Where streams come from.
#[async_trait]
pub trait Listener: Send + Sync {
    /// The next stream, and where it comes from.
    ///
    /// # Errors
    /// Where one could not be accepted. The caller tries again after a pause.
    ///
    /// # Cancellation
    /// No stream is lost.
    async fn accept(&self) -> io::Result<(Box<dyn Stream>, SocketAddr)>;

    /// Where it listens.
    ///
    /// # Errors
    /// Where the system does not tell.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Listens on a TCP port.
#[derive(Debug)]
pub struct TcpListener(tokio::net::TcpListener);

impl TcpListener {
    /// Listens on this address; port 0 is any free one. Called within a tokio runtime.
    ///
    /// # Errors
    /// Where the address is not to be had.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the old connections to time out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG).map(Self)
    }
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&self) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let (stream, remote) = self.0.accept().await?;
        if descriptors::is_kept_back(&stream, KEPT_FROM_LINKS) {
            return Err(io::Error::other(
                "every file that this process may open is in use (ulimit -n); the rest is kept back",
            ));
        }
        // Writes are gathered already; Nagle's algorithm would only hold them back.
        stream.set_nodelay(true)?;
        Ok((Box::new(stream), remote))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// What a listener keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenLimits {
    /// Most connections, counted from when they are accepted. One more is told 503, unless it takes over a link.
    pub max_connections: usize,
    /// Most connections over that limit at a time: until they have said who they are and were told 503, or until the link
    /// that they take over has ended. One more is dropped.
    pub max_beyond: usize,
    /// How long a peer may take from connecting until its link is granted.
    pub handshake_timeout: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self { max_connections: 10_000, max_beyond: 256, handshake_timeout: Duration::from_secs(10) }
    }
}

/// Checks the credential of a peer that asks for a link.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Whether this peer may be who and what it says.
    ///
    /// # Errors
    /// 401 or 403, which the peer gets.
    async fn authorize(&self, hello: &Hello) -> Result<(), Refusal>;
}

/// Asks for no credential.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

#[async_trait]
impl Authorizer for AllowAll {
    async fn authorize(&self, _: &Hello) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Decides who gets a link.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// What a peer that is admitted gets.
    type Seat: Seat;

    /// Admits a peer, before it is told so.
    ///
    /// # Errors
    /// Why not; the peer gets it.
    ///
    /// # Cancellation
    /// The future is dropped where it stands when the handshake takes too long, or the listener shuts down.
    async fn admit(&self, hello: Hello) -> Result<(Welcome, Self::Seat), Refusal>;

    /// Whether a peer has a link from this listener that a new one of it takes over. Where the listener is full, only
    /// such a peer gets in.
    fn takes_over(&self, _: &Hello) -> bool {
        false
    }
}

/// A peer that was admitted. It is dropped unused where the peer went away before its link began.
pub trait Seat: Send + 'static {
    /// Runs the link.
    fn run(self, socket: Socket) -> impl Future<Output = ()> + Send;
}

/// Accepts links until `shutdown` is cancelled; each runs as a task of `tracker`. Handshakes that are under way at a
/// shutdown are dropped, links are left to their seats.
///
/// A panic of a seat, of the admission or of the authorizer ends that one link and nothing else.
pub async fn serve<A: Admission, Z: Authorizer>(
    listener: Box<dyn Listener>,
    admission: A,
    authorizer: Z,
    limits: ListenLimits,
    shutdown: CancellationToken,
    tracker: TaskTracker,
) {
    let door = Arc::new(Door {
        admission,
        authorizer,
        places: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
        beyond: Arc::new(Semaphore::new(limits.max_beyond.min(Semaphore::MAX_PERMITS))),
        handshake_timeout: limits.handshake_timeout,
        shutdown,
    });
    let mut pause = ACCEPT_PAUSE[0];
    while let Some(accepted) = door.shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, remote)) => {
                pause = ACCEPT_PAUSE[0];
                if let Some(place) = door.place() {
                    tracker.spawn(Arc::clone(&door).receive(stream, remote, place));
                }
            }
            Err(error) => {
                warn!(%error, ?pause, "a connection could not be accepted");
                Metrics::link_error("accept");
                sleep(pause).await;
                pause = ACCEPT_PAUSE[1].min(pause * 2);
            }
        }
    }
}

/// What every handshake needs.
struct Door<A, Z> {
    admission: A,
    authorizer: Z,
    places: Arc<Semaphore>,
    beyond: Arc<Semaphore>,
    handshake_timeout: Duration,
    shutdown: CancellationToken,
}

/// What a connection holds as long as it lives.
enum Slot {
    Granted(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
    /// There is no room. The connection is told so, unless it takes over a link, whose place it then gets.
    Beyond(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
}

/// The place of a link that ends, for the one that takes it over.
type Awaited = Pin<Box<dyn Future<Output = Option<Slot>> + Send>>;

/// A link that is granted.
struct Grant<S> {
    /// The 101, which is yet to be sent.
    head: Vec<u8>,
    seat: S,
}

impl<A: Admission, Z: Authorizer> Door<A, Z> {
    fn place(&self) -> Option<Slot> {
        let granted = Arc::clone(&self.places).try_acquire_owned().map(Slot::Granted);
        granted.or_else(|_| Arc::clone(&self.beyond).try_acquire_owned().map(Slot::Beyond)).ok()
    }

    /// Whether a peer for which there was no room may stay after all, because it takes over a link.
    async fn awaited(&self, hello: &Hello) -> Result<Awaited, Refusal> {
        let places = Arc::clone(&self.places);
        let mut awaited: Awaited = Box::pin(async { places.acquire_owned().await.ok().map(Slot::Granted) });
        // It stands in the queue before it is asked whether there is a link, so that nobody else gets that one's place.
        match poll_fn(|cx| Poll::Ready(awaited.as_mut().poll(cx))).await {
            Poll::Ready(place) => Ok(Box::pin(ready(place))),
            Poll::Pending if self.admission.takes_over(hello) => Ok(awaited),
            Poll::Pending => Err(Refusal::unavailable("this relay has no room for another connection")),
        }
    }

    /// The life of one connection.
    async fn receive(self: Arc<Self>, stream: Box<dyn Stream>, remote: SocketAddr, place: Slot) {
        let mut awaited = Mutex::new(None);
        // On the heap and dropped before the link runs, so that an idle link does not carry it along.
        let handshake = self.handshake(stream, remote, &place, &awaited);
        let handshake = Box::pin(awake::timeout(self.handshake_timeout, handshake));
        match self.shutdown.run_until_cancelled(handshake).await {
            Some(Some(Ok(Some((socket, seat))))) => {
                let mut running = pin!(seat.run(socket));
                if let Some(awaited) = awaited.get_mut().take() {
                    let _granted = tokio::select! {
                        biased;
                        granted = awaited => granted,
                        () = &mut running => return,
                    };
                    // From here on it has the place of the link that it took over.
                    drop(place);
                    running.await;
                } else {
                    running.await;
                }
            }
            Some(Some(Ok(None))) | None => {}
            Some(Some(Err(error))) => {
                debug!(%remote, %error, "a handshake failed");
                Metrics::link_error("handshake");
            }
            Some(None) => {
                debug!(%remote, timeout = ?self.handshake_timeout, "a handshake took too long");
                Metrics::link_error("handshake_timeout");
            }
        }
    }

    /// Answers one request. Where the answer is 101, the stream is a WebSocket from then on.
    async fn handshake(
        &self,
        stream: Box<dyn Stream>,
        remote: SocketAddr,
        place: &Slot,
        awaited: &Mutex<Option<Awaited>>,
    ) -> io::Result<Option<(Socket, A::Seat)>> {
        let granted = Mutex::new(None);
        let answer = service_fn(|request| {
            Box::pin(async {
                match self.answer(request, remote, place, awaited).await {
                    Ok(grant) => {
                        *granted.lock() = Some(grant);
                        // The stream is taken from the HTTP server before it answers.
                        pending().await
                    }
                    Err(refusal) => {
                        debug!(%remote, %refusal, "a link was refused");
                        Metrics::link_error("refused");
                        Ok::<_, Infallible>(refused(&refusal))
                    }
                }
            })
        });
        // No header timeout: the caller's covers the whole handshake.
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(MAX_REQUEST_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), answer);
        let answered = poll_fn(|cx| match connection.poll_without_shutdown(cx) {
            Poll::Pending if granted.lock().is_some() => Poll::Ready(Ok(())),
            answered => answered,
        })
        .await;
        let parts = connection.into_parts();
        let mut stream = parts.io.into_inner();
        let granted = granted.lock().take();
        if let (Some(Grant { head, seat }), Ok(())) = (granted, &answered) {
            stream.write_all(&head).await?;
            stream.flush().await?;
            return Ok(Some((Socket::with_ahead(stream, &parts.read_buf), seat)));
        }
        linger(stream).await;
        answered.map(|()| None).map_err(io::Error::other)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        remote: SocketAddr,
        place: &Slot,
        awaited: &Mutex<Option<Awaited>>,
    ) -> Result<Grant<A::Seat>, Refusal> {
        let (request, _) = request.into_parts();
        if request.uri.path() != "/" {
            return Err(Refusal::not_found());
        }
        let upgrade = link::accept(&request)?;
        let hello = Hello::read(&request, remote)?;
        self.authorizer.authorize(&hello).await?;
        if let Slot::Beyond(_) = place {
            let place = self.awaited(&hello).await?;
            *awaited.lock() = Some(place);
        }
        let (welcome, seat) = self.admission.admit(hello).await?;
        Ok(Grant { head: upgrade.response(&welcome), seat })
    }
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(format!("{}\n", refusal.reason())));
    *answer.status_mut() = refusal.status();
    *answer.headers_mut() = refusal.headers();
    answer
}

async fn linger(mut stream: Box<dyn Stream>) {
    let lingering = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whether the peer waits for its answer is its own affair.
    let _ = awake::timeout(LINGER_TIME, lingering).await;
}
