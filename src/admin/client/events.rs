//! Server-sent events of an admin port.

use http_body_util::{BodyExt as _, Limited};
use hyper::Method;
use hyper::body::Incoming;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::exchange::{ANSWER_TIMEOUT, MAX_ANSWER_BYTES, refused, request};
use super::url::{AdminUrl, ClientError};
use crate::http;

/// Server-sent events that come from a relay.
pub(crate) struct Events {
    url: String,
    body: Incoming,
    read: Vec<u8>,
    _connection: AbortOnDropHandle<()>,
}

impl Events {
    /// Asks for them.
    ///
    /// # Errors
    /// As [`call`].
    pub(crate) async fn begin(admin: &AdminUrl, path: &str) -> Result<Self, ClientError> {
        let (target, before) = admin.target()?;
        let url = format!("{admin}{path}");
        let no_answer = |problem: String| ClientError::NoAnswer { url: url.clone(), problem };
        let asking = async {
            let request = request(&format!("{before}{path}"), Method::GET, None, admin.token.as_ref())?;
            let (response, connection) = http::send(&target, request).await?;
            if response.status().is_success() {
                return Ok((response.into_body(), connection));
            }
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
            Err(http::Fault::from(refused(url.clone(), status, &body.to_bytes())))
        };
        match timeout(ANSWER_TIMEOUT, asking).await {
            Ok(Ok((body, connection))) => Ok(Self { url, body, read: Vec::new(), _connection: connection }),
            Ok(Err(fault)) => Err(match fault.downcast() {
                Ok(refused) => *refused,
                Err(fault) => no_answer(fault.to_string()),
            }),
            Err(_) => Err(no_answer(format!("no answer within {ANSWER_TIMEOUT:?}"))),
        }
    }

    /// The data of the next event; `None` at their end.
    ///
    /// # Errors
    /// `NoAnswer` if the connection fails, or an event is larger than 16 MiB.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        const END: &[u8] = b"\n\n";
        loop {
            if let Some(end) = self.read.windows(END.len()).position(|bytes| bytes == END) {
                let event: Vec<u8> = self.read.drain(..end + END.len()).take(end).collect();
                // Each has one line; what is not data is a comment that keeps the connection alive.
                match event.strip_prefix(b"data: ".as_slice()) {
                    Some(data) => return Ok(Some(data.to_vec())),
                    None => continue,
                }
            }
            let no_answer = |problem: String| ClientError::NoAnswer { url: self.url.clone(), problem };
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(no_answer(error.to_string())),
                Some(Ok(_)) if self.read.len() > MAX_ANSWER_BYTES => return Err(no_answer("too large".to_owned())),
                Some(Ok(frame)) => self.read.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }
}
