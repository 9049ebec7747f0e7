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
    /// The URL cannot be that of an admin port.
    #[error("got {url:?}, {expected}")]
    Url {
        /// What was given, without what may be secret.
        url: String,
        /// What was expected.
        expected: &'static str,
    },
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

/// Whether this can be the URL of an admin port, `http://HOST:PORT`.
///
/// # Errors
/// [`ClientError::Url`].
pub(crate) fn check_url(admin: &str) -> Result<(), ClientError> {
    let refuse = |expected| {
        let shown = admin.split('?').next().unwrap_or_default();
        let shown = shown.rsplit_once('@').map_or_else(|| shown.to_owned(), |(_, host)| format!("…@{host}"));
        Err(ClientError::Url { url: shown, expected })
    };
    let Ok(uri) = admin.parse::<Uri>() else { return refuse("expected a URL like http://127.0.0.1:8080") };
    match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
        Some("http") => {}
        Some("https") => return refuse("this version does not speak TLS yet: expected http://"),
        _ => return refuse("expected a URL that begins with http://"),
    }
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return refuse("expected a host after http://");
    };
    if authority.as_str().contains('@') {
        return refuse("expected no user name in the URL");
    }
    let has_port = authority.as_str().len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return refuse("expected a port from 1 to 65535");
    }
    if uri.query().is_some() {
        return refuse("expected a URL without a query");
    }
    Ok(())
}

/// Sends one request to an admin port, `http://HOST:PORT`, with a JSON body where there is one, and answers status and
/// body.
///
/// # Errors
/// `Url` where there can be no such port, `NoAnswer` where none comes within 5 s, or a larger one than 16 MiB.
pub(crate) async fn ask(
    admin: &str,
    method: Method,
    path: &str,
    json: Option<Bytes>,
) -> Result<(StatusCode, Bytes), ClientError> {
    check_url(admin)?;
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
/// where it could not write; `Url`; `NoAnswer`.
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
    struct ErrorBody {
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
        serde_json::from_slice(&body).map_or_else(|_| "no reason given".to_owned(), |it: ErrorBody| it.error.message);
    Err(ClientError::Refused { url, status: status.as_u16(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_one_is_refused_without_its_secrets() {
        for url in ["http://127.0.0.1:8080", "HTTP://relay/", "http://[::1]:8080/", "http://proxy/relay-a"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for (url, expected) in [
            ("", "like http://"),
            ("127.0.0.1:8080", "begins with http://"),
            ("relay", "begins with http://"),
            ("ws://relay:7171/", "begins with http://"),
            ("https://relay/", "TLS"),
            ("http://:8080", "expected"),
            ("http://relay:0", "port"),
            ("http://relay:99999", "port"),
            ("http://relay:", "port"),
            ("http://me:hush@relay/", "user name"),
            ("http://relay/?token=hush", "query"),
            ("http://re lay/", "like http://"),
        ] {
            let told = check_url(url).expect_err(url).to_string();
            assert!(told.contains(expected) && !told.contains("hush"), "{url}: {told}");
        }
    }
}
