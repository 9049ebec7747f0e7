//! The registry of peers: who is there, who has taken whose place, who is forgotten.

use std::sync::Arc;

use slipstream_store::{MessageStore, Operation, Outcome, Peer, PeerId, PeerKind, StoreError, Timestamp};
use tracing::{debug, warn};

use super::outcome::{Declared, Forgotten};
use crate::relay::committer::CommitQueue;
use crate::relay::core::Core;

/// Why a peer is to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum Why {
    /// It was seen at this time, and not for so long since then that nothing is kept for it any more.
    StayedAway {
        /// When it was seen last.
        since: Timestamp,
    },
    /// It is anonymous, and its link has ended.
    Left,
    /// An operator wants it.
    Wanted,
}

/// Changes what is remembered of peers. Each holds a way into the committer, so that the committer outlives the links.
pub(in crate::relay) struct Registry<S: ?Sized> {
    pub(in crate::relay) core: Arc<Core<S>>,
    pub(in crate::relay) commits: CommitQueue,
}

impl<S: ?Sized> Clone for Registry<S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), commits: self.commits.clone() }
    }
}

impl<S: MessageStore + ?Sized> Registry<S> {
    /// Remembers a peer as it says it is, except for what is configured; answers the peer as it is remembered. From
    /// when this returns the peer is owed every message that matches it. Its lock is held.
    pub(in crate::relay) async fn remember(&self, mut peer: Peer) -> Result<Peer, StoreError> {
        let core = &self.core;
        peer.paused = core.topology.load().peer(&peer.id).is_some_and(|known| known.paused);
        core.subscribers.configure(&mut peer);
        let dial = core.dials.of(&peer.id);
        if let Some(dial) = dial {
            dial.configure(&mut peer, true);
        }
        let peer = self.note(peer).await?;
        if let Some(dial) = dial {
            dial.came_by_itself(&peer.id);
        }
        Ok(peer)
    }

    /// Notes a peer that came, and answers it as it is remembered. Its lock is held.
    ///
    /// One that only comes back waits for no commit, so that it can drain what it is owed also where the store cannot
    /// write; when it was seen is written when its link ends, and now and then before. One that says something else of
    /// itself than before is held to what is remembered, where the store cannot write.
    async fn note(&self, peer: Peer) -> Result<Peer, StoreError> {
        let known = self.core.known(&peer.id);
        let known = known.map(|known| Peer { last_seen: peer.last_seen, ..known });
        if known.as_ref() != Some(&peer) {
            match (self.put(peer.clone()).await, known) {
                (Ok(()), _) => return Ok(peer),
                (Err(error), Some(known)) if error.is_transient() && known.kind == peer.kind => {
                    warn!(peer = %peer.id, %error, "what a peer says of itself now could not be remembered");
                    self.core.topology.put([known.clone()]);
                    return Ok(known);
                }
                (Err(error), _) => return Err(error),
            }
        }
        self.core.topology.put([peer.clone()]);
        Ok(peer)
    }

    /// Makes a peer known to the store first, then to the routers. Its lock is held.
    pub(in crate::relay) async fn put(&self, peer: Peer) -> Result<(), StoreError> {
        self.commits.apply(Operation::RememberPeer(Box::new(peer.clone()))).await?;
        self.core.dispatcher.open_lane(&peer.id).pause(peer.paused);
        self.core.topology.put([peer]);
        Ok(())
    }

    /// Has a peer take the place of an alias, with all that the alias is owed. The locks of both are held.
    pub(in crate::relay) async fn adopt(&self, alias: &PeerId, peer: Peer) -> Result<(), StoreError> {
        let core = &self.core;
        // What the alias has acknowledged must be settled under the alias.
        self.commits.drain().await;
        // The committer counts what the peer is owed into its lane, so it must be there before.
        let was_known = core.topology.load().peer(&peer.id).is_some();
        let lane = core.dispatcher.open_lane(&peer.id);
        let adopt = Operation::AdoptPeer { alias: alias.clone(), peer: Box::new(peer.clone()) };
        if let Err(error) = self.commits.apply(adopt).await {
            if !was_known {
                self.close(&peer.id);
            }
            return Err(error);
        }
        lane.pause(peer.paused);
        core.links.rewind(&peer);
        core.topology.replace(alias, peer);
        core.links.evict(alias);
        self.close(alias);
        Ok(())
    }

    /// Pauses the deliveries to a peer, or has them go on. Returns whether there is such a peer.
    pub(in crate::relay) async fn pause(&self, id: &PeerId, paused: bool) -> Result<bool, StoreError> {
        let _changing = self.core.changing.lock(id).await;
        let Some(peer) = self.core.known(id) else { return Ok(false) };
        self.put(Peer { paused, ..peer }).await?;
        Ok(true)
    }

    /// Remembers an application that has not linked yet, or says anew what it is while it has no link.
    pub(in crate::relay) async fn declare(&self, peer: Peer) -> Result<Declared, StoreError> {
        let core = &self.core;
        let _changing = core.changing.lock(&peer.id).await;
        if peer.id == core.id || core.is_configured(&peer.id) || core.dials.reserve(&peer.id) {
            return Ok(Declared::Configured);
        }
        let known = core.known(&peer.id);
        match known {
            Some(_) if core.links.linked(&peer.id).is_some() => Ok(Declared::Linked),
            Some(known) if known.kind == PeerKind::Relay => Ok(Declared::Relay),
            Some(known) => self.put(Peer { paused: known.paused, ..peer }).await.map(|()| Declared::Changed),
            None => self.put(peer).await.map(|()| Declared::New),
        }
    }

    /// Notes that a peer was seen, where it is still remembered.
    pub(in crate::relay) async fn seen(&self, id: &PeerId) -> Result<(), StoreError> {
        let core = &self.core;
        let _changing = core.changing.lock(id).await;
        let Some(peer) = core.known(id) else {
            return Ok(());
        };
        self.put(Peer { last_seen: core.clock.now(), ..peer }).await
    }

    /// Forgets a peer and all that it is owed, unless it has a link, is configured, or came back meanwhile.
    pub(in crate::relay) async fn forget(&self, id: &PeerId, why: Why) -> Result<Forgotten, StoreError> {
        let core = &self.core;
        let _changing = core.changing.lock(id).await;
        let peer = core.known(id);
        let Some(peer) = peer else { return Ok(Forgotten::Unknown) };
        let lane = core.dispatcher.open_lane(id);
        let is_back = matches!(why, Why::StayedAway { since } if peer.last_seen > since);
        if lane.is_linked() || is_back {
            return Ok(Forgotten::Linked);
        }
        if core.is_configured(id) {
            return Ok(Forgotten::Configured);
        }
        // Out of the topology first, so that nothing new is routed to it. Where another process may serve the peer, what is
        // routed past it must not be committed before it is forgotten.
        let is_shared = core.store.shared().is_some();
        if !is_shared {
            core.topology.remove(id);
        }
        match self.commits.apply(Operation::ForgetPeer { peer: id.clone(), at: core.clock.now() }).await {
            // Another of the processes that share the store serves it, or has forgotten it.
            Ok(Outcome::Unchanged) if is_shared => {
                core.renew().await?;
                return Ok(if core.known(id).is_some() { Forgotten::Linked } else { Forgotten::Unknown });
            }
            Ok(_) => core.topology.remove(id),
            Err(error) => {
                core.topology.put([peer]);
                return Err(error);
            }
        }
        // What was committed until then, together with it too, is counted into the lane.
        self.commits.drain().await;
        let owed = lane.backlog();
        self.close(id);
        core.metrics.forgotten(peer.durable && why != Why::Wanted, owed);
        if why != Why::Wanted {
            core.notices.forgotten(&peer, owed);
        }
        Ok(Forgotten::Forgotten { owed })
    }

    /// Nothing more is kept of a peer in memory.
    fn close(&self, peer: &PeerId) {
        self.core.dispatcher.close_lane(peer);
        self.core.inflows.forget(peer);
    }

    /// A peer's link has ended, and no other has taken its place.
    pub(in crate::relay) async fn left(&self, peer: &Peer) {
        let id = &peer.id;
        let noted = if peer.durable {
            self.seen(id).await
        } else {
            // What it acknowledged last is settled before the rest is forgotten.
            self.commits.drain().await;
            self.forget(id, Why::Left).await.map(drop)
        };
        if let Err(error) = noted {
            debug!(peer = %id, %error, "the end of a link was not noted");
        }
    }
}
