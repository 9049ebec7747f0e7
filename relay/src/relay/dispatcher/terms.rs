//! What lanes keep to: the limits of all of them, and what goes over one link to its peer.

use std::sync::Arc;

use slipstream_store::{Peer, PeerId, PeerKind};

use super::forward::Forward;
use crate::protocol;
use crate::relay::settings::DeliveryRules;

/// How a lane sends, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneLimits {
    /// When deliveries are sent, and sent again.
    pub(crate) rules: DeliveryRules,
    /// Most deliveries that wait in memory to be sent.
    pub(crate) queue_items: usize,
    /// Most bytes of them; one delivery may always wait.
    pub(crate) queue_bytes: usize,
    /// Most bytes that all lanes together hold before each keeps only its next delivery.
    pub(crate) total_bytes: usize,
}

impl LaneLimits {
    pub(super) fn window(&self) -> usize {
        usize::try_from(self.rules.window.get()).unwrap_or(usize::MAX)
    }
}

/// What goes over a link to its peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LinkTerms {
    /// The largest message that it takes, if it announced a limit.
    pub(crate) max_message_bytes: Option<u64>,
    /// Whether it gets, after being away, only the newest value of each key.
    pub(crate) coalesce: bool,
    /// Who it is, if it is an application. A relay gets whatever is held for it.
    pub(crate) application: Option<Arc<Addressee>>,
}

/// An application, as messages name it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Addressee {
    id: PeerId,
    /// The name under which messages were held for it until it said its id.
    alias: Option<PeerId>,
}

/// How many times the bytes that may be in flight to an application may be in flight to a relay.
const RELAY_WINDOW_FACTOR: usize = 16;

impl LinkTerms {
    /// Most bytes in flight to the peer; one message may always be.
    pub(super) fn window_bytes(&self, limits: &LaneLimits) -> usize {
        let bytes = limits.rules.window_bytes;
        if self.application.is_some() { bytes } else { bytes.saturating_mul(RELAY_WINDOW_FACTOR) }
    }

    /// The same, for this peer.
    pub(crate) fn with(self, peer: &Peer) -> Self {
        let addressee = || Arc::new(Addressee { id: peer.id.clone(), alias: peer.alias.clone() });
        Self { application: (peer.kind == PeerKind::Application).then(addressee), ..self }
    }

    /// Whether a delivery is one for this peer. It may have been routed before it was known that the peer is an
    /// application, or who it is.
    pub(super) fn permit(&self, forward: &Forward) -> bool {
        let Some(Addressee { id, alias }) = self.application.as_deref() else { return true };
        let named = |instance: &PeerId| instance == id || Some(instance) == alias.as_ref();
        let is_meant = forward.instances.is_empty() || forward.instances.iter().any(named);
        // Only under an alias can a message have been held for the peer that sent it.
        is_meant && (alias.is_none() || !protocol::path(&forward.text).contains(id))
    }
}

/// How a link ended, as far as its deliveries are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    /// The peer closed it with 1009: something in flight was too large for it.
    TooLarge,
    /// In any other way.
    Lost,
}
