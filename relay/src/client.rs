//! A small client: the commands, the tests and the benches reach a relay through it.
//!
//! It runs the same link as the relay does, from the other end. It speaks `ws://` and `wss://`, and acknowledges nothing
//! by itself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use slipstream_store::{ClusterGroup, MessageId, PeerId, Tag};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::queue::{Incoming, Outgoing};
use crate::dial::TlsConnector;
use crate::link::{
    self, Announced, CloseCode, Ended, HandshakeError, LinkControl, LinkLimits, Offer, Role, Secret, Socket, Stream,
    Target, TcpConnector,
};
use crate::tls::ClientTls;

mod queue;

pub use crate::link::ConnectError;

/// Longest message that a client takes which announces no limit of its own: the largest that a relay can be
/// configured to, and the room for the path that grows on the way.
pub const MAX_MESSAGE_BYTES: usize = (256 << 20) + (64 << 10);

/// What a client says of itself.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Its id; without one it is anonymous.
    pub id: Option<PeerId>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its cluster group; without one `singleton`.
    pub group: Option<ClusterGroup>,
    /// Whether it takes one ACK for many messages.
    pub ack_batch: bool,
    /// Its credential.
    pub token: Option<Secret>,
    /// Whether it says it is a relay.
    pub as_relay: bool,
    /// Longest message that it takes, in bytes.
    pub max_message_bytes: Option<u64>,
    /// Its certificates, if the URL begins with `wss://`; `None` takes the servers that the system trusts.
    pub tls: Option<ClientTls>,
    /// How long connecting may take, with the handshake.
    pub connect_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            id: None,
            tags: Vec::new(),
            group: None,
            ack_batch: false,
            token: None,
            as_relay: false,
            max_message_bytes: None,
            tls: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl ClientOptions {
    fn offer(&self) -> Offer {
        Offer {
            id: self.id.clone(),
            tags: self.tags.clone(),
            group: self.group.clone(),
            as_relay: self.as_relay,
            ack_batch: self.ack_batch,
            max_message_bytes: self.max_message_bytes,
            token: self.token.clone(),
        }
    }
}

/// Connects to `ws://HOST:PORT/PATH?QUERY`, or the same with `wss://`, and asks for a link, which the caller then runs.
/// Returns what the relay said of itself, too.
///
/// # Errors
/// [`ConnectError`].
pub async fn dial(url: &str, options: &ClientOptions) -> Result<(Socket, Announced), ConnectError> {
    let target = Target::parse(url).map_err(|expected| ConnectError::Url { url: url.to_owned(), expected })?;
    let target = match &options.tls {
        Some(tls) => target.secured_with(tls.clone()),
        None => target,
    };
    let connected =
        link::connect(&TlsConnector::new(TcpConnector), &target, &options.offer(), options.connect_timeout).await?;
    Ok((connected.socket, connected.announced))
}

/// The link has ended, and how.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the link has ended: {0}")]
pub struct ClientError(Arc<Ended>);

impl ClientError {
    /// How the link ended.
    #[must_use]
    pub fn ended(&self) -> &Ended {
        &self.0
    }
}

/// What comes from the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message, an ACK or a NACK, as it came; valid UTF-8.
    Text(Bytes),
    /// The relay has closed the link. Nothing follows.
    Closed {
        /// The code of its Close, where it had one.
        code: Option<CloseCode>,
        /// Its reason.
        reason: String,
    },
}

/// A link to a relay.
///
/// Messages are read, pings are answered and the link is kept alive whether or not anyone asks for what came; what
/// nobody asks for is held in memory up to a bound, beyond which the client stops reading. Dropping the client, or
/// both of its halves, drops the link without a Close.
#[derive(Debug)]
pub struct Client {
    announced: Announced,
    sender: ClientSender,
    receiver: ClientReceiver,
}

/// The half that sends.
#[derive(Debug)]
pub struct ClientSender {
    running: Arc<Running>,
    /// How many texts were handed over to be sent.
    sent: u64,
}

/// The half that receives.
#[derive(Debug)]
pub struct ClientReceiver {
    running: Arc<Running>,
    told_the_end: bool,
}

/// What both halves share with the link's task.
#[derive(Debug)]
struct ClientState {
    outgoing: Arc<Outgoing>,
    incoming: Incoming,
    control: LinkControl,
    ended: OnceLock<Arc<Ended>>,
    has_ended: CancellationToken,
}

/// A link's task, which ends with both halves.
#[derive(Debug)]
struct Running {
    shared: Arc<ClientState>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Connects to `ws://HOST:PORT/PATH?QUERY`. What the query says wins over the options.
    ///
    /// # Errors
    /// [`ConnectError`]
    pub async fn connect(url: &str, options: &ClientOptions) -> Result<Self, ConnectError> {
        let (socket, announced) = dial(url, options).await?;
        Ok(Self::run(socket, announced, options))
    }

    /// Asks for a link over a stream that is connected already; without a timeout.
    ///
    /// # Errors
    /// Where the server grants none.
    pub async fn over(
        stream: Box<dyn Stream>,
        host: &str,
        path: &str,
        options: &ClientOptions,
    ) -> Result<Self, HandshakeError> {
        let (socket, announced) = link::offer(stream, host, path, &options.offer()).await?;
        Ok(Self::run(socket, announced, options))
    }

    fn run(socket: Socket, announced: Announced, options: &ClientOptions) -> Self {
        let limit = options.max_message_bytes.map(usize::try_from);
        let limits = LinkLimits {
            max_message_bytes: limit.map_or(MAX_MESSAGE_BYTES, |limit| limit.unwrap_or(usize::MAX)),
            ..LinkLimits::default()
        };
        let shared = Arc::new(ClientState {
            outgoing: Arc::default(),
            incoming: Incoming::default(),
            control: LinkControl::new(),
            ended: OnceLock::new(),
            has_ended: CancellationToken::new(),
        });
        let link = link::run(
            socket,
            Role::Client,
            shared.incoming.clone(),
            Arc::clone(&shared.outgoing),
            limits,
            shared.control.clone(),
        );
        let noted = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let ended = link.await;
            noted.end(ended);
        });
        let running = Arc::new(Running { shared, task });
        let sender = ClientSender { running: Arc::clone(&running), sent: 0 };
        let receiver = ClientReceiver { running, told_the_end: false };
        Self { announced, sender, receiver }
    }

    /// What the relay said of itself, and the id that this client has there.
    #[must_use]
    pub fn welcome(&self) -> &Announced {
        &self.announced
    }

    /// The two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (ClientSender, ClientReceiver) {
        (self.sender, self.receiver)
    }

    /// Closes the link, as [`ClientSender::close`] does.
    ///
    /// # Errors
    /// Where the link had ended otherwise.
    pub async fn close(self) -> Result<(), ClientError> {
        self.sender.close().await
    }
}

impl ClientState {
    fn end(&self, ended: Ended) {
        let _ = self.ended.set(Arc::new(ended));
        self.outgoing.close();
        self.incoming.close();
        self.has_ended.cancel();
    }

    fn ended(&self) -> Arc<Ended> {
        // Asked for only after the end.
        self.ended.get().cloned().unwrap_or_else(|| Arc::new(Ended::Panicked))
    }
}

/// An ACK as a client sends it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ack<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    message_ids: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_group_id: Option<&'a str>,
}

impl ClientSender {
    /// Hands a text over to be sent, once there is room for it in memory. It goes out by itself, together with
    /// others; [`flush`](Self::flush) waits until it has.
    ///
    /// # Errors
    /// Where the link has ended. Whether earlier texts arrived is then unknown, unless they were answered.
    ///
    /// # Cancellation
    /// The text is either handed over or not; none is cut.
    pub async fn send(&mut self, text: &str) -> Result<(), ClientError> {
        let shared = &self.running.shared;
        shared.outgoing.push(text.into()).await.map_err(|_| ClientError(shared.ended()))?;
        self.sent += 1;
        Ok(())
    }

    /// Waits until every text that was sent has been handed to the operating system.
    ///
    /// # Errors
    /// Where the link has ended before.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        let shared = &self.running.shared;
        shared.outgoing.written(self.sent).await.map_err(|_| ClientError(shared.ended()))
    }

    /// Acknowledges messages of one cluster group, in one ACK. Without a group the relay takes each id for the message
    /// of that id that it sent first. No ids: nothing is sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn acknowledge(&mut self, ids: &[MessageId], group: Option<&ClusterGroup>) -> Result<(), ClientError> {
        let texts: Vec<&str> = ids.iter().map(MessageId::as_str).collect();
        let (message_id, message_ids): (_, &[&str]) = match texts.as_slice() {
            [] => return Ok(()),
            [one] => (Some(*one), &[]),
            many => (None, many),
        };
        let ack = Ack { r#type: "ACK", message_id, message_ids, cluster_group_id: group.map(ClusterGroup::as_str) };
        // Text without maps always serializes; were it otherwise, the relay would refuse the empty text.
        let text = serde_json::to_string(&ack).unwrap_or_default();
        self.send(&text).await
    }

    /// Sends what was handed over, closes the link with 1000 and waits until the relay has answered, or did not in
    /// time. What has come and was not received can still be received; nothing more comes.
    ///
    /// # Errors
    /// Where the link had ended with an error.
    pub async fn close(self) -> Result<(), ClientError> {
        let shared = &self.running.shared;
        // A receiver that nobody asks must not keep the relay's Close from being read.
        shared.incoming.close();
        shared.control.close(CloseCode::NORMAL, "");
        shared.has_ended.cancelled().await;
        let ended = shared.ended();
        match ended.error() {
            None => Ok(()),
            Some(_) => Err(ClientError(ended)),
        }
    }
}

impl ClientReceiver {
    /// The next text, or how the link ended; `None` after that, and where this end closed it.
    ///
    /// # Cancellation
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Received, ClientError>> {
        let shared = &self.running.shared;
        if let Some(text) = shared.incoming.next().await {
            return Some(Ok(Received::Text(text)));
        }
        shared.has_ended.cancelled().await;
        if std::mem::replace(&mut self.told_the_end, true) {
            return None;
        }
        let ended = shared.ended();
        match &*ended {
            Ended::Local { .. } => None,
            Ended::Peer { code, reason } => Some(Ok(Received::Closed { code: *code, reason: reason.clone() })),
            _ => Some(Err(ClientError(ended))),
        }
    }
}

impl Drop for ClientReceiver {
    fn drop(&mut self) {
        // Where nobody receives any more the link goes on, and what comes is dropped.
        self.running.shared.incoming.close();
    }
}
