//! One request to an admin port, and its answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, header};
use serde::Deserialize;
use tokio::time::timeout;

use super::url::{AdminUrl, ClientError};
use crate::http;
use crate::link::{Secret, Target};

/// Most bytes of an answer that are read.
pub(super) const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How long an answer may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

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
    ask_within(ANSWER_TIMEOUT, admin, method, path, json).await
}

/// As [`ask`], with so much time for the answer.
///
/// # Errors
/// As [`ask`].
pub(super) async fn ask_within(
    limit: Duration,
    admin: &AdminUrl,
    method: Method,
    path: &str,
    json: Option<Bytes>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let (target, before) = admin.target()?;
    let url = format!("{admin}{path}");
    let problem =
        match timeout(limit, exchange(&target, &format!("{before}{path}"), method, json, admin.token.as_ref())).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => format!("no answer within {limit:?}"),
        };
    Err(ClientError::NoAnswer { url, problem })
}

async fn exchange(
    target: &Target,
    path: &str,
    method: Method,
    json: Option<Bytes>,
    token: Option<&Secret>,
) -> Result<(StatusCode, Bytes), http::Fault> {
    let answer = http::exchange(target, request(path, method, json, token)?, MAX_ANSWER_BYTES).await?;
    Ok((answer.status(), answer.into_body()))
}

/// A request of the API, with the token if there is one.
pub(super) fn request(
    path: &str,
    method: Method,
    json: Option<Bytes>,
    token: Option<&Secret>,
) -> Result<Request<Full<Bytes>>, http::Fault> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    if json.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    Ok(request.body(Full::new(json.unwrap_or_default()))?)
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
    let message = match serde_json::from_slice(body) {
        Ok(ErrorBody { error: Reason { message } }) => message,
        Err(_) => plain_reason(body),
    };
    ClientError::Refused { url, status: status.as_u16(), message }
}

/// What a body says that is none of the API, such as of a port that speaks TLS, or of a proxy: its first line.
fn plain_reason(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|character| !character.is_control()).take(LONGEST).collect();
    if line.trim().is_empty() { "no reason given".to_owned() } else { line }
}
