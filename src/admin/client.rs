//! Asking the admin port of a running relay.

mod events;
mod exchange;
mod url;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::exchange::{ask_within, refused};
use super::backup::{Backup, BackupState};

pub(crate) use self::events::Events;
pub(crate) use self::exchange::ask;
pub use self::url::{AdminUrl, ClientError};

/// How often a relay is asked how far its backup is.
const POLL: Duration = Duration::from_millis(200);

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

/// As [`get`], with so much time for the answer.
///
/// # Errors
/// As [`call`].
pub(crate) async fn get_within<T: DeserializeOwned>(
    limit: Duration,
    admin: &AdminUrl,
    path: &str,
) -> Result<T, ClientError> {
    read(admin, path, ask_within(limit, admin, Method::GET, path, None).await?)
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
    let url = format!("{admin}{path}");
    if status.is_success() {
        let unread = |error: serde_json::Error| ClientError::NoAnswer { url, problem: error.to_string() };
        return serde_json::from_slice(&body).map_err(unread);
    }
    Err(refused(url, status, &body))
}
