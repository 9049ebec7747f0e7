//! One connection, from when it is accepted until its link runs: its place, its handshakes, and what the peer is told.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full as Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::admission::{Admission, Seat as _};
use super::authorizer::Authorizer;
use super::check::Check;
use super::limits::ListenLimits;
use super::linger::linger;
use super::listener::{Accepted, ConnectInfo, HandshakeFault};
use super::proxy::{TrustedProxies, forwarded};
use super::seldom::Seldom;
use super::stay::{Full, Rooms, Stay};
use super::tls;
use crate::link::{self, Hello, Refusal, Socket, awake};
use crate::metrics::Metrics;

/// Largest head of an upgrade request. It is the smallest that hyper knows.
pub(super) const MAX_REQUEST_BYTES: usize = 8192;
/// Most headers of an upgrade request.
pub(super) const MAX_HEADERS: usize = 64;

/// What every handshake needs.
pub(super) struct Door<A> {
    admission: A,
    check: Check,
    rooms: Rooms,
    trusted: TrustedProxies,
    seldom: Seldom,
    handshake_timeout: Duration,
    shutdown: CancellationToken,
}

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
            check: Check::new(authorizer, limits),
            rooms: Rooms::new(limits),
            trusted: limits.trusted_proxies.clone(),
            seldom: Seldom::default(),
            handshake_timeout: limits.handshake_timeout,
            shutdown,
        }
    }

    /// Returns what one more connection holds, if there is room to hear it.
    pub(super) fn stay(&self, socket: SocketAddr) -> Result<Stay, Full> {
        self.rooms.stay(socket)
    }

    /// The life of one connection.
    pub(super) async fn receive(self: Arc<Self>, accepted: Accepted, mut stay: Stay) {
        let remote = accepted.remote();
        // On the heap and dropped before the link runs, so that an idle link does not carry it along.
        let handshake = Box::pin(awake::timeout(self.handshake_timeout, self.handshake(accepted, &stay)));
        match self.shutdown.run_until_cancelled(handshake).await {
            Some(Some(Ok(Some((socket, seat))))) => {
                let mut running = pin!(seat.run(socket));
                if let Some(awaited) = stay.awaited() {
                    let _granted = tokio::select! {
                        biased;
                        granted = awaited.all() => granted,
                        () = &mut running => return,
                    };
                    // From here on it has the place of the link that it took over.
                    let _kept = stay.settled();
                    running.await;
                } else {
                    running.await;
                }
            }
            Some(Some(Ok(None))) | None => {}
            Some(Some(Err(error))) => self.failed(remote, &error),
            Some(None) => {
                debug!(%remote, timeout = ?self.handshake_timeout, "a handshake took too long");
                Metrics::link_error("handshake_timeout");
            }
        }
    }

    /// Notes a handshake that failed.
    fn failed(&self, remote: SocketAddr, error: &io::Error) {
        let fault = HandshakeFault::carried_by(error);
        let remote = fault.and_then(HandshakeFault::client).unwrap_or(remote);
        debug!(%remote, %error, "a handshake failed");
        let reason = fault.map(HandshakeFault::reason);
        Metrics::link_error(reason.unwrap_or("handshake"));
        if let Some(left_out) = reason.and_then(|reason| self.seldom.due(reason, Instant::now())) {
            warn!(%remote, %error, left_out, "a connection was refused");
        }
    }

    /// Notes a peer that gets no link. One that breaks a rule of the handshake is told, which is enough.
    fn refused(&self, info: &ConnectInfo, refusal: &Refusal) {
        let reason = refusal.reason_counted();
        debug!(remote = %info.remote, socket = %info.socket, %refusal, "a link was refused");
        Metrics::link_error(reason);
        if reason != Refusal::COUNTED_AS
            && let Some(left_out) = self.seldom.due(reason, Instant::now())
        {
            warn!(remote = %info.remote, %refusal, left_out, "a link was refused");
        }
    }

    /// Runs the transport's handshake, and answers one request. If the answer is 101, the stream is a WebSocket from
    /// then on.
    async fn handshake(&self, accepted: Accepted, stay: &Stay) -> io::Result<Option<(Socket, A::Seat)>> {
        let (stream, info) = accepted.handshake().await?;
        let remote = info.remote;
        let counted = self.rooms.count(stay, remote.ip());
        counted.map_err(|refusal| HandshakeFault::new(refusal.reason_counted(), refusal.reason()).of(remote))?;
        let granted = Mutex::new(None);
        let answer = service_fn(|request| {
            Box::pin(async {
                let client = forwarded::client(request.headers(), info.remote, &self.trusted);
                let info = info.clone().with_client(client);
                match self.answer(request, &info, stay).await {
                    Ok(grant) => {
                        *granted.lock() = Some(grant);
                        // The stream is taken from the HTTP server before it answers.
                        pending().await
                    }
                    Err(refusal) => {
                        self.refused(&info, &refusal);
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
        let speaks_tls = parts.read_buf.starts_with(&tls::HANDSHAKE);
        linger(stream).await;
        match answered {
            Err(_) if speaks_tls => {
                let told = "the client speaks TLS, which this port does not: expected ws://";
                Err(HandshakeFault::new(tls::COUNTED_AS, told).of(remote).into())
            }
            answered => answered.map(|()| None).map_err(io::Error::other),
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        info: &ConnectInfo,
        stay: &Stay,
    ) -> Result<Grant<A::Seat>, Refusal> {
        let (request, _) = request.into_parts();
        self.rooms.count(stay, info.remote.ip())?;
        if request.uri.path() != "/" {
            return Err(Refusal::not_found());
        }
        let upgrade = link::accept(&request)?;
        let hello = Hello::read(&request)?;
        let principal = self.check.authorize(&hello, info).await?;
        self.rooms.settle(stay, || self.admission.takes_over(&hello)).await?;
        let (welcome, seat) = self.admission.admit(hello, info.remote, principal).await?;
        Ok(Grant { head: upgrade.response(&welcome), seat })
    }
}

fn refused(refusal: &Refusal) -> Response<Body<Bytes>> {
    let mut answer = Response::new(Body::from(format!("{}\n", refusal.reason())));
    *answer.status_mut() = refusal.status();
    *answer.headers_mut() = refusal.headers();
    answer
}
