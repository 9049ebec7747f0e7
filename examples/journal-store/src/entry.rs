//! What a frame of the journal says: a call that was made, or a row of the state.
//!
//! The contract makes this simple. A store has no clock and no chance in it (clause C10), so that the same calls in
//! the same order give the same state again: it is enough to write down the calls that change it. A journal that was
//! written anew begins with the state as it was then, a row in each frame.

use std::num::NonZeroU32;
use std::sync::Arc;

use slipstream_store::{
    Batch, DeliveryState, Fingerprint, Horizon, Identity, Operation, Peer, PeerId, PeerKind, Sent, Sequence, Timestamp,
};

use crate::codec::{fields, variants};
use crate::state::{Delivery, Message, Newest, Open, OpenState, Seen, Settled, StampBlock, State};

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Commit(Arc<Batch>),
    Purge {
        horizon: Horizon,
        budget: NonZeroU32,
    },
    Head {
        relay: Option<PeerId>,
        last_sequence: u64,
        whole_since: Timestamp,
    },
    Peer(Peer),
    Message {
        origin: Sequence,
        message: Message,
    },
    Identity {
        received_at: Timestamp,
        identity: Identity,
        fingerprint: Fingerprint,
    },
    Stamps {
        block: StampBlock,
        seen: Seen,
    },
    /// The message under this sequence came with an import.
    Imported {
        origin: Sequence,
    },
    /// Nothing happened. Its frame says that all before it had been synced.
    Seal,
}

impl State {
    /// Does again what was done, or takes in what was there.
    pub(crate) fn replay(&mut self, entry: Entry) {
        match entry {
            Entry::Commit(batch) => drop(self.commit(&batch)),
            Entry::Purge { horizon, budget } => drop(self.purge(&horizon, budget)),
            Entry::Head { relay, last_sequence, whole_since } => {
                (self.relay, self.last_sequence, self.whole_since) = (relay, last_sequence, whole_since);
            }
            Entry::Peer(peer) => drop(self.peers.insert(peer.id.clone(), peer)),
            Entry::Message { origin, message } => self.insert(origin, message),
            Entry::Identity { received_at, identity, fingerprint } => {
                self.identities.insert(identity.clone(), fingerprint);
                self.recorded.push_back((received_at, identity));
            }
            Entry::Stamps { block, seen } => self.stamps.insert(block, seen),
            Entry::Imported { origin } => drop(self.imported.insert(origin)),
            Entry::Seal => {}
        }
    }

    /// The whole state, as rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Entry> {
        let head =
            Entry::Head { relay: self.relay.clone(), last_sequence: self.last_sequence, whole_since: self.whole_since };
        let peers = self.peers.values().cloned().map(Entry::Peer);
        let messages = self.messages.iter();
        let messages = messages.map(|(&origin, message)| Entry::Message { origin, message: message.clone() });
        let identities = self.recorded.iter().filter_map(|(received_at, identity)| {
            let fingerprint = *self.identities.get(identity)?;
            Some(Entry::Identity { received_at: *received_at, identity: identity.clone(), fingerprint })
        });
        let stamps = self.stamps.rows().map(|(&block, seen)| Entry::Stamps { block, seen: seen.clone() });
        let imported = self.imported.iter().map(|&origin| Entry::Imported { origin });
        std::iter::once(head).chain(peers).chain(messages).chain(identities).chain(stamps).chain(imported)
    }
}

variants! {
    Entry {
        1 Commit { 0: batch },
        2 Purge { horizon: horizon, budget: budget },
        3 Head { relay: relay, last_sequence: last_sequence, whole_since: whole_since },
        4 Peer { 0: peer },
        5 Message { origin: origin, message: message },
        6 Identity { received_at: received_at, identity: identity, fingerprint: fingerprint },
        7 Stamps { block: block, seen: seen },
        8 Seal {},
        9 Imported { origin: origin },
    }
    Operation {
        1 Record { 0: record },
        2 Acknowledge { peer: peer, sequence: sequence, at: at },
        3 Attempt { peer: peer, sequence: sequence, number: number, at: at },
        4 DeadLetter { peer: peer, sequence: sequence, reason: reason, attempts: attempts, at: at },
        5 Supersede { peer: peer, sequence: sequence, at: at },
        6 Expire { peer: peer, sequence: sequence, at: at },
        7 Redrive { peer: peer, sequence: sequence },
        8 Discard { peer: peer, sequence: sequence },
        9 RememberPeer { 0: peer },
        10 AdoptPeer { alias: alias, peer: peer },
        11 ForgetPeer { peer: peer, at: at },
        12 NameRelay { id: id },
        13 Recognise { 0: record },
        14 ImportDeadLetter { peer: peer, message: message, reason: reason, attempts: attempts, dead_at: dead_at },
    }
    PeerKind { 1 Application {}, 2 Relay {}, }
    DeliveryState { 1 Pending {}, 2 Acknowledged {}, 3 Superseded {}, 4 Expired {}, 5 Dead {}, }
    Sent { 1 No {}, 2 Unacknowledged {}, 3 Acknowledged {}, }
    OpenState {
        1 Pending { attempts: attempts, last_attempt_at: last_attempt_at },
        2 Dead { reason: reason, attempts: attempts, at: at },
    }
}

fields! {
    Horizon { now, expiries, identities, max_identities, stamps, traces, max_trace_bytes }
    Message { record, deliveries }
    Delivery { open, newest, sent }
    Open { sequence, state }
    Newest { sequence, settled }
    Settled { how, at }
    StampBlock { epoch, block }
    Seen { latest, bits }
}
