//! The links that live, one a peer, and which of two stays.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::{Peer, PeerId, PeerKind};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::peer_link::PeerLink;
use crate::link::{CloseCode, Role};
use crate::relay::dispatcher::{Generation, LinkEnd};

/// The links that live.
#[derive(Debug)]
pub(in crate::relay) struct Links {
    /// This relay.
    own: PeerId,
    /// Two links that begin within this time were dialled at once, each end not knowing of the other's.
    at_once: Duration,
    live: Mutex<BTreeMap<PeerId, Live>>,
    /// How many links began since the start of the relay.
    begun: AtomicU64,
    pub(in crate::relay) closing: AtomicBool,
}

#[derive(Debug)]
struct Live {
    link: Arc<PeerLink>,
    role: Role,
    since: Instant,
    /// Cancelled when the link is no longer its peer's.
    ended: DropGuard,
}

/// What became of a link that was to be its peer's.
#[derive(Debug, Clone, Copy)]
pub(in crate::relay) struct Entry {
    /// Whether it is the peer's link now.
    pub(in crate::relay) stays: bool,
    /// Where the peer has another link: one of the two gives way. This is the address of the other's end.
    pub(in crate::relay) other: Option<SocketAddr>,
}

impl Links {
    pub(in crate::relay) fn new(own: PeerId, at_once: Duration) -> Self {
        Self { own, at_once, live: Mutex::default(), begun: AtomicU64::new(0), closing: AtomicBool::new(false) }
    }

    /// A link begins.
    pub(in crate::relay) fn begin(&self) -> Generation {
        Generation(self.begun.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes this the link of its peer, or has it give way to the one that there is. `role` is this end's.
    pub(in crate::relay) fn enter(&self, link: &Arc<PeerLink>, peer: &Peer, role: Role) -> Entry {
        // The lock is held until the lane serves the link, so that the lane serves the one that stands here.
        let mut live = self.live.lock();
        let older = live.get(&peer.id);
        let other = older.map(|older| older.link.remote);
        // The peer may be back before the end of its former link was noticed.
        let former = older.map_or(LinkEnd::Lost, |older| older.link.end());
        if let Some(older) = older {
            let crossed = older.role != role && peer.kind == PeerKind::Relay && older.since.elapsed() < self.at_once;
            if crossed && self.dialled_by_smaller(older.role, &peer.id) {
                link.give_way();
                return Entry { stays: false, other };
            }
            older.link.give_way();
        }
        let ended = CancellationToken::new().drop_guard();
        live.insert(peer.id.clone(), Live { link: Arc::clone(link), role, since: Instant::now(), ended });
        link.lane.link_up(link.generation, &link.wake, link.terms.clone(), former);
        if self.closing.load(Ordering::Acquire) {
            link.deaf.store(true, Ordering::Release);
            link.control.close(CloseCode::AWAY, "shutting down");
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
    pub(in crate::relay) fn leave(&self, link: &Arc<PeerLink>) {
        let mut live = self.live.lock();
        if live.get(link.lane.peer()).is_some_and(|current| current.link.generation == link.generation) {
            live.remove(link.lane.peer());
        }
    }

    /// Something that is cancelled when the link that this peer has now is no longer its link.
    pub(in crate::relay) fn linked(&self, peer: &PeerId) -> Option<CancellationToken> {
        self.live.lock().get(peer).map(|live| live.ended.token().clone())
    }

    /// Where the link of this peer comes from, or was dialled to, if it has one.
    pub(in crate::relay) fn linked_from(&self, peer: &PeerId) -> Option<SocketAddr> {
        self.live.lock().get(peer).map(|live| live.link.remote)
    }

    /// Where the link of this peer comes from, if it has one that it began itself.
    pub(in crate::relay) fn accepted_from(&self, peer: &PeerId) -> Option<SocketAddr> {
        self.live.lock().get(peer).filter(|live| live.role == Role::Server).map(|live| live.link.remote)
    }

    /// Older deliveries have come to be owed to this peer: where it has a link, everything is sent from the oldest on.
    pub(in crate::relay) fn rewind(&self, peer: &Peer) {
        if let Some(Live { link, .. }) = self.live.lock().get(&peer.id) {
            link.lane.rewind(link.generation, link.terms.clone().with(peer));
        }
    }

    /// Another peer has taken the place of this one: its link ends.
    pub(in crate::relay) fn evict(&self, peer: &PeerId) {
        if let Some(live) = self.live.lock().remove(peer) {
            live.link.give_way();
        }
    }

    /// Ends the link of a peer, which may link again at once. Returns whether it had one.
    pub(in crate::relay) fn disconnect(&self, peer: &PeerId, reason: &'static str) -> bool {
        let link = self.live.lock().get(peer).map(|live| Arc::clone(&live.link));
        link.inspect(|link| link.control.close(CloseCode::AWAY, reason)).is_some()
    }

    /// From now on no message is taken in on any link, and no link begins.
    pub(in crate::relay) fn stop_taking(&self) {
        self.closing.store(true, Ordering::Release);
        for live in self.live.lock().values() {
            live.link.deaf.store(true, Ordering::Release);
        }
    }

    /// Closes every link, and waits so long for the Close of each peer.
    pub(in crate::relay) fn close_all(&self, within: Duration, code: CloseCode, reason: &'static str) {
        for live in self.live.lock().values() {
            live.link.control.close_within(within, code, reason);
        }
    }
}
