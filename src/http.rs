//! HTTP requests that this program makes: of the admin port of a relay, and of a collector.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use crate::dial::TlsConnector;
use crate::link::{Connector as _, Target, TcpConnector};

/// Why there is no answer.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Reads `http://HOST:PORT/PATH`, or the same with `https://`.
///
/// # Errors
/// In words what was expected.
pub(crate) fn target(url: &str) -> Result<Target, &'static str> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => "ws",
        "https" => "wss",
        _ => return Err("a URL that begins with http:// or https://"),
    };
    if rest.contains('@') {
        return Err("no user name in the URL");
    }
    if rest.contains('?') {
        return Err("a URL without a query");
    }
    let target = Target::parse(&format!("{scheme}://{rest}"));
    target.map_err(|_| "a URL like http://127.0.0.1:8080, with a port from 1 to 65535")
}

/// Sends one request on a connection of its own, and returns the answer, of which at most so many bytes are read.
///
/// # Errors
/// If there is no connection, no whole answer, or a larger one.
pub(crate) async fn exchange(
    target: &Target,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Response<Bytes>, Fault> {
    let (answer, _connection) = send(target, request).await?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, most).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// The same, but returns the head of the answer, whose body comes for as long as the connection is held.
///
/// # Errors
/// If there is no connection, or no answer.
pub(crate) async fn send(
    target: &Target,
    mut request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), Fault> {
    let (stream, _) = TlsConnector::new(TcpConnector).connect(target).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong with it is told by whoever sends or reads on it.
    let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    request.headers_mut().insert(HOST, HeaderValue::from_str(&target.authority)?);
    Ok((sender.send_request(request).await?, connection))
}
