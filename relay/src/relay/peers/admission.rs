//! Who gets a link that asks for one, and under which id.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use slipstream_store::{GeneratedFor, MessageStore, Peer, PeerId, PeerKind};
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
        let peer = self.peer(&hello)?;
        let peer = self.remember(peer).await.map_err(|error| {
            warn!(peer = ?hello.id, %error, "a peer could not be remembered");
            Refusal::unavailable("the store does not take new peers at the moment")
        })?;
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
    fn peer(&self, hello: &Hello) -> Result<Peer, Refusal> {
        let core = &self.core;
        if hello.id.as_ref() == Some(&core.id) {
            return Err(Refusal::own_id(&core.id));
        }
        if let Some(id) = &hello.id
            && hello.kind == PeerKind::Application
            && core.dials.reserve(id)
        {
            return Err(Refusal::bad_request(format!(
                "id: {id} is the alias of a peer that this relay dials and that has not announced an id yet; use another"
            )));
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
            paused: false,
        })
    }
}
