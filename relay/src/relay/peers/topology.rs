//! Who the peers are: an immutable snapshot that every router reads, and that the supervisor replaces.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use slipstream_store::{Peer, PeerId, PeerKind, RememberedPeer, Roster, RosterVersion, Tag};

/// The peers of one moment, ordered by id.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    /// Grows with every change, so that what was derived from a topology can be kept while it is the same.
    pub(crate) version: u64,
    /// The roster that it holds at least, if processes share the store.
    pub(crate) roster: RosterVersion,
    peers: Vec<Arc<Peer>>,
    /// The version with which each of them came or changed here last, 0 if it is as a roster had it.
    changed: Vec<u64>,
}

/// What a message says about where it should go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The peer that sent it here.
    pub(crate) sender: &'a PeerId,
    /// The path with which it came.
    pub(crate) path: &'a [PeerId],
    /// `targetedTags`.
    pub(crate) tags: &'a [Tag],
    /// `targetedInstances`.
    pub(crate) instances: &'a [PeerId],
}

impl Topology {
    pub(crate) fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }

    pub(crate) fn peer(&self, id: &PeerId) -> Option<&Arc<Peer>> {
        self.position(id).ok().map(|index| &self.peers[index])
    }

    /// The peers that are owed a message with this target.
    pub(crate) fn recipients(&self, target: Target<'_>) -> Box<[PeerId]> {
        self.peers.iter().filter(|peer| matches(peer, target)).map(|peer| peer.id.clone()).collect()
    }

    fn put(&mut self, peer: Peer) {
        self.put_as_of(self.version, peer);
    }

    /// Puts a peer that was changed here with this version.
    fn put_as_of(&mut self, changed: u64, peer: Peer) {
        match self.position(&peer.id) {
            Ok(index) => (self.peers[index], self.changed[index]) = (Arc::new(peer), changed),
            Err(index) => {
                self.peers.insert(index, Arc::new(peer));
                self.changed.insert(index, changed);
            }
        }
    }

    fn remove(&mut self, id: &PeerId) {
        if let Ok(index) = self.position(id) {
            self.peers.remove(index);
            self.changed.remove(index);
        }
    }

    fn has_changed_since(&self, version: u64, id: &PeerId) -> bool {
        self.position(id).is_ok_and(|index| self.changed[index] > version)
    }

    fn position(&self, id: &PeerId) -> Result<usize, usize> {
        self.peers.binary_search_by(|peer| peer.id.cmp(id))
    }
}

fn matches(peer: &Peer, Target { sender, path, tags, instances }: Target<'_>) -> bool {
    let tagged = tags.is_empty() || tags.iter().any(|tag| peer.tags.contains(tag));
    let named = instances.is_empty() || peer.kind == PeerKind::Relay || instances.contains(&peer.id);
    peer.id != *sender && tagged && named && !path.contains(&peer.id)
}

/// The topology that is in force, shared by all.
#[derive(Debug, Default)]
pub(crate) struct SharedTopology {
    current: ArcSwap<Topology>,
    /// Held over a change, so that none is lost.
    changing: Mutex<()>,
}

impl SharedTopology {
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Topology>> {
        self.current.load()
    }

    /// The topology as of now, to be kept for a while.
    pub(crate) fn load_full(&self) -> Arc<Topology> {
        self.current.load_full()
    }

    /// Adds a peer, or replaces what is known of it.
    pub(crate) fn put(&self, peers: impl IntoIterator<Item = Peer>) {
        self.change(|current| peers.into_iter().for_each(|peer| current.put(peer)));
    }

    pub(crate) fn remove(&self, id: &PeerId) {
        self.change(|current| current.remove(id));
    }

    /// Puts a peer in the place of another, at once: no router sees both or neither.
    pub(crate) fn replace(&self, id: &PeerId, peer: Peer) {
        self.change(|current| {
            current.remove(id);
            current.put(peer);
        });
    }

    /// Takes in a roster that was read from the store after this version was in force. What was changed here since then
    /// stays. Returns who is gone.
    pub(crate) fn renew(&self, since: u64, roster: &Roster) -> Vec<PeerId> {
        let mut gone = Vec::new();
        self.change(|current| {
            if roster.version < current.roster {
                return;
            }
            current.roster = roster.version;
            let mut read = BTreeSet::new();
            for RememberedPeer { peer, .. } in &roster.peers {
                read.insert(peer.id.clone());
                if !current.has_changed_since(since, &peer.id) {
                    current.put_as_of(0, peer.clone());
                }
            }
            let others = current.peers.iter().map(|peer| peer.id.clone()).filter(|id| !read.contains(id));
            gone = others.filter(|id| !current.has_changed_since(since, id)).collect();
            gone.iter().for_each(|id| current.remove(id));
        });
        gone
    }

    fn change(&self, change: impl FnOnce(&mut Topology)) {
        let _changing = self.changing.lock();
        let current = self.current.load();
        let (peers, changed) = (current.peers.clone(), current.changed.clone());
        let mut next = Topology { version: current.version + 1, roster: current.roster, peers, changed };
        change(&mut next);
        self.current.store(Arc::new(next));
    }
}

#[cfg(test)]
mod tests {
    use slipstream_store::{ClusterGroup, Timestamp};

    use super::*;

    fn id(text: &str) -> PeerId {
        PeerId::new(text).unwrap()
    }

    fn topology() -> SharedTopology {
        let shared = SharedTopology::default();
        let peer = |name: &str, kind, tags: &[&str]| Peer {
            id: id(name),
            kind,
            group: ClusterGroup::singleton(),
            tags: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            durable: true,
            last_seen: Timestamp::ZERO,
            alias: None,
            paused: false,
        };
        shared.put([
            peer("relay", PeerKind::Relay, &["aws"]),
            peer("c", PeerKind::Application, &["gcp"]),
            peer("a", PeerKind::Application, &["aws", "prod"]),
            peer("b", PeerKind::Application, &["azure", "prod"]),
            peer("plain", PeerKind::Application, &[]),
        ]);
        shared
    }

    fn recipients(sender: &str, path: &[&str], tags: &[&str], instances: &[&str]) -> Vec<String> {
        let path: Vec<_> = path.iter().map(|hop| id(hop)).collect();
        let tags: Vec<_> = tags.iter().map(|tag| Tag::new(tag).unwrap()).collect();
        let instances: Vec<_> = instances.iter().map(|name| id(name)).collect();
        let target = Target { sender: &id(sender), path: &path, tags: &tags, instances: &instances };
        topology().load().recipients(target).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_target_everyone_but_the_sender_matches() {
        assert_eq!(recipients("a", &[], &[], &[]), ["b", "c", "plain", "relay"]);
        assert_eq!(recipients("stranger", &[], &[], &[]), ["a", "b", "c", "plain", "relay"]);
    }

    #[test]
    fn one_tag_in_common_is_enough() {
        assert_eq!(recipients("x", &[], &["prod", "gcp"], &[]), ["a", "b", "c"]);
        assert_eq!(recipients("x", &[], &["nobody"], &[]), Vec::<String>::new());
    }

    #[test]
    fn nobody_on_the_path_gets_it_again() {
        assert_eq!(recipients("x", &["a", "relay"], &[], &[]), ["b", "c", "plain"]);
    }

    #[test]
    fn named_instances_narrow_the_applications_and_not_the_relays() {
        assert_eq!(recipients("x", &[], &[], &["b", "c"]), ["b", "c", "relay"]);
        assert_eq!(recipients("x", &[], &["azure"], &["b", "c"]), ["b"]);
    }

    #[test]
    fn a_change_has_a_new_version() {
        let shared = topology();
        let before = shared.load().version;
        shared.remove(&id("a"));
        assert!(shared.load().version > before && shared.load().peer(&id("a")).is_none());
        assert!(shared.load().peer(&id("b")).is_some());
    }

    #[test]
    fn what_was_read_does_not_undo_what_was_changed_since() {
        let shared = topology();
        let read: Vec<_> = shared.load().peers().iter().map(|peer| Peer::clone(peer)).collect();
        let since = shared.load().version;
        let peer = |name: &str, tags: &[&str]| Peer {
            id: id(name),
            tags: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            ..read[0].clone()
        };
        shared.put([peer("new", &[]), peer("b", &["changed"])]);
        let roster = |version, peers: Vec<Peer>| {
            let peers = peers.into_iter().map(|peer| RememberedPeer { peer, backlog: 0, oldest: None }).collect();
            Roster { version: RosterVersion(version), peers, ..Roster::default() }
        };
        let elsewhere = read.iter().filter(|peer| peer.id != id("c")).cloned().chain([peer("theirs", &[])]);
        assert_eq!(shared.renew(since, &roster(2, elsewhere.collect())), [id("c")]);
        let ids: Vec<_> = shared.load().peers().iter().map(|peer| peer.id.to_string()).collect();
        assert_eq!(ids, ["a", "b", "new", "plain", "relay", "theirs"]);
        assert_eq!(*shared.load().peer(&id("b")).unwrap().tags, [Tag::new("changed").unwrap()]);
        let now = shared.load().version;
        assert_eq!(shared.renew(now, &roster(1, Vec::new())), [], "it is older than what is known");
        assert_eq!(shared.renew(now, &roster(3, read)), [id("new"), id("theirs")]);
        assert_eq!(shared.load().roster, RosterVersion(3));
        assert!(shared.load().peer(&id("new")).is_none() && shared.load().peer(&id("c")).is_some());
    }

    /// Two were read at once, and the older one is taken in first.
    #[test]
    fn a_newer_roster_counts_whatever_an_older_one_has_changed() {
        let shared = topology();
        let since = shared.load().version;
        let tagged = |version, tag: &str| {
            let peer = Peer {
                tags: Arc::from([Tag::new(tag).unwrap()]),
                ..Peer::clone(shared.load().peer(&id("b")).unwrap())
            };
            let peers = vec![RememberedPeer { peer, backlog: 0, oldest: None }];
            Roster { version: RosterVersion(version), peers, ..Roster::default() }
        };
        let (older, newer) = (tagged(5, "older"), tagged(6, "newer"));
        shared.renew(since, &older);
        shared.renew(since, &newer);
        assert_eq!(shared.load().roster, RosterVersion(6));
        assert_eq!(*shared.load().peer(&id("b")).unwrap().tags, [Tag::new("newer").unwrap()]);
    }

    #[test]
    fn a_peer_takes_the_place_of_another() {
        let shared = topology();
        let peer = Peer::clone(shared.load().peer(&id("b")).unwrap());
        shared.replace(&id("b"), Peer { id: id("z"), ..peer });
        let ids: Vec<_> = shared.load().peers().iter().map(|peer| peer.id.to_string()).collect();
        assert_eq!(ids, ["a", "c", "plain", "relay", "z"]);
    }
}
