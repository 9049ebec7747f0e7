//! What is dialled: the configured peers, and who turned out to be there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use slipstream_store::{Peer, PeerId, PeerKind, Roster, Timestamp};
use tokio::sync::watch;
use tracing::warn;

use crate::dial::{DialStatus, DialledPeer};
use crate::link::Announced;

/// The peers that this relay dials.
#[derive(Debug)]
pub(in crate::relay) struct Dials(Vec<Arc<Dial>>);

/// A dialled peer.
#[derive(Debug)]
pub(in crate::relay) struct Dial {
    pub(in crate::relay) configured: DialledPeer,
    known: Mutex<Known>,
    pub(in crate::relay) status: watch::Sender<DialStatus>,
    /// How often a dial has led to a link.
    links: AtomicU64,
    /// Whether this process has taken it on, of those that share the store.
    ours: AtomicBool,
}

/// Who is there as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The alias, until a server has announced another id.
    pub(super) peer: PeerId,
    /// Whether somebody has said that this is its id. What is held under a name that nobody has said is whoever's turns
    /// out to be there.
    pub(super) named: bool,
}

impl Known {
    /// Finds a configured peer among those that are remembered.
    fn among(roster: &Roster, alias: &PeerId) -> Self {
        let peers = || roster.peers.iter().map(|remembered| &remembered.peer);
        // Where two peers have had this alias in turn, the later one is meant.
        let behind = peers().filter(|peer| peer.alias.as_ref() == Some(alias)).max_by_key(|peer| peer.last_seen);
        if let Some(peer) = behind {
            let named = peer.id != *alias && peer.id != stand_in(alias);
            return Self { peer: peer.id.clone(), named };
        }
        match peers().find(|peer| peer.id == *alias).map(|peer| peer.kind) {
            Some(PeerKind::Application) => {
                warn!(
                    %alias,
                    "the alias of a dialled peer is the id of an application that has linked by itself: it gets no link \
                     under it until the peer has announced another id, and keeps what it is owed until then"
                );
                Self { peer: stand_in(alias), named: false }
            }
            Some(PeerKind::Relay) => Self { peer: alias.clone(), named: true },
            None => Self { peer: alias.clone(), named: false },
        }
    }
}

/// The id under which messages are held for a dialled peer whose alias is the id of an application, so that what the
/// one is owed is never the other's.
fn stand_in(alias: &PeerId) -> PeerId {
    const SUFFIX: &str = ":dialled";
    let kept = alias.as_str().len().min(PeerId::MAX_BYTES - SUFFIX.len());
    PeerId::new(format!("{}{SUFFIX}", &alias.as_str()[..kept])).unwrap_or_else(|_| alias.clone())
}

impl Dials {
    /// Finds each of the configured peers among those that are remembered.
    pub(in crate::relay) fn new(configured: &[DialledPeer], roster: &Roster) -> Self {
        let dial = |configured: &DialledPeer| {
            Arc::new(Dial {
                configured: configured.clone(),
                known: Mutex::new(Known::among(roster, &configured.alias)),
                status: watch::Sender::default(),
                links: AtomicU64::new(0),
                ours: AtomicBool::new(false),
            })
        };
        Self(configured.iter().map(dial).collect())
    }

    pub(in crate::relay) fn iter(&self) -> impl Iterator<Item = &Arc<Dial>> {
        self.0.iter()
    }

    /// How this peer is dialled, if it is.
    pub(in crate::relay) fn of(&self, peer: &PeerId) -> Option<&Arc<Dial>> {
        self.0.iter().find(|dial| dial.known.lock().peer == *peer)
    }

    /// Whether this id is a dialled peer's, because it is its alias and the peer has not announced an id yet.
    pub(in crate::relay) fn reserve(&self, id: &PeerId) -> bool {
        let reserves = |dial: &Arc<Dial>| {
            let known = dial.known.lock();
            !known.named && (dial.configured.alias == *id || known.peer == *id)
        };
        self.0.iter().any(reserves)
    }

    /// The peers as they are to be remembered at the start: messages are held for them whether or not they were ever
    /// reached. Until it is known what a peer is, it counts as a relay, so that what is meant for an instance behind it
    /// is held too; its lane sends no more than is for it where it proves to be an application.
    pub(in crate::relay) fn peers(&self, roster: &Roster, now: Timestamp) -> Vec<Peer> {
        let peer = |dial: &Arc<Dial>| {
            let Known { peer: id, named } = dial.known.lock().clone();
            let known = roster.peers.iter().map(|remembered| &remembered.peer).find(|peer| peer.id == id);
            let mut peer = known.cloned().unwrap_or_else(|| Peer {
                id,
                kind: PeerKind::Relay,
                group: Default::default(),
                tags: Arc::default(),
                durable: true,
                last_seen: now,
                alias: None,
                paused: false,
            });
            dial.configure(&mut peer, named);
            peer
        };
        self.0.iter().map(peer).collect()
    }
}

impl Dial {
    /// Who is there as far as is known.
    pub(in crate::relay) fn peer(&self) -> PeerId {
        self.known.lock().peer.clone()
    }

    /// Who is there, and whether it has said so.
    pub(super) fn known(&self) -> Known {
        self.known.lock().clone()
    }

    /// From now on this one is known to be there.
    pub(super) fn note(&self, known: Known) {
        *self.known.lock() = known;
    }

    /// Whether this process has taken the dial on.
    pub(super) fn is_ours(&self) -> bool {
        self.ours.load(Ordering::Acquire)
    }

    /// This process dials from now on, and finds the peer among those that are remembered.
    pub(super) fn taken_over(&self, roster: &Roster) {
        self.note(Known::among(roster, &self.configured.alias));
        self.ours.store(true, Ordering::Release);
    }

    /// A dial has led to a link.
    pub(super) fn linked(&self) {
        self.links.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a dial has led to a link again.
    pub(in crate::relay) fn reconnects(&self) -> u64 {
        self.links.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// What is configured wins over what a peer says of itself. `named` tells whether it has said its id.
    pub(in crate::relay) fn configure(&self, peer: &mut Peer, named: bool) {
        let DialledPeer { alias, tags, group, .. } = &self.configured;
        peer.durable = true;
        peer.alias = (peer.id != *alias || !named).then(|| alias.clone());
        if let Some(tags) = tags {
            peer.tags = Arc::clone(tags);
        }
        if let Some(group) = group {
            peer.group = group.clone();
        }
    }

    /// Somebody has linked by itself under the id that the peer has here: it is that peer.
    pub(in crate::relay) fn came_by_itself(&self, peer: &PeerId) {
        let mut known = self.known.lock();
        known.named |= known.peer == *peer;
    }

    /// The peer that a server is which has announced this.
    pub(super) fn introduced(&self, announced: &Announced, now: Timestamp) -> Peer {
        let is_relay = announced.id.is_some() && announced.is_relay;
        Peer {
            id: announced.id.clone().unwrap_or_else(|| self.configured.alias.clone()),
            kind: if is_relay { PeerKind::Relay } else { PeerKind::Application },
            group: announced.group.clone().unwrap_or_default(),
            tags: announced.tags.clone().unwrap_or_default(),
            durable: true,
            last_seen: now,
            alias: None,
            paused: false,
        }
    }
}
