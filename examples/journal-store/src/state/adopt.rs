//! How a peer takes the place of its alias.

use slipstream_store::{DeliveryState, Peer, PeerId};

use super::{OpenState, Settled, State};

impl State {
    pub(super) fn adopt(&mut self, alias: &PeerId, peer: &Peer) -> bool {
        let is_new = self.remember(peer);
        if *alias == peer.id || self.peers.remove(alias).is_none() {
            return is_new;
        }
        for origin in self.index.open_messages(alias) {
            let Some(open) = self.reopen(origin, alias, None) else { continue };
            let theirs = self.messages.get(&origin).and_then(|message| message.deliveries.get(&peer.id));
            if theirs.is_some_and(|delivery| delivery.open.is_some()) {
                // Both have one of this message: the peer's stays.
                continue;
            }
            if let OpenState::Dead { at, .. } = open.state {
                self.note(origin, &peer.id, open.sequence, Settled { how: DeliveryState::Dead, at });
            }
            self.reopen(origin, &peer.id, Some(open));
        }
        true
    }
}
