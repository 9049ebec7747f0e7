//! The accept loop of the admin port, with its limits.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::join;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::live::Live;
use super::open::{OpenConnections, Progress};
use super::pages::Pages;
use super::{routes, sampler};
use crate::descriptors::{self, KEPT_FROM_ADMIN};
use crate::link::Stream;
use crate::listen::{ConnectInfo, accept_tls};
use crate::tls::ServerTls;

/// Most connections at once. If there is one more, it waits for an end, or until the oldest that has not asked for
/// anything has had its time.
pub const MAX_CONNECTIONS: usize = 64;

/// How long a client may take to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take in all. It carries one request, so that idle clients cannot take up the limit.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The same of one that stays. Whoever watches comes back, unless it has long been gone and only this end does not know.
const STAY_TIMEOUT: Duration = Duration::from_mins(10);

/// Largest head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long to wait after the system refused a connection, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests on `listener`, over TLS if there is any, with the pages as they are then, until `shutdown`; what is
/// open then is cut.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    pages: watch::Receiver<Pages>,
    shutdown: CancellationToken,
) {
    let live = Arc::new(Live::default());
    let router = routes::router(pages.clone(), Arc::clone(&live));
    let mut open = OpenConnections::default();
    let accept = async {
        loop {
            let accepted = listener.accept().await;
            open.make_room(MAX_CONNECTIONS).await;
            match accepted {
                Ok((stream, _)) if descriptors::is_kept_back(&stream, KEPT_FROM_ADMIN) => {
                    tracing::warn!("the admin port has no file left for a connection (ulimit -n)");
                }
                Ok((stream, remote)) => {
                    let (info, progress) = (ConnectInfo::new(remote), Progress::default());
                    open.push(progress.clone(), answer(stream, info, tls.clone(), router.clone(), progress));
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin port cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(join(accept, sampler::run(&pages, &live))).await;
}

/// The life of one connection.
async fn answer(stream: TcpStream, info: ConnectInfo, tls: Option<Arc<ServerTls>>, router: Router, progress: Progress) {
    let answering = async {
        let stream: Box<dyn Stream> = Box::new(stream);
        let (stream, info) = match tls {
            Some(tls) => accept_tls(stream, info, &tls).await?,
            None => (stream, info),
        };
        let service = service_fn(|mut request: Request<Incoming>| {
            progress.asked();
            request.extensions_mut().insert(info.clone());
            request.extensions_mut().insert(progress.clone());
            router.clone().call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        connection.await.map_err(io::Error::other)
    };
    let mut answering = pin!(answering);
    let mut answered = tokio::time::timeout(CONNECTION_TIMEOUT, &mut answering).await;
    if answered.is_err() && progress.stays() {
        answered = tokio::time::timeout(STAY_TIMEOUT, answering).await;
    }
    match answered {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection failed"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}
