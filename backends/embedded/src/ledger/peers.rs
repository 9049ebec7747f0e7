//! A remembered peer, and its row.

use slipstream_store::{Peer, PeerId, PeerKind, Result, Timestamp};

use crate::rows::codec::{self, PeerRow};
use crate::rows::read;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerState {
    /// Given once: a peer that was forgotten and is remembered again has another.
    pub(crate) number: u64,
    pub(crate) peer: Peer,
    /// How many of its deliveries are pending.
    pub(crate) backlog: u64,
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
    codec::encode_peer(row, peer.alias.as_ref().map(PeerId::as_str), peer.paused)
}

/// The peer of a row.
pub(crate) fn decode(id: PeerId, bytes: &[u8]) -> Result<PeerState> {
    let (row, alias, paused) = codec::decode_peer(bytes)?;
    let peer = Peer {
        id,
        kind: if row.relay { PeerKind::Relay } else { PeerKind::Application },
        group: read::name(row.group)?,
        tags: row.tags.iter().map(|tag| read::name(tag)).collect::<Result<_>>()?,
        durable: row.durable,
        last_seen: Timestamp::from_millis(row.last_seen),
        alias: alias.map(read::name).transpose()?,
        paused,
    };
    Ok(PeerState { number: row.number, peer, backlog: 0 })
}
