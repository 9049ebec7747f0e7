//! The keys of the tables: bytes whose order is the order of what they stand for.

/// The key, in the table of blocks, of what there is once a store. It lies behind every block.
pub(crate) const META: &[u8] = &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

/// The key of the same in the table that version 1 has for it.
pub(crate) const META_OF_VERSION_1: &[u8] = b"ledger";

/// The key of what a number names.
pub(crate) fn number(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// The key of what two numbers name: a peer number and a block, or a peer number and a sequence.
pub(crate) fn pair(first: u64, second: u64) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

/// The key of what a sequence and a peer's id name. Ids that share a beginning stay in order.
pub(crate) fn sequence_and_peer(sequence: u64, peer: &str) -> Vec<u8> {
    [&sequence.to_be_bytes(), peer.as_bytes()].concat()
}

/// The key of a block of the stamps of an epoch.
pub(crate) fn epoch_block((epoch, block): (u128, u64)) -> Vec<u8> {
    [&epoch.to_be_bytes()[..], &block.to_be_bytes()].concat()
}

/// The last number of a key.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The first number of a key.
pub(crate) fn first_number(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The epoch and block of a key.
pub(crate) fn split_epoch_block(key: &[u8]) -> Option<(u128, u64)> {
    Some((u128::from_be_bytes(*key.first_chunk()?), last_number(key)?))
}

/// The sequence and the peer's id of a key.
pub(crate) fn split_sequence_and_peer(key: &[u8]) -> Option<(u64, &str)> {
    let (sequence, peer) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*sequence), std::str::from_utf8(peer).ok()?))
}
