//! Begins and ends links: who may have one, under which id, and what follows when it ends.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream_store::{GeneratedFor, MessageStore, Operation, Peer, PeerId, StoreError, Timestamp};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::committer::{CommitQueue, StoreHealth};
use super::dispatcher::{Dispatcher, LinkTerms, Wake};
use super::gate::{Disk, Gate};
use super::outbox::Outbox;
use super::port::{Intake, Port, sender};
use super::router::Router;
use super::settings::Settings;
use super::stamps::Stamps;
use super::topology::SharedTopology;
use crate::clock::Clock;
use crate::link::{self, CloseCode, Hello, LinkControl, Refusal, Role, Socket, Welcome};
use crate::listen::{Admission, Seat};
use crate::metrics::Metrics;

/// What every link needs of the relay.
#[derive(Debug)]
pub(super) struct Core<S: ?Sized> {
    pub(super) id: PeerId,
    pub(super) store: Arc<S>,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) topology: Arc<SharedTopology>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) stamps: Arc<Stamps>,
    pub(super) links: Links,
    pub(super) health: Arc<StoreHealth>,
    pub(super) changing: PeerLocks,
    pub(super) disk: Arc<Disk>,
    /// Told where a peer may be owed more than the backlog limit.
    pub(super) overfull: Arc<Notify>,
}

/// Has the changes to what is remembered of one peer follow each other. Peers share a lock by chance, which costs
/// them a commit's time at most.
#[derive(Debug)]
pub(super) struct PeerLocks {
    locks: [tokio::sync::Mutex<()>; Self::COUNT],
    hasher: RandomState,
}

impl PeerLocks {
    const COUNT: usize = 64;

    async fn lock(&self, peer: &PeerId) -> tokio::sync::MutexGuard<'_, ()> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let index = self.hasher.hash_one(peer) as usize % Self::COUNT;
        self.locks[index].lock().await
    }
}

impl Default for PeerLocks {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| tokio::sync::Mutex::default()), hasher: RandomState::new() }
    }
}

/// The links that live, one a peer.
#[derive(Debug, Default)]
pub(super) struct Links {
    ports: Mutex<HashMap<PeerId, Arc<Port>>>,
    pub(super) closing: AtomicBool,
}

impl Links {
    /// Makes this the link of its peer, and answers the one before it.
    fn take_over(&self, port: &Arc<Port>) -> Option<Arc<Port>> {
        self.ports.lock().insert(port.lane.peer().clone(), Arc::clone(port))
    }

    fn remove(&self, port: &Arc<Port>) {
        let mut ports = self.ports.lock();
        if ports.get(port.lane.peer()).is_some_and(|current| Arc::ptr_eq(current, port)) {
            ports.remove(port.lane.peer());
        }
    }

    /// From now on no message is taken in on any link, and no link begins.
    pub(super) fn stop_taking(&self) {
        self.closing.store(true, Ordering::Release);
        for port in self.ports.lock().values() {
            port.deaf.store(true, Ordering::Release);
        }
    }

    pub(super) fn close_all(&self, code: CloseCode, reason: &'static str) {
        for port in self.ports.lock().values() {
            port.control.close(code, reason);
        }
    }
}

/// Admits peers to a relay. Each admission holds a way into the committer, so that the committer outlives the links.
pub(super) struct Supervisor<S: ?Sized> {
    pub(super) core: Arc<Core<S>>,
    pub(super) commits: CommitQueue,
}

impl<S: ?Sized> Clone for Supervisor<S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), commits: self.commits.clone() }
    }
}

#[async_trait]
impl<S: MessageStore + ?Sized> Admission for Supervisor<S> {
    type Seat = PeerSeat<S>;

    async fn admit(&self, hello: Hello) -> Result<(Welcome, Self::Seat), Refusal> {
        let core = &self.core;
        if core.links.closing.load(Ordering::Acquire) {
            return Err(Refusal::unavailable("this relay is shutting down"));
        }
        let peer = self.peer(&hello)?;
        self.remember(peer.clone()).await.map_err(|error| {
            warn!(peer = %peer.id, %error, "a peer could not be remembered");
            Refusal::unavailable("the store does not take new peers at the moment")
        })?;
        let welcome = Welcome {
            relay_id: core.id.clone(),
            tags: Arc::clone(&core.settings.tags),
            group: core.settings.cluster_group.clone(),
            peer_id: peer.id.clone(),
            max_message_bytes: core.settings.link.clone().with(peer.kind).max_message_bytes as u64,
        };
        Ok((welcome, PeerSeat { supervisor: self.clone(), peer, hello }))
    }
}

impl<S: MessageStore + ?Sized> Supervisor<S> {
    fn peer(&self, hello: &Hello) -> Result<Peer, Refusal> {
        let core = &self.core;
        if hello.id.as_ref() == Some(&core.id) {
            return Err(Refusal::bad_request(format!("id: {} is this relay's own", core.id)));
        }
        let anonymous = || PeerId::generated(GeneratedFor::Anonymous, core.clock.ulid());
        let id = hello.id.clone().unwrap_or_else(anonymous);
        Ok(Peer {
            id,
            kind: hello.kind,
            group: hello.group.clone(),
            tags: Arc::clone(&hello.tags),
            durable: hello.id.is_some(),
            last_seen: core.clock.now(),
            alias: None,
        })
    }

    /// From when this returns the peer is owed every message that matches it.
    async fn remember(&self, peer: Peer) -> Result<(), StoreError> {
        let _changing = self.core.changing.lock(&peer.id).await;
        self.commits.apply(Operation::RememberPeer(peer.clone())).await?;
        self.core.dispatcher.open_lane(&peer.id, 0);
        self.core.topology.put([peer]);
        Ok(())
    }

    /// Notes that a peer was seen, where it is still remembered.
    pub(super) async fn seen(&self, id: &PeerId) -> Result<(), StoreError> {
        let core = &self.core;
        let _changing = core.changing.lock(id).await;
        let Some(peer) = core.topology.load().peer(id).map(|peer| Peer::clone(peer)) else {
            return Ok(());
        };
        let peer = Peer { last_seen: core.clock.now(), ..peer };
        self.commits.apply(Operation::RememberPeer(peer.clone())).await?;
        core.topology.put([peer]);
        Ok(())
    }

    /// Forgets a peer and all that it is owed, unless it has a link or was seen after `unless_seen_after`.
    pub(super) async fn forget(&self, id: &PeerId, unless_seen_after: Timestamp) -> Result<(), StoreError> {
        let core = &self.core;
        let _changing = core.changing.lock(id).await;
        let seen = core.topology.load().peer(id).map(|peer| peer.last_seen);
        let linked = core.dispatcher.lane(id).is_some_and(|lane| lane.is_linked());
        if linked || seen.is_none_or(|seen| seen > unless_seen_after) {
            return Ok(());
        }
        // Out of the topology first, so that nothing new is routed to it.
        core.topology.remove(id);
        core.dispatcher.close_lane(id);
        self.commits.apply(Operation::ForgetPeer { peer: id.clone(), at: core.clock.now() }).await.map(drop)
    }
}

/// A peer that was admitted and whose link is about to begin.
pub(super) struct PeerSeat<S: ?Sized> {
    supervisor: Supervisor<S>,
    peer: Peer,
    hello: Hello,
}

impl<S: MessageStore + ?Sized> Seat for PeerSeat<S> {
    async fn run(self, socket: Socket) {
        let Self { supervisor, peer, hello } = self;
        let core = Arc::clone(&supervisor.core);
        let port = core.open_port(&peer, &hello);
        if let Some(older) = core.links.take_over(&port) {
            older.deaf.store(true, Ordering::Release);
            older.control.close(CloseCode::TAKEN_OVER, "taken over");
        }
        if core.links.closing.load(Ordering::Acquire) {
            port.deaf.store(true, Ordering::Release);
            port.control.close(CloseCode::AWAY, "shutting down");
        }
        info!(peer = %peer.id, kind = ?peer.kind, tags = ?peer.tags, durable = peer.durable, "link up");
        port.lane.link_up(&port.wake, LinkTerms { max_message_bytes: hello.max_message_bytes, coalesce: false });
        let intake = Intake {
            port: Arc::clone(&port),
            sender: sender(&peer),
            router: Router::new(Arc::clone(&core.topology)),
            stamps: Arc::clone(&core.stamps),
            commits: supervisor.commits.clone(),
            clock: Arc::clone(&core.clock),
            metrics: Arc::clone(&core.metrics),
            gate: Gate::new(core.settings.rate_limit, Arc::clone(&core.disk)),
        };
        let running = link::run(
            socket,
            Role::Server,
            intake,
            Arc::clone(&port),
            core.settings.link.clone().with(peer.kind),
            port.control.clone(),
        );
        let page = core.settings.stages.page;
        let ended = tokio::select! {
            ended = running => ended,
            failed = port.lane.catch_up(&port.wake, &*core.store, page) => {
                // The committer says what is wrong with the store; without its store a link is of no use.
                if let Err(error) = failed {
                    warn!(peer = %peer.id, %error, "the peer's deliveries cannot be read");
                }
                link::Ended::local(CloseCode::ERROR)
            }
        };
        info!(peer = %peer.id, %ended, "link down");
        if let Some(reason) = ended.error() {
            Metrics::link_error(reason);
        }
        core.links.remove(&port);
        if port.lane.link_down(&port.wake) {
            supervisor.left(&peer).await;
        }
    }
}

impl<S: MessageStore + ?Sized> Supervisor<S> {
    /// A peer's link has ended, and no other has taken its place.
    async fn left(&self, peer: &Peer) {
        let id = &peer.id;
        let noted = if peer.durable { self.seen(id).await } else { self.forget(id, Timestamp::MAX).await };
        if let Err(error) = noted {
            debug!(peer = %id, %error, "the end of a link was not noted");
        }
    }
}

impl<S: ?Sized> Core<S> {
    fn open_port(&self, peer: &Peer, hello: &Hello) -> Arc<Port> {
        let wake = Arc::new(Wake::default());
        let stages = &self.settings.stages;
        Arc::new(Port {
            lane: self.dispatcher.open_lane(&peer.id, 0),
            outbox: Arc::new(Outbox::new(stages.unanswered, Arc::clone(&wake))),
            wake,
            control: LinkControl::new(),
            relay: self.id.clone(),
            ack_batch: if hello.accepts_ack_batch { stages.ack_batch } else { 1 },
            deaf: AtomicBool::new(false),
        })
    }
}
