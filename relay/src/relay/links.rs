//! The links that live, one a peer, and which of two stays.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::{Peer, PeerId, PeerKind};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::dispatcher::LinkEnd;
use super::port::Port;
use crate::link::{CloseCode, Role};

/// The links that live.
#[derive(Debug)]
pub(super) struct Links {
    /// This relay.
    own: PeerId,
    /// Two links that begin within this time were dialled at once, each end not knowing of the other's.
    at_once: Duration,
    live: Mutex<BTreeMap<PeerId, Live>>,
    pub(super) closing: AtomicBool,
}

#[derive(Debug)]
struct Live {
    port: Arc<Port>,
    role: Role,
    since: Instant,
    /// Cancelled when the link is no longer its peer's.
    ended: DropGuard,
}

/// What became of a link that was to be its peer's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Whether it is the peer's link now.
    pub(super) stays: bool,
    /// Where the peer has another link: one of the two gives way. This is the address of the other's end.
    pub(super) other: Option<SocketAddr>,
}

impl Links {
    pub(super) fn new(own: PeerId, at_once: Duration) -> Self {
        Self { own, at_once, live: Mutex::default(), closing: AtomicBool::new(false) }
    }

    /// Makes this the link of its peer, or has it give way to the one that there is. `role` is this end's.
    pub(super) fn enter(&self, port: &Arc<Port>, peer: &Peer, role: Role) -> Entry {
        // The lock is held until the lane serves the link, so that the lane serves the one that stands here.
        let mut live = self.live.lock();
        let older = live.get(&peer.id);
        let other = older.map(|older| older.port.remote);
        // The peer may be back before the end of its former link was noticed.
        let former = older.map_or(LinkEnd::Lost, |older| older.port.end());
        if let Some(older) = older {
            let crossed = older.role != role && peer.kind == PeerKind::Relay && older.since.elapsed() < self.at_once;
            if crossed && self.dialled_by_smaller(older.role, &peer.id) {
                port.give_way();
                return Entry { stays: false, other };
            }
            older.port.give_way();
        }
        let ended = CancellationToken::new().drop_guard();
        live.insert(peer.id.clone(), Live { port: Arc::clone(port), role, since: Instant::now(), ended });
        port.lane.link_up(&port.wake, port.terms.clone(), former);
        if self.closing.load(Ordering::Acquire) {
            port.deaf.store(true, Ordering::Release);
            port.control.close(CloseCode::AWAY, "shutting down");
        }
        Entry { stays: true, other }
    }

    /// Whether a link in which this end has this role was dialled by the relay with the smaller id. Both ends of
    /// the link come to the same answer.
    fn dialled_by_smaller(&self, role: Role, peer: &PeerId) -> bool {
        match role {
            Role::Client => self.own < *peer,
            Role::Server => *peer < self.own,
        }
    }

    /// The link has ended.
    pub(super) fn leave(&self, port: &Arc<Port>) {
        let mut live = self.live.lock();
        if live.get(port.lane.peer()).is_some_and(|current| Arc::ptr_eq(&current.port, port)) {
            live.remove(port.lane.peer());
        }
    }

    /// Something that is cancelled when the link that this peer has now is no longer its link.
    pub(super) fn linked(&self, peer: &PeerId) -> Option<CancellationToken> {
        self.live.lock().get(peer).map(|live| live.ended.token().clone())
    }

    /// Whether this peer has a link that it began itself.
    pub(super) fn was_accepted(&self, peer: &PeerId) -> bool {
        self.live.lock().get(peer).is_some_and(|live| live.role == Role::Server)
    }

    /// Older deliveries have come to be owed to this peer: where it has a link, everything is sent from the oldest on.
    pub(super) fn rewind(&self, peer: &Peer) {
        if let Some(Live { port, .. }) = self.live.lock().get(&peer.id) {
            port.lane.rewind(&port.wake, port.terms.clone().with(peer));
        }
    }

    /// Another peer has taken the place of this one: its link ends.
    pub(super) fn evict(&self, peer: &PeerId) {
        if let Some(live) = self.live.lock().remove(peer) {
            live.port.give_way();
        }
    }

    /// From now on no message is taken in on any link, and no link begins.
    pub(super) fn stop_taking(&self) {
        self.closing.store(true, Ordering::Release);
        for live in self.live.lock().values() {
            live.port.deaf.store(true, Ordering::Release);
        }
    }

    /// Closes every link, and waits so long for the Close of each peer.
    pub(super) fn close_all(&self, within: Duration, code: CloseCode, reason: &'static str) {
        for live in self.live.lock().values() {
            live.port.control.close_within(within, code, reason);
        }
    }
}
