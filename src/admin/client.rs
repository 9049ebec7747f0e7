//! Asking the admin port of a running relay.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::backup::{Backup, BackupState};
use crate::config::discreet_url;
use crate::dial::TlsConnector;
use crate::link::{Connector as _, Secret, Target, TcpConnector};
use crate::tls::ClientTls;

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

/// The admin port of a relay, `http://HOST:PORT` or `https://HOST:PORT`, and the certificates for the latter.
#[derive(Debug, Clone)]
pub struct AdminUrl {
    url: String,
    tls: ClientTls,
    token: Option<Secret>,
}

impl AdminUrl {
    /// Whatever is given, and the token that it is shown; that it can be an admin port is found out when it is asked.
    #[must_use]
    pub fn new(url: impl Into<String>, tls: ClientTls, token: Option<Secret>) -> Self {
        Self { url: url.into(), tls, token }
    }

    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// Where it leads, and the path before those of the admin port.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    fn target(&self) -> Result<(Target, String), ClientError> {
        let refuse = |expected| ClientError::Url { url: discreet_url(&self.url), expected };
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => "ws",
            "https" => "wss",
            _ => return Err(refuse("expected a URL that begins with http:// or https://")),
        };
        if rest.contains('@') {
            return Err(refuse("expected no user name in the URL"));
        }
        if rest.contains('?') {
            return Err(refuse("expected a URL without a query"));
        }
        let target = Target::parse(&format!("{scheme}://{rest}"));
        let target =
            target.map_err(|_| refuse("expected a URL like http://127.0.0.1:8080, with a port from 1 to 65535"))?;
        let path = target.path.trim_end_matches('/').to_owned();
        Ok((target.secured_with(self.tls.clone()), path))
    }
}

/// The URL alone.
impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    let (stream, _) = TlsConnector::new(TcpConnector).connect(target).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, target.authority.as_str());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
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
pub async fn backup(admin: &AdminUrl, name: &str) -> Result<Backup, ClientError> {
    const PATH: &str = "/api/v1/backup";
    let begun: Backup = call(admin, Method::POST, PATH, Some(&serde_json::json!({"name": name}))).await?;
    loop {
        let now: Backup = get(admin, PATH).await?;
        match now.state {
            _ if now.path != begun.path => return Err(ClientError::Failed("another was begun meanwhile".to_owned())),
            BackupState::Running => tokio::time::sleep(POLL).await,
            BackupState::Done => return Ok(now),
            BackupState::Failed => return Err(ClientError::Failed(now.error.unwrap_or_default())),
        }
    }
}

/// Asks for something of the API, and reads the answer.
///
/// # Errors
/// `Refused` if the relay says no, `NoAnswer` if it does not answer in time or as a relay does, `Url`.
pub(crate) async fn call<T: DeserializeOwned>(
    admin: &AdminUrl,
    method: Method,
    path: &str,
    body: Option<&(impl Serialize + Sync)>,
) -> Result<T, ClientError> {
    let json = body.map(serde_json::to_vec).transpose();
    let no_answer =
        |error: serde_json::Error| ClientError::NoAnswer { url: admin.to_string(), problem: error.to_string() };
    let answer = ask(admin, method, path, json.map_err(no_answer)?.map(Bytes::from)).await?;
    read(admin, path, answer)
}

/// As [`call`], with `GET`.
///
/// # Errors
/// As [`call`].
pub(crate) async fn get<T: DeserializeOwned>(admin: &AdminUrl, path: &str) -> Result<T, ClientError> {
    call(admin, Method::GET, path, None::<&()>).await
}

/// A text as a part of a path or of a query.
pub(crate) fn part(text: &str) -> impl fmt::Display {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, PLAIN)
}

fn read<T: DeserializeOwned>(
    admin: &AdminUrl,
    path: &str,
    (status, body): (StatusCode, Bytes),
) -> Result<T, ClientError> {
    #[derive(Deserialize)]
    struct ErrorBody {
        error: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        message: String,
    }
    let url = format!("{admin}{path}");
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
        let target = |url: &str| AdminUrl::new(url, ClientTls::default(), None).target();
        for url in
            ["http://127.0.0.1:8080", "HTTP://relay/", "http://[::1]:8080/", "http://proxy/relay-a", "https://relay"]
        {
            assert!(target(url).is_ok(), "{url}");
        }
        for (url, expected) in [
            ("", "begins with http://"),
            ("127.0.0.1:8080", "begins with http://"),
            ("relay", "begins with http://"),
            ("ws://relay:7171/", "begins with http://"),
            ("http://:8080", "expected"),
            ("http://relay:0", "port"),
            ("http://relay:99999", "port"),
            ("http://relay:", "port"),
            ("http://me:hush@relay/", "user name"),
            ("http://relay/?token=hush", "query"),
            ("http://re lay/", "like http://"),
        ] {
            let told = target(url).expect_err(url).to_string();
            assert!(told.contains(expected) && !told.contains("hush"), "{url}: {told}");
        }
    }
}
