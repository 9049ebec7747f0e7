//! Asking the admin port of a running relay.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::backup::{Backup, BackupState};

/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a relay is asked how far its backup is.
const POLL: Duration = Duration::from_millis(200);

/// Why a relay did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It did not answer, or not as a relay does.
    #[error("{url}: {problem}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// What came of it.
        problem: String,
    },
    /// It refused.
    #[error("{url}: the relay refuses ({status}): {message}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status of its answer.
        status: u16,
        /// Why.
        message: String,
    },
    /// It tried, and failed.
    #[error("the relay's backup failed: {0}")]
    Failed(String),
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Sends one request to an admin port, `http://HOST:PORT`, with a JSON body where there is one, and answers status and
/// body.
///
/// # Errors
/// `NoAnswer` where none comes within 5 s, or a larger one than 16 MiB.
pub(crate) async fn ask(
    admin: &str,
    method: Method,
    path: &str,
    json: Option<Bytes>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let url = format!("{}{path}", admin.trim_end_matches('/'));
    let problem = match timeout(ANSWER_TIMEOUT, exchange(&url, method, json)).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => format!("no answer within {ANSWER_TIMEOUT:?}"),
    };
    Err(ClientError::NoAnswer { url, problem })
}

async fn exchange(url: &str, method: Method, json: Option<Bytes>) -> Result<(StatusCode, Bytes), Fault> {
    let uri: Uri = url.parse()?;
    if uri.scheme_str() != Some("http") {
        return Err("expected a URL like http://127.0.0.1:8080".into());
    }
    let authority = uri.authority().ok_or("expected a host after http://")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(uri.path()).header(header::HOST, authority.as_str());
    if json.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(json.unwrap_or_default()))?;
    // The connection ends once the sender is gone, which goes with the answer.
    let answering = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
        Ok::<_, Fault>((status, body.to_bytes()))
    };
    let (answer, ()) = tokio::try_join!(answering, async { connection.await.map_err(Fault::from) })?;
    Ok(answer)
}

/// Has the relay make a backup of that name in its folder for backups, and waits until it is done. Dropping the future
/// leaves the relay at it.
///
/// # Errors
/// `Refused` where the relay has no folder for backups, makes another already, or has something of that name; `Failed`
/// where it could not write; `NoAnswer`.
pub async fn backup(admin: &str, name: &str) -> Result<Backup, ClientError> {
    const PATH: &str = "/api/v1/backup";
    let body = serde_json::json!({"name": name}).to_string();
    let begun = read_backup(admin, PATH, ask(admin, Method::POST, PATH, Some(body.into())).await?)?;
    loop {
        let now = read_backup(admin, PATH, ask(admin, Method::GET, PATH, None).await?)?;
        match now.state {
            _ if now.path != begun.path => return Err(ClientError::Failed("another was begun meanwhile".to_owned())),
            BackupState::Running => tokio::time::sleep(POLL).await,
            BackupState::Done => return Ok(now),
            BackupState::Failed => return Err(ClientError::Failed(now.error.unwrap_or_default())),
        }
    }
}

fn read_backup(admin: &str, path: &str, (status, body): (StatusCode, Bytes)) -> Result<Backup, ClientError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        message: String,
    }
    let url = format!("{}{path}", admin.trim_end_matches('/'));
    if status.is_success() {
        let unread = |error: serde_json::Error| ClientError::NoAnswer { url, problem: error.to_string() };
        return serde_json::from_slice(&body).map_err(unread);
    }
    let message =
        serde_json::from_slice(&body).map_or_else(|_| "no reason given".to_owned(), |it: Refusal| it.error.message);
    Err(ClientError::Refused { url, status: status.as_u16(), message })
}
