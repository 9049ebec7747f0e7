//! The applications that are configured: messages are held for them from the start.

use std::collections::BTreeMap;
use std::sync::Arc;

use slipstream_store::{ClusterGroup, Peer, PeerId, PeerKind, Roster, Tag, Timestamp};

/// An application that messages are held for whether or not it ever linked, for as long as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Its id.
    pub id: PeerId,
    /// Its tags. Without any it has those that it announces.
    pub tags: Option<Arc<[Tag]>>,
    /// Its cluster group. Without one it has the one that it announces.
    pub group: Option<ClusterGroup>,
    /// Whether it gets, after being away, only the newest value of each key.
    pub coalesce: bool,
}

/// The subscribers, by their ids.
#[derive(Debug, Default)]
pub(in crate::relay) struct Subscribers(BTreeMap<PeerId, Subscriber>);

impl Subscribers {
    pub(in crate::relay) fn new(configured: &[Subscriber]) -> Self {
        Self(configured.iter().map(|subscriber| (subscriber.id.clone(), subscriber.clone())).collect())
    }

    pub(in crate::relay) fn of(&self, peer: &PeerId) -> Option<&Subscriber> {
        self.0.get(peer)
    }

    /// What is configured wins over what a peer says of itself.
    pub(in crate::relay) fn configure(&self, peer: &mut Peer) {
        let Some(Subscriber { tags, group, .. }) = self.of(&peer.id) else { return };
        peer.durable = true;
        if let Some(tags) = tags {
            peer.tags = Arc::clone(tags);
        }
        if let Some(group) = group {
            peer.group = group.clone();
        }
    }

    /// The peers as they are to be remembered at the start.
    pub(in crate::relay) fn peers(&self, roster: &Roster, now: Timestamp) -> Vec<Peer> {
        let peer = |id: &PeerId| {
            let known = roster.peers.iter().map(|remembered| &remembered.peer).find(|peer| peer.id == *id);
            let mut peer = known.cloned().unwrap_or_else(|| Peer {
                id: id.clone(),
                kind: PeerKind::Application,
                group: Default::default(),
                tags: Arc::default(),
                durable: true,
                last_seen: now,
                alias: None,
                paused: false,
            });
            self.configure(&mut peer);
            peer
        };
        self.0.keys().map(peer).collect()
    }
}
