//! A peer and its link, whichever end began it: everything from the handshake to the end of the link.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use slipstream_store::{MessageStore, Peer};
use tracing::{info, warn};

use super::dispatcher::{LinkTerms, Wake};
use super::outbox::Outbox;
use super::port::{Intake, Port, sender};
use super::router::Router;
use super::supervisor::{Core, Supervisor};
use crate::link::{self, Announced, CloseCode, Ended, Hello, LinkControl, Role, Socket};
use crate::listen::Seat;
use crate::metrics::Metrics;
use crate::protocol::ids_within;

/// What the far end of a link takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// One ACK for many messages.
    ack_batch: bool,
    /// Longest message, where it has a limit.
    max_message_bytes: Option<u64>,
}

impl From<&Hello> for Terms {
    fn from(hello: &Hello) -> Self {
        Self { ack_batch: hello.accepts_ack_batch, max_message_bytes: hello.max_message_bytes }
    }
}

impl From<&Announced> for Terms {
    fn from(announced: &Announced) -> Self {
        Self { ack_batch: announced.accepts_ack_batch, max_message_bytes: announced.max_message_bytes }
    }
}

/// A peer whose link is about to begin.
pub(super) struct PeerSeat<S: ?Sized> {
    pub(super) supervisor: Supervisor<S>,
    pub(super) peer: Peer,
    /// The address of its end.
    pub(super) remote: SocketAddr,
    pub(super) terms: Terms,
    /// Longest message that is taken from the peer, as it was told.
    pub(super) max_message_bytes: usize,
    /// What this end is to the link.
    pub(super) role: Role,
}

impl<S: MessageStore + ?Sized> Seat for PeerSeat<S> {
    async fn run(self, socket: Socket) {
        let core = &self.supervisor.core;
        let peer = &self.peer;
        let port = self.port();
        let (dialled, remote) = (self.role == Role::Client, self.remote);
        let entry = core.links.enter(&port, peer, self.role);
        if entry.stays {
            info!(peer = %peer.id, %remote, kind = ?peer.kind, tags = ?peer.tags, durable = peer.durable, dialled, "link up");
        } else {
            info!(peer = %peer.id, %remote, dialled, "the link gives way to the one that was dialled from the other side");
        }
        if let Some(other) = entry.other {
            core.metrics.taken_over();
            core.notices.taken_over(&peer.id, remote, other);
        }
        let ended = self.live(socket, &port).await;
        if matches!(ended, Ended::Stalled) {
            Metrics::link_stalled();
            warn!(peer = %peer.id, %ended, "link down");
        } else {
            info!(peer = %peer.id, %ended, "link down");
        }
        if let Some(reason) = ended.error() {
            Metrics::link_error(reason);
        }
        if dialled && matches!(ended, Ended::Peer { code: Some(CloseCode::TAKEN_OVER), .. }) {
            core.notices.thrown_out(&peer.id, remote);
        }
        core.links.leave(&port);
        if port.lane.link_down(&port.wake, port.end()) {
            self.supervisor.left(peer).await;
        }
    }
}

impl<S: MessageStore + ?Sized> PeerSeat<S> {
    fn port(&self) -> Arc<Port> {
        let core = &self.supervisor.core;
        let stages = &core.settings.stages;
        let wake = Arc::new(Wake::default());
        let limit = self.terms.max_message_bytes;
        let max_answer = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        Arc::new(Port {
            lane: core.dispatcher.open_lane(&self.peer.id, 0),
            outbox: Arc::new(Outbox::new(stages.unanswered, Arc::clone(&wake))),
            wake,
            control: LinkControl::new(),
            remote: self.remote,
            relay: core.id.clone(),
            ack_batch: if self.terms.ack_batch { stages.ack_batch.min(ids_within(&core.id, max_answer)) } else { 1 },
            max_answer,
            terms: LinkTerms {
                max_message_bytes: self.terms.max_message_bytes,
                coalesce: core.coalesces(&self.peer.id),
                application: None,
            }
            .with(&self.peer),
            deaf: AtomicBool::new(false),
        })
    }

    /// The link, from its first frame to its last.
    async fn live(&self, socket: Socket, port: &Arc<Port>) -> Ended {
        let core = &self.supervisor.core;
        let limits = link::LinkLimits { max_message_bytes: self.max_message_bytes, ..core.settings.link.clone() };
        let control = port.control.clone();
        let running = link::run(socket, self.role, self.intake(port), Arc::clone(port), limits, control);
        tokio::select! {
            biased;
            ended = running => ended,
            failed = port.lane.catch_up(&port.wake, &*core.store, core.settings.stages.page) => {
                // The committer says what is wrong with the store; without its store a link is of no use.
                if let Err(error) = failed {
                    warn!(peer = %self.peer.id, %error, "the peer's deliveries cannot be read");
                }
                Ended::local(CloseCode::ERROR)
            }
        }
    }

    fn intake(&self, port: &Arc<Port>) -> Intake {
        let Core { topology, stamps, clock, metrics, notices, .. } = &*self.supervisor.core;
        Intake {
            port: Arc::clone(port),
            sender: sender(&self.peer),
            max_depth: self.supervisor.core.settings.max_depth,
            router: Router::new(Arc::clone(topology)),
            stamps: Arc::clone(stamps),
            commits: self.supervisor.commits.clone(),
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
            notices: Arc::clone(notices),
        }
    }
}
