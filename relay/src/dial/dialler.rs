//! The life of one dialled peer: dial, run the link, wait, dial again.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, error, info, warn};

use super::attempt::{DialError, attempt};
use super::backoff::Backoff;
use super::{DialLimits, DialledPeer};
use crate::clock::{self, Clock};
use crate::link::{Announced, Connected, Connector, Offer, Socket};
use crate::listen::Seat;
use crate::metrics::Metrics;

/// After how long it looks again whether this process is to dial, where another one does.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

/// The rest of the relay, as the dialler of one peer needs it.
#[async_trait]
pub(crate) trait Contact: Send + Sync + 'static {
    /// What the peer gets.
    type Seat: Seat;

    /// What this relay says of itself.
    fn offer(&self) -> Offer;

    /// Whether this process is the one that dials the peer, of those that share a store.
    async fn may_dial(&self) -> bool;

    /// Whether the peer has a link, whoever began it: something that is cancelled when that link ends.
    fn linked(&self) -> Option<CancellationToken>;

    /// Takes in a server that has granted a link, before that link begins. It is at this address.
    ///
    /// # Errors
    /// Why there is no link with it after all.
    ///
    /// # Cancellation
    /// The future is dropped where it stands when the relay shuts down.
    async fn meet(&self, announced: Announced, remote: SocketAddr) -> Result<Self::Seat, DialError>;
}

/// How the dialling of a peer stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DialStatus {
    /// Whether a dial is under way.
    pub dialling: bool,
    /// Failed dials in a row.
    pub failures: u32,
    /// Whether there were so many of them that the peer is only dialled now and then.
    pub circuit_open: bool,
    /// Why the last dial failed, until the peer has a link again.
    pub last_error: Option<String>,
}

/// Dials one peer for as long as the relay runs. [`run`](Self::run) is its life.
pub(crate) struct Dialler<C> {
    pub(crate) contact: C,
    pub(crate) peer: DialledPeer,
    pub(crate) limits: DialLimits,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: watch::Sender<DialStatus>,
}

impl<C: Contact> Dialler<C> {
    /// Dials, runs the link and dials again until `shutdown` is cancelled. A link that is up then is left to its seat,
    /// and this returns when it has ended.
    ///
    /// It does not dial while the peer has a link, whoever began it.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut backoff = Backoff::new(self.limits.clone());
        let mut told = None;
        while !shutdown.is_cancelled() {
            let asked_for = match self.contact.linked() {
                Some(ended) => {
                    self.follow(&mut backoff, shutdown.run_until_cancelled(ended.cancelled())).await;
                    Duration::ZERO
                }
                None => match shutdown.run_until_cancelled(self.dial_if_permitted()).await {
                    None => return,
                    Some(Ok(None)) => {
                        self.status.send_replace(DialStatus::default());
                        shutdown.run_until_cancelled(sleep(LOOKS_AGAIN)).await;
                        continue;
                    }
                    Some(Ok(Some(link))) => {
                        self.follow(&mut backoff, link).await;
                        Duration::ZERO
                    }
                    Some(Err(error)) => {
                        self.failed(&mut backoff, &mut told, &error);
                        error.retry_after(self.clock.wall())
                    }
                },
            };
            let pause = backoff.pause(|pause| clock::jitter(&*self.clock, pause)).max(asked_for);
            debug!(peer = %self.peer.alias, ?pause, "waiting before the next dial");
            shutdown.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Dials once, unless another process is to. Answers the life of the link.
    async fn dial_if_permitted(&self) -> Result<Option<impl Future<Output = ()> + use<C>>, DialError> {
        if self.contact.may_dial().await { self.dial().await.map(Some) } else { Ok(None) }
    }

    /// Dials once. Answers the life of the link.
    async fn dial(&self) -> Result<impl Future<Output = ()> + use<C>, DialError> {
        self.status.send_modify(|status| status.dialling = true);
        let dialled = self.dial_and_meet().await;
        self.status.send_modify(|status| status.dialling = false);
        let (socket, seat) = dialled?;
        // A task of its own, so that a panic in it ends this one link and nothing else.
        let running = AbortOnDropHandle::new(tokio::spawn(seat.run(socket)));
        Ok(async move {
            if let Err(error) = running.await {
                error!(%error, "a dialled link ended abnormally; only this link ends");
            }
        })
    }

    async fn dial_and_meet(&self) -> Result<(Socket, C::Seat), DialError> {
        let Self { contact, peer, limits, connector, .. } = self;
        let connected = attempt(&**connector, &peer.target, &contact.offer(), limits.timeout).await?;
        let Connected { socket, announced, remote } = connected;
        Ok((socket, contact.meet(announced, remote).await?))
    }

    /// The peer has a link. Waits for its end.
    async fn follow<T>(&self, backoff: &mut Backoff, link: impl Future<Output = T>) {
        let DialledPeer { alias, target, .. } = &self.peer;
        let up_since = Instant::now();
        if backoff.linked() {
            info!(peer = %alias, host = target.authority, "the circuit is closed: the peer has a link");
        }
        self.status.send_replace(DialStatus::default());
        link.await;
        backoff.ended(up_since.elapsed());
    }

    /// Notes a dial that failed. `told` is the kind of the failure before it, which is not told again.
    fn failed(&self, backoff: &mut Backoff, told: &mut Option<String>, error: &DialError) {
        let DialledPeer { alias, target, .. } = &self.peer;
        let opens = backoff.failed();
        let (failures, host) = (backoff.failures(), &target.authority);
        let before = told.replace(error.kind());
        let is_new = failures == 1 || before != *told;
        if opens {
            let pause = self.limits.open_pause;
            error!(peer = %alias, host, failures, ?pause, %error, "the circuit is open: the peer is dialled only now and then");
        } else if !is_new {
            debug!(peer = %alias, host, failures, %error, "a dial failed again");
        } else if matches!(error, DialError::OwnId(_)) {
            error!(peer = %alias, host, failures, %error, "a dial failed");
        } else {
            warn!(peer = %alias, host, failures, %error, "a dial failed");
        }
        Metrics::link_error(error.reason());
        self.status.send_replace(DialStatus {
            dialling: false,
            failures,
            circuit_open: backoff.is_open(),
            last_error: Some(error.to_string()),
        });
    }
}
