//! How a peer is dialled: what it is told, who it says it is, and what follows for whom its alias stood.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use slipstream_store::{MessageStore, Peer, PeerKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::dials::{Dial, Known};
use super::registry::Registry;
use crate::dial::{Contact, DialError, Dialler};
use crate::link::{Announced, Connector, Offer, Role};
use crate::listen::Principal;
use crate::relay::core::Core;
use crate::relay::links::{PeerSeat, Terms};

impl<S: MessageStore + ?Sized> Registry<S> {
    /// Begins to dial, a task a peer.
    pub(in crate::relay) fn dial(&self, connector: &Arc<dyn Connector>, shutdown: &CancellationToken) -> JoinSet<()> {
        let core = &self.core;
        let mut dialling = JoinSet::new();
        for dial in core.dials.iter() {
            let dialler = Dialler {
                contact: DialContact { registry: self.clone(), dial: Arc::clone(dial) },
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
        let former = dial.known();
        let is_former = former.peer == peer.id;
        let named = announced.id.is_some() || is_former && former.named;
        core.subscribers.configure(&mut peer);
        dial.configure(&mut peer, named);
        let known = |id| core.known(id);
        // Whoever takes the place of an alias is paused if that was.
        let alias_is_paused = !former.named && known(&former.peer).is_some_and(|alias| alias.paused);
        peer.paused = alias_is_paused || known(&peer.id).is_some_and(|known| known.paused);
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
        dial.note(Known { peer: peer.id.clone(), named });
        Ok(peer)
    }
}

/// A dialled peer to its dialler.
struct DialContact<S: ?Sized> {
    registry: Registry<S>,
    dial: Arc<Dial>,
}

#[async_trait]
impl<S: MessageStore + ?Sized> Contact for DialContact<S> {
    type Seat = PeerSeat<S>;

    fn offer(&self) -> Offer {
        let Core { id, settings, .. } = &*self.registry.core;
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

    async fn may_dial(&self) -> bool {
        let Self { registry, dial } = self;
        match registry.is_to_dial(dial).await {
            Ok(is_to_dial) => is_to_dial,
            Err(error) => {
                debug!(peer = %dial.configured.alias, %error, "who dials the peer is not known");
                false
            }
        }
    }

    fn linked(&self) -> Option<CancellationToken> {
        self.registry.core.links.linked(&self.dial.peer())
    }

    async fn meet(&self, announced: Announced, remote: SocketAddr) -> Result<Self::Seat, DialError> {
        let Self { registry, dial } = self;
        if announced.id.as_ref() == Some(&registry.core.id) {
            return Err(DialError::OwnId(registry.core.id.clone()));
        }
        let peer = registry.introduce(dial, &announced).await?;
        dial.linked();
        // What is more between relays is for the path, and an application adds none.
        let max_message_bytes = registry.core.settings.link.clone().with(peer.kind).max_message_bytes;
        let (registry, terms, role) = (registry.clone(), Terms::from(&announced), Role::Client);
        // Whom to dial is the operator's choice, and that is all the credential that such a peer needs here.
        let principal = Principal::unrestricted();
        Ok(PeerSeat { registry, peer, principal, remote, terms, max_message_bytes, role })
    }
}

impl<S: ?Sized> DialContact<S> {
    /// Longest message that is taken from the peer. It is told before it is known whether the peer is a relay.
    fn max_message_bytes(&self) -> usize {
        self.registry.core.settings.link.clone().with(PeerKind::Relay).max_message_bytes
    }
}
