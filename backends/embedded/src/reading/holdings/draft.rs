//! A message while it is put together.

use std::collections::BTreeMap;

use bytes::Bytes;
use slipstream_store::{
    Fate, Fingerprint, HeldHeader, HeldMessage, HeldOrigin, Identity, PeerId, Result, Sequence, StoreError, Timestamp,
};
use ulid::Ulid;

use crate::engine::Tables;
use crate::rows::bits::BLOCK;
use crate::rows::codec::{self, DeadRow};
use crate::rows::journal::{JournalRow, Recorded};
use crate::rows::table::{MessageRow, Table};
use crate::rows::{packed, read};

/// What is known of a message.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) told: Option<Told>,
    pub(super) fates: BTreeMap<PeerId, Fate>,
    pub(super) kept: Option<Kept>,
}

/// What the journal tells of a message.
pub(super) struct Told {
    identity: Identity,
    fingerprint: u64,
    imported: bool,
    received_at: u64,
    header: HeldHeader,
}

/// Where a message itself is.
pub(super) enum Kept {
    /// In a pack, under this sequence.
    Packed(u64),
    /// In the dead letter of this key.
    Dead(Vec<u8>),
}

/// A message itself.
pub(super) struct Text {
    expires_at: Option<u64>,
    pub(super) text: Bytes,
    told: Option<Told>,
}

impl Draft {
    /// The message that was recorded or imported under `origin`, with its text if a delivery of it is open. Identities are
    /// remembered from a sequence on.
    pub(super) fn message(&self, origin: u64, identities_from: u64, text: Option<Text>) -> Result<Option<HeldMessage>> {
        let remembered = origin >= identities_from;
        let (expires_at, text, stored) =
            text.map_or((None, Bytes::new(), None), |kept| (kept.expires_at, kept.text, kept.told));
        let is_told = self.told.is_some();
        let Some(told) = self.told.as_ref().or(stored.as_ref()) else { return Ok(None) };
        // The journal keeps what was recorded with an identity that is remembered; what it does not tell of from there on
        // was imported.
        let origin_of = match (is_told, told.imported, remembered) {
            (true, true, _) | (false, _, true) => HeldOrigin::Imported,
            _ => HeldOrigin::Recorded { fingerprint: Fingerprint::from_u64(told.fingerprint), remembered },
        };
        let fates = self.fates.clone().into_iter();
        let deliveries = match origin_of {
            HeldOrigin::Imported => Fate::of_import(fates).into_iter().collect(),
            HeldOrigin::Recorded { .. } => fates.filter_map(|(peer, fate)| fate.delivery(peer)).collect(),
        };
        Ok(Some(HeldMessage {
            sequence: sequence(origin)?,
            identity: told.identity.clone(),
            origin: origin_of,
            received_at: Timestamp::from_millis(told.received_at),
            header: Some(told.header.clone()),
            deliveries,
            expires_at: expires_at.map(Timestamp::from_millis),
            text,
        }))
    }
}

/// What a row tells of a message.
pub(super) fn told_of(row: &JournalRow<'_>, told: &Recorded<'_>, imported: bool) -> Result<Told> {
    let route = row.route(told.route)?;
    let stamped = row.stamped.iter().find(|stamped| !imported && stamped.runs.contains(told.sequence));
    Ok(Told {
        identity: Identity { group: read::name(row.name(told.group)?)?, id: read::name(told.id)? },
        fingerprint: told.fingerprint,
        imported,
        received_at: told.received_at,
        header: HeldHeader {
            message_type: read::name(row.name(told.message_type)?)?,
            key: told.key.map(read::name).transpose()?,
            received_from: peer(row.name(route.received_from)?)?,
            path: route.path.iter().map(|&name| peer(row.name(name)?)).collect::<Result<_>>()?,
            epoch: stamped.map(|stamped| Ulid::from_bytes(stamped.epoch)),
        },
    })
}

/// A message itself.
pub(super) fn read_kept(tables: &dyn Tables, origin: u64, kept: &Kept) -> Result<Text> {
    let found = match kept {
        Kept::Packed(number) => packed::message(tables, *number, text_of)?,
        Kept::Dead(key) => match tables.get(Table::Dead, key)? {
            Some(value) => Some(text_of(&codec::decode::<DeadRow<'_>>(&value, "a dead letter")?.message)?),
            None => None,
        },
    };
    found.ok_or_else(|| StoreError::Corrupted(format!("message {origin} is owed but not stored")))
}

/// A message as it is stored.
pub(super) fn text_of(row: &MessageRow<'_>) -> Result<Text> {
    Ok(Text {
        expires_at: row.expires_at,
        text: Bytes::copy_from_slice(row.text),
        told: Some(Told {
            identity: read::identity(row)?,
            fingerprint: 0,
            imported: false,
            received_at: row.received_at,
            header: HeldHeader {
                message_type: read::name(row.message_type)?,
                key: row.key.map(read::name).transpose()?,
                received_from: peer(row.received_from)?,
                path: read::path(row.path)?,
                epoch: None,
            },
        }),
    })
}

/// A sequence of a row.
pub(super) fn sequence(number: u64) -> Result<Sequence> {
    Sequence::new(number).ok_or_else(|| StoreError::Corrupted(format!("a row has the sequence {number}")))
}

/// The id of a peer in a row.
pub(super) fn peer(name: &str) -> Result<PeerId> {
    read::name(name)
}

/// The first number behind the window of a few blocks that begins here.
pub(super) const fn window_end(first: u64, blocks: u64) -> u64 {
    (first / BLOCK + blocks) * BLOCK
}
