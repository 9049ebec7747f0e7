//! The peers that this relay dials: who is configured, and who turned out to be there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream_store::{MessageStore, Peer, PeerId, PeerKind, Roster, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::seat::{PeerSeat, Terms};
use super::supervisor::{Core, Supervisor};
use crate::dial::{Contact, DialError, DialStatus, DialledPeer, Dialler};
use crate::link::{Announced, Connector, Offer, Role};

/// The peers that this relay dials.
#[derive(Debug)]
pub(super) struct Dials(Vec<Arc<Dial>>);

/// A dialled peer.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) configured: DialledPeer,
    known: Mutex<Known>,
    pub(super) status: watch::Sender<DialStatus>,
    /// How often a dial has led to a link.
    links: AtomicU64,
}

/// Who is there as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// The alias, until a server has announced another id.
    peer: PeerId,
    /// Whether somebody has said that this is its id. What is held under a name that nobody has said is whoever's turns
    /// out to be there.
    named: bool,
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
    pub(super) fn new(configured: &[DialledPeer], roster: &Roster) -> Self {
        let dial = |configured: &DialledPeer| {
            Arc::new(Dial {
                configured: configured.clone(),
                known: Mutex::new(Known::among(roster, &configured.alias)),
                status: watch::Sender::default(),
                links: AtomicU64::new(0),
            })
        };
        Self(configured.iter().map(dial).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Dial>> {
        self.0.iter()
    }

    /// How this peer is dialled, if it is.
    pub(super) fn of(&self, peer: &PeerId) -> Option<&Arc<Dial>> {
        self.0.iter().find(|dial| dial.known.lock().peer == *peer)
    }

    /// Whether this id is a dialled peer's, because it is its alias and the peer has not announced an id yet.
    pub(super) fn reserve(&self, id: &PeerId) -> bool {
        let reserves = |dial: &Arc<Dial>| {
            let known = dial.known.lock();
            !known.named && (dial.configured.alias == *id || known.peer == *id)
        };
        self.0.iter().any(reserves)
    }

    /// The peers as they are to be remembered at the start: messages are held for them whether or not they were ever
    /// reached. Until it is known what a peer is, it counts as a relay, so that what is meant for an instance behind it
    /// is held too; its lane sends no more than is for it where it proves to be an application.
    pub(super) fn peers(&self, roster: &Roster, now: Timestamp) -> Vec<Peer> {
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
            });
            dial.configure(&mut peer, named);
            peer
        };
        self.0.iter().map(peer).collect()
    }
}

impl Dial {
    /// Who is there as far as is known.
    pub(super) fn peer(&self) -> PeerId {
        self.known.lock().peer.clone()
    }

    /// How often a dial has led to a link again.
    pub(super) fn reconnects(&self) -> u64 {
        self.links.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// What is configured wins over what a peer says of itself. `named` tells whether it has said its id.
    pub(super) fn configure(&self, peer: &mut Peer, named: bool) {
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
    pub(super) fn came_by_itself(&self, peer: &PeerId) {
        let mut known = self.known.lock();
        known.named |= known.peer == *peer;
    }

    /// The peer that a server is which has announced this.
    fn introduced(&self, announced: &Announced, now: Timestamp) -> Peer {
        let is_relay = announced.id.is_some() && announced.is_relay;
        Peer {
            id: announced.id.clone().unwrap_or_else(|| self.configured.alias.clone()),
            kind: if is_relay { PeerKind::Relay } else { PeerKind::Application },
            group: announced.group.clone().unwrap_or_default(),
            tags: announced.tags.clone().unwrap_or_default(),
            durable: true,
            last_seen: now,
            alias: None,
        }
    }
}

impl<S: MessageStore + ?Sized> Supervisor<S> {
    /// Begins to dial, a task a peer.
    pub(super) fn dial(&self, connector: &Arc<dyn Connector>, shutdown: &CancellationToken) -> JoinSet<()> {
        let core = &self.core;
        let mut dialling = JoinSet::new();
        for dial in core.dials.iter() {
            let dialler = Dialler {
                contact: DialContact { supervisor: self.clone(), dial: Arc::clone(dial) },
                peer: dial.configured.clone(),
                limits: core.settings.dial.clone(),
                connector: Arc::clone(connector),
                clock: Arc::clone(&core.clock),
                status: dial.status.clone(),
            };
            dialling.spawn(dialler.run(shutdown.clone()));
        }
        dialling
    }

    /// Takes in who a dialled server says it is.
    async fn introduce(&self, dial: &Dial, announced: &Announced) -> Result<Peer, DialError> {
        let core = &self.core;
        let mut peer = dial.introduced(announced, core.clock.now());
        let alias = &dial.configured.alias;
        if let Some(other) = core.dials.of(&peer.id).map(|other| &other.configured.alias)
            && other != alias
        {
            warn!(peer = %peer.id, %alias, %other, "two configured peers are one, which has one link at a time");
        }
        let _changing = core.changing.lock_both(&dial.peer(), &peer.id).await;
        // Under the lock, since the former one may just have linked by itself.
        let former = dial.known.lock().clone();
        let is_former = former.peer == peer.id;
        let named = announced.id.is_some() || is_former && former.named;
        core.subscribers.configure(&mut peer);
        dial.configure(&mut peer, named);
        let known = |id| core.topology.load().peer(id).map(|peer| Peer::clone(peer));
        let counted_as = known(&former.peer).map(|known| known.kind);
        if (counted_as, peer.kind) == (Some(PeerKind::Relay), PeerKind::Application) {
            info!(peer = %peer.id, %alias, "it is an application; what is held for it and names only others will expire");
        }
        if is_former {
            self.put(peer.clone()).await?;
        } else if !former.named {
            self.adopt(&former.peer, peer.clone()).await?;
            info!(peer = %peer.id, %alias, "the peer has said who it is; what was held under the alias is its own now");
        } else if !named && known(alias).is_some_and(|other| other.alias.is_none()) {
            return Err(DialError::AliasTaken(alias.clone()));
        } else {
            // What is held for the former one stays its own: it may come back under its id.
            if let Some(known) = known(&former.peer) {
                self.put(Peer { alias: None, ..known }).await?;
            }
            self.put(peer.clone()).await?;
            warn!(peer = %peer.id, %alias, former = %former.peer, "another peer answers there now");
        }
        *dial.known.lock() = Known { peer: peer.id.clone(), named };
        Ok(peer)
    }
}

/// A dialled peer to its dialler.
struct DialContact<S: ?Sized> {
    supervisor: Supervisor<S>,
    dial: Arc<Dial>,
}

#[async_trait]
impl<S: MessageStore + ?Sized> Contact for DialContact<S> {
    type Seat = PeerSeat<S>;

    fn offer(&self) -> Offer {
        let Core { id, settings, .. } = &*self.supervisor.core;
        Offer {
            id: Some(id.clone()),
            tags: settings.tags.to_vec(),
            group: Some(settings.cluster_group.clone()),
            as_relay: true,
            ack_batch: true,
            max_message_bytes: Some(self.max_message_bytes() as u64),
            token: self.dial.configured.token.clone(),
        }
    }

    fn linked(&self) -> Option<CancellationToken> {
        self.supervisor.core.links.linked(&self.dial.peer())
    }

    async fn meet(&self, announced: Announced, remote: SocketAddr) -> Result<Self::Seat, DialError> {
        let Self { supervisor, dial } = self;
        if announced.id.as_ref() == Some(&supervisor.core.id) {
            return Err(DialError::OwnId(supervisor.core.id.clone()));
        }
        let peer = supervisor.introduce(dial, &announced).await?;
        dial.links.fetch_add(1, Ordering::Relaxed);
        // What is more between relays is for the path, and an application adds none.
        let max_message_bytes = supervisor.core.settings.link.clone().with(peer.kind).max_message_bytes;
        let (terms, supervisor) = (Terms::from(&announced), supervisor.clone());
        Ok(PeerSeat { supervisor, peer, remote, terms, max_message_bytes, role: Role::Client })
    }
}

impl<S: ?Sized> DialContact<S> {
    /// Longest message that is taken from the peer. It is told before it is known whether the peer is a relay.
    fn max_message_bytes(&self) -> usize {
        self.supervisor.core.settings.link.clone().with(PeerKind::Relay).max_message_bytes
    }
}
