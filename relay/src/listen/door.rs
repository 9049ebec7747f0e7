//! One connection, from when it is accepted until its link runs: its place, its handshakes, and what the peer is told.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::admission::{Admission, Seat as _};
use super::authorizer::Authorizer;
use super::linger::linger;
use super::listener::{Accepted, ConnectInfo};
use crate::link::{self, Hello, Refusal, Socket, awake};
use crate::metrics::Metrics;

/// Largest head of an upgrade request. It is the smallest that hyper knows.
pub(super) const MAX_REQUEST_BYTES: usize = 8192;
/// Most headers of an upgrade request.
pub(super) const MAX_HEADERS: usize = 64;

/// How a stream of TLS begins: with a record of a handshake, of version 3.x (RFC 8446 §5.1).
const TLS_HANDSHAKE: &[u8] = &[0x16, 0x03];

/// What a listener keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenLimits {
    /// Most connections, counted from when they are accepted. One more is told 503, unless it takes over a link.
    pub max_connections: usize,
    /// Most connections over that limit at a time: until they have said who they are and were told 503, or until the link
    /// that they take over has ended. One more is dropped.
    pub max_beyond: usize,
    /// How long a peer may take from connecting until its link is granted, the handshake of the transport included.
    pub handshake_timeout: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self { max_connections: 10_000, max_beyond: 256, handshake_timeout: Duration::from_secs(10) }
    }
}

/// What every handshake needs.
pub(super) struct Door<A> {
    admission: A,
    authorizer: Arc<dyn Authorizer>,
    places: Arc<Semaphore>,
    beyond: Arc<Semaphore>,
    handshake_timeout: Duration,
    shutdown: CancellationToken,
}

/// What a connection holds as long as it lives.
pub(super) enum Slot {
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

impl<A: Admission> Door<A> {
    pub(super) fn new(
        admission: A,
        authorizer: Arc<dyn Authorizer>,
        limits: &ListenLimits,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            admission,
            authorizer,
            places: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
            beyond: Arc::new(Semaphore::new(limits.max_beyond.min(Semaphore::MAX_PERMITS))),
            handshake_timeout: limits.handshake_timeout,
            shutdown,
        }
    }

    /// Returns a place for one more connection, if there is room.
    pub(super) fn place(&self) -> Option<Slot> {
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
    pub(super) async fn receive(self: Arc<Self>, accepted: Accepted, place: Slot) {
        let remote = accepted.remote();
        let mut awaited = Mutex::new(None);
        // On the heap and dropped before the link runs, so that an idle link does not carry it along.
        let handshake = self.handshake(accepted, &place, &awaited);
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

    /// Runs the transport's handshake, and answers one request. If the answer is 101, the stream is a WebSocket from
    /// then on.
    async fn handshake(
        &self,
        accepted: Accepted,
        place: &Slot,
        awaited: &Mutex<Option<Awaited>>,
    ) -> io::Result<Option<(Socket, A::Seat)>> {
        let (stream, info) = accepted.handshake().await?;
        let granted = Mutex::new(None);
        let answer = service_fn(|request| {
            Box::pin(async {
                match self.answer(request, &info, place, awaited).await {
                    Ok(grant) => {
                        *granted.lock() = Some(grant);
                        // The stream is taken from the HTTP server before it answers.
                        pending().await
                    }
                    Err(refusal) => {
                        debug!(remote = %info.remote, %refusal, "a link was refused");
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
        let speaks_tls = parts.read_buf.starts_with(TLS_HANDSHAKE);
        linger(stream).await;
        match answered {
            Err(_) if speaks_tls => {
                Err(io::Error::other("the client speaks TLS, which this port does not: expected ws://"))
            }
            answered => answered.map(|()| None).map_err(io::Error::other),
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        info: &ConnectInfo,
        place: &Slot,
        awaited: &Mutex<Option<Awaited>>,
    ) -> Result<Grant<A::Seat>, Refusal> {
        let (request, _) = request.into_parts();
        if request.uri.path() != "/" {
            return Err(Refusal::not_found());
        }
        let upgrade = link::accept(&request)?;
        let hello = Hello::read(&request)?;
        let principal = self.authorizer.authorize(&hello, info).await?;
        if let Slot::Beyond(_) = place {
            let place = self.awaited(&hello).await?;
            *awaited.lock() = Some(place);
        }
        let (welcome, seat) = self.admission.admit(hello, info.remote, principal).await?;
        Ok(Grant { head: upgrade.response(&welcome), seat })
    }
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(format!("{}\n", refusal.reason())));
    *answer.status_mut() = refusal.status();
    *answer.headers_mut() = refusal.headers();
    answer
}
