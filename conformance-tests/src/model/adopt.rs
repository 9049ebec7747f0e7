//! How a peer takes the place of its alias.

use slipstream_store::{DeliveryState, Peer, PeerId, Sequence};

use super::state::{Settled, State, cursor};

impl State {
    pub(super) fn adopt(&mut self, alias: &PeerId, peer: &Peer) -> bool {
        let is_new = self.remember(peer);
        if *alias == peer.id || !self.peers.contains_key(alias) {
            return is_new;
        }
        let backlog: Vec<_> = self.pending.get(alias).into_iter().flatten().map(|(&sequence, _)| sequence).collect();
        for sequence in backlog {
            let Some(owed) = self.take(alias, sequence) else { continue };
            if self.trace_adopted(alias, &peer.id, sequence, owed.message.origin) {
                self.owe(&peer.id, sequence, owed);
            }
        }
        let dead: Vec<_> = self.dead.keys().filter(|dead| dead.peer == *alias).map(|dead| dead.sequence).collect();
        for sequence in dead {
            let Some(dead) = self.dead.remove(&cursor(alias, sequence)) else { continue };
            let origin = dead.message.origin;
            if self.trace_adopted(alias, &peer.id, sequence, origin) {
                let settled = Settled { state: DeliveryState::Dead, at: dead.at };
                self.trace_settled(&peer.id, sequence, origin, settled);
                self.dead.insert(cursor(&peer.id, sequence), dead);
            }
        }
        self.peers.remove(alias);
        true
    }

    /// Has the trace of a message say that the peer has the alias's delivery now; false if the peer has one of its
    /// own, so that the alias's goes.
    fn trace_adopted(&mut self, alias: &PeerId, peer: &PeerId, sequence: Sequence, origin: Sequence) -> bool {
        let Some(trace) = self.traces.get_mut(&origin) else { return false };
        trace.open.remove(alias);
        let moves = !trace.open.contains_key(peer);
        if moves {
            trace.open.insert(peer.clone(), sequence);
        }
        moves
    }
}
