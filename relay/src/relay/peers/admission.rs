//! Who gets a link that asks for one, and under which id.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use slipstream_store::{GeneratedFor, MessageStore, Peer, PeerId, PeerKind, Timestamp};
use tracing::warn;

use super::registry::Registry;
use crate::link::{Hello, Refusal, Role, Welcome};
use crate::listen::{Admission, Principal};
use crate::relay::links::{PeerSeat, Terms};

#[async_trait]
impl<S: MessageStore + ?Sized> Admission for Registry<S> {
    type Seat = PeerSeat<S>;

    async fn admit(
        &self,
        hello: Hello,
        remote: SocketAddr,
        principal: Principal,
    ) -> Result<(Welcome, Self::Seat), Refusal> {
        let core = &self.core;
        if core.links.closing.load(Ordering::Acquire) {
            return Err(Refusal::unavailable("this relay is shutting down"));
        }
        if core.standing.is_cut_off() {
            return Err(Refusal::unavailable("the store that this relay shares with others is out of reach"));
        }
        let anonymous = || PeerId::generated(GeneratedFor::Anonymous, core.clock.ulid());
        let id = hello.id.clone().unwrap_or_else(anonymous);
        let changing = core.changing.lock(&id).await;
        self.may_have(&id, &hello, &principal)?;
        let peer = self.remember(said(id, &hello, core.clock.now())).await.map_err(|error| {
            warn!(peer = ?hello.id, %error, "a peer could not be remembered");
            Refusal::unavailable("the store does not take new peers at the moment")
        })?;
        drop(changing);
        let max_message_bytes = core.settings.link.clone().with(peer.kind).max_message_bytes;
        let welcome = Welcome {
            relay_id: core.id.clone(),
            tags: Arc::clone(&core.settings.tags),
            group: core.settings.cluster_group.clone(),
            peer_id: peer.id.clone(),
            max_message_bytes: max_message_bytes as u64,
        };
        let (registry, terms, role) = (self.clone(), Terms::from(&hello), Role::Server);
        Ok((welcome, PeerSeat { registry, peer, principal, remote, terms, max_message_bytes, role }))
    }

    fn takes_over(&self, hello: &Hello) -> Option<SocketAddr> {
        self.core.links.accepted_from(hello.id.as_ref()?)
    }
}

impl<S: MessageStore + ?Sized> Registry<S> {
    /// Whether a peer may link under this id. Its lock is held, so that it is nobody else's a moment later.
    fn may_have(&self, id: &PeerId, hello: &Hello, principal: &Principal) -> Result<(), Refusal> {
        let core = &self.core;
        if *id == core.id {
            return Err(Refusal::own_id(id));
        }
        if let Some(whose) = self.relay_of(id)
            && !principal.may_take_a_relays_id()
        {
            return Err(Refusal::forbidden(format!(
                "id: {id} is {whose}, and this credential does not permit a relay"
            )));
        }
        if hello.kind == PeerKind::Application && core.dials.reserve(id) {
            return Err(Refusal::bad_request(format!(
                "id: {id} is the alias of a peer that this relay dials and that has not announced an id yet; use another"
            )));
        }
        Ok(())
    }

    /// What the relay is whose id this is, if it is one's.
    fn relay_of(&self, id: &PeerId) -> Option<&'static str> {
        if self.core.dials.of(id).is_some() {
            return Some("a peer that this relay dials");
        }
        let is_relay = self.core.topology.load().peer(id).is_some_and(|peer| peer.kind == PeerKind::Relay);
        is_relay.then_some("a relay")
    }
}

/// A peer as it says that it is.
fn said(id: PeerId, hello: &Hello, now: Timestamp) -> Peer {
    Peer {
        id,
        kind: hello.kind,
        group: hello.group.clone(),
        tags: Arc::clone(&hello.tags),
        durable: hello.id.is_some(),
        last_seen: now,
        alias: None,
        paused: false,
    }
}
