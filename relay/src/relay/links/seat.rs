//! A peer and its link, whichever end began it: everything from the handshake to the end of the link.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use slipstream_store::{MessageStore, Peer};
use tracing::{info, warn};

use super::intake::{Intake, sender};
use super::outbox::Outbox;
use super::peer_link::PeerLink;
use crate::link::{self, Announced, CloseCode, Ended, Hello, LinkControl, Role, Socket};
use crate::listen::{Principal, Seat};
use crate::metrics::Metrics;
use crate::protocol::ids_within;
use crate::relay::core::Core;
use crate::relay::dispatcher::{LinkTerms, Wake};
use crate::relay::peers::Registry;
use crate::relay::router::Router;

/// What the far end of a link takes.
#[derive(Debug, Clone, Copy)]
pub(in crate::relay) struct Terms {
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
pub(in crate::relay) struct PeerSeat<S: ?Sized> {
    pub(in crate::relay) registry: Registry<S>,
    pub(in crate::relay) peer: Peer,
    /// Who its credential says that it is.
    pub(in crate::relay) principal: Principal,
    /// The address of its end.
    pub(in crate::relay) remote: SocketAddr,
    pub(in crate::relay) terms: Terms,
    /// Longest message that is taken from the peer, as it was told.
    pub(in crate::relay) max_message_bytes: usize,
    /// What this end is to the link.
    pub(in crate::relay) role: Role,
}

impl<S: MessageStore + ?Sized> Seat for PeerSeat<S> {
    async fn run(self, socket: Socket) {
        let core = &self.registry.core;
        let peer = &self.peer;
        let (dialled, remote) = (self.role == Role::Client, self.remote);
        // Until it has entered, so that the end of a former link does not give the claim back.
        let changing = core.changing.lock(&peer.id).await;
        let claimed = self.registry.claim(peer).await;
        let link = self.peer_link();
        if let Err(error) = claimed {
            warn!(peer = %peer.id, %remote, %error, "no link: the peer could not be claimed");
            link.control.close(CloseCode::AWAY, "the store is out of reach");
            self.live(socket, &link).await;
            return;
        }
        let entry = core.links.enter(&link, peer, self.role);
        drop(changing);
        if entry.stays {
            let (principal, tags) = (self.principal.name(), &peer.tags);
            info!(peer = %peer.id, %remote, principal, kind = ?peer.kind, ?tags, durable = peer.durable, dialled, "link up");
        } else {
            info!(peer = %peer.id, %remote, dialled, "the link gives way to the one that was dialled from the other side");
        }
        if let Some(other) = entry.other {
            core.metrics.taken_over();
            core.notices.taken_over(&peer.id, remote, other);
        }
        let ended = self.live(socket, &link).await;
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
        core.links.leave(&link);
        if link.lane.link_down(link.generation, link.end()) {
            self.registry.left(peer).await;
            self.registry.release(peer).await;
        }
    }
}

impl<S: MessageStore + ?Sized> PeerSeat<S> {
    fn peer_link(&self) -> Arc<PeerLink> {
        let core = &self.registry.core;
        let stages = &core.settings.stages;
        let wake = Arc::new(Wake::default());
        let limit = self.terms.max_message_bytes;
        let max_answer = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        Arc::new(PeerLink {
            lane: core.dispatcher.open_lane(&self.peer.id),
            generation: core.links.begin(),
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
            mute: AtomicBool::new(false),
        })
    }

    /// The link, from its first frame to its last.
    async fn live(&self, socket: Socket, link: &Arc<PeerLink>) -> Ended {
        let core = &self.registry.core;
        let limits = link::LinkLimits { max_message_bytes: self.max_message_bytes, ..core.settings.link.clone() };
        let control = link.control.clone();
        let running = link::run(socket, self.role, self.intake(link), Arc::clone(link), limits, control);
        tokio::select! {
            biased;
            ended = running => ended,
            failed = link.lane.catch_up(link.generation, &link.wake, &*core.store, core.settings.stages.page) => {
                // The committer says what is wrong with the store; without its store a link is of no use.
                if let Err(error) = failed {
                    warn!(peer = %self.peer.id, %error, "the peer's deliveries cannot be read");
                }
                Ended::local(CloseCode::ERROR)
            }
            never = self.shut_out_in_time(link) => match never {},
        }
    }

    /// Ends the link when its principal does not hold any more.
    async fn shut_out_in_time(&self, link: &PeerLink) -> Infallible {
        let why = self.principal.ended(&*self.registry.core.clock).await;
        info!(peer = %self.peer.id, principal = self.principal.name(), "the link is closed: {why}");
        link.shut_out(why);
        pending().await
    }

    fn intake(&self, link: &Arc<PeerLink>) -> Intake {
        let Core { topology, stamps, clock, metrics, notices, .. } = &*self.registry.core;
        Intake {
            link: Arc::clone(link),
            sender: sender(&self.peer),
            principal: self.principal.clone(),
            inflow: self.registry.core.inflows.of(&self.peer.id),
            max_depth: self.registry.core.settings.max_depth,
            router: Router::new(Arc::clone(topology)),
            stamps: Arc::clone(stamps),
            commits: self.registry.commits.clone(),
            burst: self.registry.commits.burst(),
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
            notices: Arc::clone(notices),
        }
    }
}
