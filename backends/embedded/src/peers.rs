//! What a draft does about peers, and their rows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use slipstream_store::{DeliveryState, Peer, PeerId, PeerKind, Result, Sequence, Timestamp};

use crate::bits::Bits;
use crate::codec::{self, PeerRow};
use crate::draft::Draft;
use crate::engine::Table;
use crate::ledger::PeerState;
use crate::{keys, rows};

impl Draft<'_, '_> {
    /// Remembers a peer; whether that is new.
    pub(crate) fn remember(&mut self, peer: &Peer) -> bool {
        let state = match self.peer(&peer.id) {
            Some(known) if known.peer == *peer => return false,
            Some(known) => PeerState { peer: peer.clone(), ..known.clone() },
            None => {
                let number = self.counters.next_peer;
                self.counters.next_peer += 1;
                PeerState { number, peer: peer.clone(), backlog: 0 }
            }
        };
        self.peers.insert(peer.id.clone(), Some(state));
        self.peers_changed();
        true
    }

    /// Forgets a peer and ends what it is owed; whether it was remembered.
    pub(crate) fn forget(&mut self, peer: &PeerId, at: Timestamp) -> Result<bool> {
        let Some(number) = self.peer(peer).map(|state| state.number) else { return Ok(false) };
        for block in self.owed_blocks(number)? {
            let pending = self.owed(peer, number, block)?.now.bits;
            self.expire(peer, block, pending, at)?;
        }
        self.peers.insert(peer.clone(), None);
        self.peers_changed();
        Ok(true)
    }

    /// The blocks in which a peer may be owed anything.
    pub(crate) fn owed_blocks(&self, number: u64) -> Result<BTreeSet<u64>> {
        let here = self.owed.iter().filter(|touched| touched.number == number);
        let mut blocks: BTreeSet<u64> = here.map(|touched| touched.block).collect();
        self.tables.scan(Table::Owed, &keys::pair(number, 0), &keys::pair(number, u64::MAX), &mut |key, _| {
            blocks.insert(keys::last_number(key).ok_or_else(|| rows::bad_key(Table::Owed))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(blocks)
    }

    /// Ends these deliveries of a block as expired.
    pub(crate) fn expire(&mut self, peer: &PeerId, block: u64, bits: Bits, at: Timestamp) -> Result<()> {
        for sequence in bits.numbers(block).filter_map(Sequence::new) {
            self.settle(peer, sequence, DeliveryState::Expired, at)?;
        }
        Ok(())
    }
}

/// A peer as a row.
pub(crate) fn encode(state: &PeerState) -> Result<Vec<u8>> {
    let peer = &state.peer;
    let row = PeerRow {
        number: state.number,
        relay: peer.kind == PeerKind::Relay,
        group: peer.group.as_str(),
        tags: peer.tags.iter().map(|tag| tag.as_str()).collect(),
        durable: peer.durable,
        last_seen: peer.last_seen.as_millis(),
    };
    codec::encode_peer(row, peer.alias.as_ref().map(PeerId::as_str))
}

/// The peer of a row.
pub(crate) fn decode(id: PeerId, bytes: &[u8]) -> Result<PeerState> {
    let (row, alias) = codec::decode_peer(bytes)?;
    let peer = Peer {
        id,
        kind: if row.relay { PeerKind::Relay } else { PeerKind::Application },
        group: rows::name(row.group)?,
        tags: row.tags.iter().map(|tag| rows::name(tag)).collect::<Result<_>>()?,
        durable: row.durable,
        last_seen: Timestamp::from_millis(row.last_seen),
        alias: alias.map(rows::name).transpose()?,
    };
    Ok(PeerState { number: row.number, peer, backlog: 0 })
}
