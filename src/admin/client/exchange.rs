//! One request to an admin port, and its answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::url::{AdminUrl, ClientError};
use crate::dial::TlsConnector;
use crate::link::{Connector as _, Secret, Target, TcpConnector};

/// Most bytes of an answer that are read.
pub(super) const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How long an answer may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Sends one request to an admin port, with a JSON body if there is one, and returns status and body.
///
/// # Errors
/// `Url` if there can be no such port, `NoAnswer` if none comes within 5 s, or a larger one than 16 MiB.
pub(crate) async fn ask(
    admin: &AdminUrl,
    method: Method,
    path: &str,
    json: Option<Bytes>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let (target, before) = admin.target()?;
    let url = format!("{admin}{path}");
    let problem = match timeout(
        ANSWER_TIMEOUT,
        exchange(&target, &format!("{before}{path}"), method, json, admin.token.as_ref()),
    )
    .await
    {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => format!("no answer within {ANSWER_TIMEOUT:?}"),
    };
    Err(ClientError::NoAnswer { url, problem })
}

async fn exchange(
    target: &Target,
    path: &str,
    method: Method,
    json: Option<Bytes>,
    token: Option<&Secret>,
) -> Result<(StatusCode, Bytes), Fault> {
    let (response, _connection) = send(target, path, method, json, token).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
    Ok((status, body.to_bytes()))
}

/// Sends a request and returns the head of the answer, whose body comes for as long as the connection is held.
pub(super) async fn send(
    target: &Target,
    path: &str,
    method: Method,
    json: Option<Bytes>,
    token: Option<&Secret>,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), Fault> {
    let (stream, _) = TlsConnector::new(TcpConnector).connect(target).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong with it is told by whoever sends or reads on it.
    let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, target.authority.as_str());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    if json.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(json.unwrap_or_default()))?;
    Ok((sender.send_request(request).await?, connection))
}

/// What an answer says that is no success.
pub(super) fn refused(url: String, status: StatusCode, body: &[u8]) -> ClientError {
    #[derive(Deserialize)]
    struct ErrorBody {
        error: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        message: String,
    }
    let message =
        serde_json::from_slice(body).map_or_else(|_| "no reason given".to_owned(), |it: ErrorBody| it.error.message);
    ClientError::Refused { url, status: status.as_u16(), message }
}
