//! Packs: messages with neighbouring sequences in one row, so that an engine writes a few large rows for a commit and
//! not one for each message.
//!
//! A pack is one byte that names the format; how many messages it has; for each of them by how much its sequence is above
//! the pack's key and where its text begins, both of fixed length, so that a query of SQL finds the texts; then their
//! heads; then the texts, one behind the other. A head leaves out what is as in the one before. The messages of a pack
//! lie in one block (`bits.rs`).

use std::borrow::Cow;
use std::ops::ControlFlow;

use bincode::{BorrowDecode, Encode};
use slipstream_store::{Result, StoreError};

use crate::engine::Visited;
use crate::rows::bits::block_of;
use crate::rows::codec;
use crate::rows::table::MessageRow;

const FORMAT: u8 = 1;

/// The format, and the number of messages in two bytes.
const START: usize = 3;

/// Where a message is: two bytes of its sequence, and four of its place.
const ENTRY: usize = 6;

/// A message but for its sequence and its text. What is missing is as in the message before.
#[derive(Debug, Clone, Copy, Encode, BorrowDecode)]
struct Head<'a> {
    group: Option<&'a str>,
    message_type: Option<&'a str>,
    received_at: Option<u64>,
    received_from: Option<&'a str>,
    path: Option<&'a str>,
    id: &'a str,
    key: Option<&'a str>,
    expires_at: Option<u64>,
}

/// Packs messages, whose sequences ascend, into packs of at most `most` bytes, of which one may be larger if it has one
/// message only. Has `done` take each pack with its key, the sequence of its first message.
///
/// # Errors
/// `Unsupported` if a message is larger than 1 GiB; what `done` returns.
pub(crate) fn pack<'m>(
    messages: impl Iterator<Item = MessageRow<'m>>,
    most: usize,
    mut done: impl FnMut(u64, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let mut packing = Packing::default();
    for message in messages {
        if !packing.add(message, most)? {
            let (first, row) = packing.finish()?;
            done(first, row)?;
            packing.add(message, most)?;
        }
    }
    if packing.messages.is_empty() {
        return Ok(());
    }
    let (first, row) = packing.finish()?;
    done(first, row)
}

/// A pack that is being filled.
#[derive(Default)]
struct Packing<'m> {
    messages: Vec<MessageRow<'m>>,
    heads: Vec<u8>,
    text_bytes: usize,
}

impl<'m> Packing<'m> {
    /// Adds a message, unless another pack is to begin with it.
    fn add(&mut self, message: MessageRow<'m>, most: usize) -> Result<bool> {
        let before = self.messages.last();
        if before.is_some_and(|before| block_of(before.sequence) != block_of(message.sequence)) {
            return Ok(false);
        }
        let length = self.heads.len();
        codec::encode_into(&head(&message, before), &mut self.heads)?;
        let entries = START + ENTRY * (self.messages.len() + 1);
        if before.is_some() && entries + self.heads.len() + self.text_bytes + message.text.len() > most {
            self.heads.truncate(length);
            return Ok(false);
        }
        self.text_bytes += message.text.len();
        self.messages.push(message);
        Ok(true)
    }

    /// The key and the bytes of what was added; begins anew.
    fn finish(&mut self) -> Result<(u64, Vec<u8>)> {
        let too_large = || StoreError::Unsupported("a pack of a message of more than 1 GiB".to_owned());
        let first = self.messages.first().map_or(0, |message| message.sequence);
        let texts_at = START + ENTRY * self.messages.len() + self.heads.len();
        let mut bytes = Vec::with_capacity(texts_at + self.text_bytes);
        bytes.push(FORMAT);
        bytes.extend(u16::try_from(self.messages.len()).map_err(|_| too_large())?.to_be_bytes());
        let mut place = texts_at;
        for message in &self.messages {
            bytes.extend(u16::try_from(message.sequence - first).map_err(|_| too_large())?.to_be_bytes());
            bytes.extend(u32::try_from(place).map_err(|_| too_large())?.to_be_bytes());
            place += message.text.len();
        }
        if place > codec::LIMIT {
            return Err(too_large());
        }
        bytes.append(&mut self.heads);
        self.messages.drain(..).for_each(|message| bytes.extend_from_slice(message.text));
        self.text_bytes = 0;
        Ok((first, bytes))
    }
}

/// The head of a message that follows another one.
fn head<'m>(message: &MessageRow<'m>, before: Option<&MessageRow<'m>>) -> Head<'m> {
    let MessageRow { group, message_type, received_at, received_from, path, id, key, expires_at, .. } = *message;
    let unless_same = |is: &'m str, was: fn(&MessageRow<'m>) -> &'m str| (before.map(was) != Some(is)).then_some(is);
    Head {
        group: unless_same(group, |before| before.group),
        message_type: unless_same(message_type, |before| before.message_type),
        received_at: (before.map(|before| before.received_at) != Some(received_at)).then_some(received_at),
        received_from: unless_same(received_from, |before| before.received_from),
        path: unless_same(path, |before| before.path),
        id,
        key,
        expires_at,
    }
}

/// Shows the messages of the pack under this key, in ascending order, until `visit` has enough.
///
/// # Errors
/// `Corrupted` if the bytes are no pack, `Unsupported` if their format is not known; what `visit` returns.
pub(crate) fn unpack(first: u64, bytes: &[u8], visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Visited {
    let corrupted = |why: Cow<'static, str>| StoreError::Corrupted(format!("pack {first}: {why}"));
    let Some((start, rest)) = bytes.split_first_chunk::<START>() else {
        return Err(corrupted("expected a row, got less than its beginning".into()));
    };
    if start[0] != FORMAT {
        let found = start[0];
        return Err(StoreError::Unsupported(format!("pack {first}: expected format {FORMAT}, got {found}")));
    }
    let count = usize::from(u16::from_be_bytes([start[1], start[2]]));
    let entries = rest.get(..ENTRY * count).filter(|_| count > 0);
    let entries = entries.ok_or_else(|| corrupted(format!("{count} messages do not fit into it").into()))?;
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let place_of = |entry: &[u8; ENTRY]| u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]) as usize;
    let texts_at = place_of(&entries[0]);
    let mut heads = bytes.get(START + ENTRY * count..texts_at).ok_or_else(|| corrupted("its texts overlap".into()))?;
    let mut message = MessageRow::NONE;
    let mut next_sequence = first;
    for (number, entry) in entries.iter().enumerate() {
        let (head, length) = codec::decode_from::<Head<'_>>(heads, "the head of a message")?;
        heads = &heads[length..];
        let sequence = first + u64::from(u16::from_be_bytes([entry[0], entry[1]]));
        if sequence < next_sequence || block_of(sequence) != block_of(first) || (number == 0 && sequence != first) {
            return Err(corrupted(format!("message {sequence} is out of order").into()));
        }
        next_sequence = sequence + 1;
        let end = entries.get(number + 1).map_or(bytes.len(), place_of);
        let text = bytes.get(place_of(entry)..end).ok_or_else(|| corrupted("its texts overlap".into()))?;
        message = message.followed_by(&head, sequence, text);
        if visit(&message)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if heads.is_empty() { Ok(ControlFlow::Continue(())) } else { Err(corrupted("bytes follow its heads".into())) }
}

/// Shows all messages of the pack under this key, in ascending order.
///
/// # Errors
/// As [`unpack`].
pub(crate) fn each(first: u64, bytes: &[u8], look: &mut dyn FnMut(&MessageRow<'_>) -> Result<()>) -> Result<()> {
    unpack(first, bytes, &mut |message| look(message).map(ControlFlow::Continue)).map(drop)
}

impl<'a> MessageRow<'a> {
    /// What a first message follows, which leaves nothing out.
    const NONE: Self = MessageRow {
        sequence: 0,
        group: "",
        id: "",
        message_type: "",
        key: None,
        expires_at: None,
        received_at: 0,
        received_from: "",
        path: "",
        text: &[],
    };

    /// The message that comes behind this one.
    fn followed_by(&self, head: &Head<'a>, sequence: u64, text: &'a [u8]) -> Self {
        Self {
            sequence,
            group: head.group.unwrap_or(self.group),
            id: head.id,
            message_type: head.message_type.unwrap_or(self.message_type),
            key: head.key,
            expires_at: head.expires_at,
            received_at: head.received_at.unwrap_or(self.received_at),
            received_from: head.received_from.unwrap_or(self.received_from),
            path: head.path.unwrap_or(self.path),
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::owned::OwnedMessage;

    const MESSAGE: MessageRow<'static> = MessageRow {
        sequence: 2050,
        group: "g",
        id: "m1",
        message_type: "SK",
        key: Some("k"),
        expires_at: Some(7),
        received_at: 5,
        received_from: "a",
        path: "a b",
        text: b"{\"a\":1}",
    };

    const MOST: usize = 4000;

    fn packs(messages: &[MessageRow<'_>]) -> Vec<(u64, Vec<u8>)> {
        let mut packs = Vec::new();
        pack(messages.iter().copied(), MOST, |first, bytes| {
            packs.push((first, bytes));
            Ok(())
        })
        .unwrap();
        packs
    }

    fn unpacked(first: u64, bytes: &[u8]) -> Result<Vec<OwnedMessage>> {
        let mut messages = Vec::new();
        each(first, bytes, &mut |message| {
            messages.push(OwnedMessage::new(message, message.sequence));
            Ok(())
        })?;
        Ok(messages)
    }

    #[test]
    fn messages_are_unpacked_as_they_were_and_packs_end_at_blocks_and_by_size() {
        let (large, huge) = (vec![b'x'; MOST / 2], vec![b'x'; 2 * MOST]);
        let messages = [
            MESSAGE,
            MessageRow { sequence: 2051, id: "m2", key: None, expires_at: None, text: b"", ..MESSAGE },
            MessageRow { sequence: 2060, id: "m3", group: "h", path: "", received_at: 6, ..MESSAGE },
            MessageRow { sequence: 3070, id: "m4", message_type: "", received_from: "b", ..MESSAGE },
            MessageRow { sequence: 3072, id: "m5", ..MESSAGE },
            MessageRow { sequence: 3073, id: "m6", text: &large, ..MESSAGE },
            MessageRow { sequence: 3074, id: "m7", text: &large, ..MESSAGE },
            MessageRow { sequence: 3075, id: "m8", text: &huge, ..MESSAGE },
        ];
        let packs = packs(&messages);
        assert_eq!(packs.iter().map(|(first, _)| *first).collect::<Vec<_>>(), [2050, 3072, 3074, 3075]);
        assert!(packs[..3].iter().all(|(_, bytes)| bytes.len() <= MOST));
        let all: Vec<_> = packs.iter().flat_map(|(first, bytes)| unpacked(*first, bytes).unwrap()).collect();
        assert_eq!(all.iter().map(OwnedMessage::row).collect::<Vec<_>>(), messages);
        let texts: usize = messages[..4].iter().map(|message| message.text.len()).sum();
        let besides = packs[0].1.len() - texts;
        assert!(besides < 4 * 26, "what is as before takes a byte: {besides} bytes besides the texts");
    }

    #[test]
    fn what_is_no_pack_is_told() {
        let message = MessageRow { sequence: 2051, id: "m2", ..MESSAGE };
        let (first, whole) = packs(&[MESSAGE, message]).remove(0);
        for length in 0..whole.len() - MESSAGE.text.len() {
            assert!(matches!(unpacked(first, &whole[..length]), Err(StoreError::Corrupted(_))), "{length} bytes");
        }
        let changed = |at: usize, to: u8| {
            let mut bytes = whole.clone();
            bytes[at] = to;
            unpacked(first, &bytes)
        };
        assert!(matches!(changed(0, 9), Err(StoreError::Unsupported(_))));
        // No messages; more than there are; the first not first; the same again; in another block; texts beyond the end.
        for (at, to) in [(2, 0), (2, 9), (4, 1), (10, 0), (9, 4), (11, 1), (5, 1)] {
            assert!(matches!(changed(at, to), Err(StoreError::Corrupted(_))), "byte {at}: {to}");
        }
    }
}
