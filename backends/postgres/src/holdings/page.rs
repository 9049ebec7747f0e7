//! Some packs, and all that is known of their messages.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use slipstream_store::{
    Fate, HeldDelivery, HeldHeader, HeldMessage, HeldOrigin, HeldState, PeerId, Result, StoreError,
};
use tokio_postgres::Row;

use super::pack::{Named, Pack};
use super::reading::Reading;
use crate::bits::Bits;
use crate::errors::{damaged_peer, unreadable};
use crate::fields::{self, Way};
use crate::pages::{attempts, range, reason_of, settled_as, time};
use crate::sequences;

/// Most packs of a page.
const PACKS: i64 = 64;

/// Most bytes of the packs of a page, but for one larger one.
const BYTES: i64 = 4 << 20;

const SIZES: &str = "SELECT no, (coalesce(octet_length(texts), 0) + coalesce(octet_length(meta), 0))::bigint
                     FROM slipstream.pack WHERE no >= $1 AND origin IS NULL ORDER BY no LIMIT $2";
const WHOLE: &str = "SELECT no, recorded, meta_ends, meta, routes, text_ends, texts FROM slipstream.pack
                     WHERE no = ANY ($1) ORDER BY no";
const MESSAGES: &str = "SELECT seq, fingerprint, received, id, grp FROM slipstream.message
                        WHERE seq > $1 AND seq <= $2 ORDER BY seq";
const REDRIVEN: &str = "SELECT no, origin, redriven_for, texts FROM slipstream.pack WHERE origin > $1 AND origin <= $2";
const OWED: &str = "SELECT pack, peer, bits FROM slipstream.owed WHERE pack = ANY ($1)";
const ATTEMPTS: &str = "SELECT peer, seq, number, at FROM slipstream.attempt
                        WHERE peer = ANY ($1) AND (seq > $2 AND seq <= $3 OR seq = ANY ($4))";
const SETTLED: &str = "SELECT pack, peer, state, at, bits FROM slipstream.settled WHERE pack = ANY ($1)";
const DEAD: &str = "SELECT seq, peer, origin, reason, attempts, dead_at, text FROM slipstream.dead
                    WHERE origin > $1 AND origin <= $2";

/// The packs from this one on that make a page, but for those of what was redriven.
pub(super) async fn packs(reading: &Reading, from: i64) -> Result<Vec<i64>> {
    let rows = reading.query(SIZES, &[&from, &PACKS]).await?;
    let (mut packs, mut bytes) = (Vec::new(), 0);
    for row in &rows {
        let get = || -> Result<_, tokio_postgres::Error> { Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?)) };
        let (pack, size) = get().map_err(|error| unreadable(&error))?;
        bytes += size;
        if bytes > BYTES && !packs.is_empty() {
            break;
        }
        packs.push(pack);
    }
    Ok(packs)
}

/// The messages of these packs.
pub(super) async fn read(reading: &Reading, packs: &[i64], identities_from: i64) -> Result<Vec<HeldMessage>> {
    let (Some(first), Some(last)) = (packs.first(), packs.last()) else { return Ok(Vec::new()) };
    let (first, last) = (first << 12, (last << 12) + 4096);
    let mut found = Found { identities_from, ..Found::default() };
    for row in &reading.query(MESSAGES, &[&first, &last]).await? {
        let (number, named) = Named::read(row).map_err(|error| unreadable(&error))?;
        found.messages.insert(number, named);
    }
    for row in &reading.query(REDRIVEN, &[&first, &last]).await? {
        found.take_redriven(row)?;
    }
    let all: Vec<i64> = packs.iter().chain(found.origins.keys()).copied().collect();
    let owed = reading.query(OWED, &[&all]).await?;
    let peers: Vec<&str> = owed.iter().filter_map(|row| row.try_get(1).ok()).collect();
    let redriven: Vec<i64> = found.origins.keys().map(|pack| (pack << 12) + 1).collect();
    for row in &reading.query(ATTEMPTS, &[&peers, &first, &last, &redriven]).await? {
        let get = || -> Result<_, tokio_postgres::Error> {
            Ok(((row.try_get(0)?, row.try_get(1)?), (row.try_get(2)?, row.try_get(3)?)))
        };
        found.attempts.extend([get().map_err(|error| unreadable(&error))?]);
    }
    for row in &owed {
        found.take_owed(row)?;
    }
    for row in &reading.query(SETTLED, &[&all]).await? {
        found.take_settled(row)?;
    }
    for row in &reading.query(DEAD, &[&first, &last]).await? {
        found.take_dead(row)?;
    }
    let mut messages = Vec::new();
    for row in &reading.query(WHOLE, &[&packs]).await? {
        found.assemble(row, &mut messages)?;
    }
    Ok(messages)
}

/// What was found out about the messages of a page, by their sequences.
#[derive(Default)]
struct Found {
    identities_from: i64,
    messages: BTreeMap<i64, Named>,
    /// Packs of what was redriven, and the message of each.
    origins: HashMap<i64, i64>,
    attempts: HashMap<(String, i64), (i64, i64)>,
    fates: HashMap<i64, BTreeMap<PeerId, Fate>>,
    texts: HashMap<i64, Bytes>,
}

impl Found {
    fn take_redriven(&mut self, row: &Row) -> Result<()> {
        let get = || -> Result<_, tokio_postgres::Error> {
            let peer: Option<&str> = row.try_get(2)?;
            Ok((row.try_get(0)?, row.try_get(1)?, peer, row.try_get::<_, Option<&[u8]>>(3)?))
        };
        let (pack, origin, peer, text) = get().map_err(|error| unreadable(&error))?;
        self.origins.insert(pack, origin);
        if let Some(text) = text {
            self.texts.insert(origin, Bytes::copy_from_slice(text));
        }
        if let Some(peer) = peer {
            self.fate(origin, peer)?.had(sequences::sequence(pack, 0)?);
        }
        Ok(())
    }

    fn take_owed(&mut self, row: &Row) -> Result<()> {
        let get = || -> Result<_, tokio_postgres::Error> { Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)) };
        let (pack, peer, bits): (i64, &str, Bits) = get().map_err(|error| unreadable(&error))?;
        for index in bits.ones() {
            let sequence = sequences::sequence(pack, index)?;
            let number = sequences::number(sequence);
            let noted = self.attempts.get(&(peer.to_owned(), number)).copied();
            let state = HeldState::Pending {
                attempts: noted.map_or(0, |(attempt, _)| attempts(attempt)),
                last_attempt_at: noted.map(|(_, at)| time(at)),
            };
            self.fate(self.origin(pack, number), peer)?.is_open(sequence, state);
        }
        Ok(())
    }

    fn take_settled(&mut self, row: &Row) -> Result<()> {
        let get = || -> Result<_, tokio_postgres::Error> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?))
        };
        let (pack, peer, state, at, bits): (i64, &str, i16, _, Bits) = get().map_err(|error| unreadable(&error))?;
        let unknown = || StoreError::Corrupted(format!("a delivery was settled as {state}"));
        let state = settled_as(state).ok_or_else(unknown)?;
        for index in bits.ones() {
            let sequence = sequences::sequence(pack, index)?;
            let origin = self.origin(pack, sequences::number(sequence));
            self.fate(origin, peer)?.was_settled(sequence, time(at), state);
        }
        Ok(())
    }

    fn take_dead(&mut self, row: &Row) -> Result<()> {
        let get = || -> Result<_, tokio_postgres::Error> {
            let (reason, text): (&[u8], &[u8]) = (row.try_get(3)?, row.try_get(6)?);
            let (number, at): (i64, i64) = (row.try_get(4)?, row.try_get(5)?);
            Ok(((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), reason, number, at, text))
        };
        let ((number, peer, origin), reason, tries, at, text) = get().map_err(|error| unreadable(&error))?;
        let state = HeldState::Dead { reason: reason_of(reason)?, attempts: attempts(tries), at: time(at) };
        self.texts.insert(origin, Bytes::copy_from_slice(text));
        self.fate(origin, peer)?.is_open(sequences::read(number)?, state);
        Ok(())
    }

    /// The message that a delivery with this sequence is of.
    fn origin(&self, pack: i64, sequence: i64) -> i64 {
        self.origins.get(&pack).copied().unwrap_or(sequence)
    }

    fn fate(&mut self, origin: i64, peer: &str) -> Result<&mut Fate> {
        let peer = PeerId::new(peer).map_err(damaged_peer)?;
        Ok(self.fates.entry(origin).or_default().entry(peer).or_default())
    }

    /// Puts the messages of a pack together.
    fn assemble(&mut self, row: &Row, messages: &mut Vec<HeldMessage>) -> Result<()> {
        let pack = Pack::read(row).map_err(|error| unreadable(&error))?;
        let Some((ends, meta, routes)) = &pack.meta else {
            // Its traces were forgotten; identities of it may be remembered.
            for (&number, named) in self.messages.range((pack.no << 12) + 1..=(pack.no << 12) + 4096) {
                if number >= self.identities_from && named.fingerprint.is_some() {
                    messages.push(named.alone(number)?);
                }
            }
            return Ok(());
        };
        let ways = fields::decode_routes(routes)?;
        for index in pack.recorded.ones() {
            let missing = || StoreError::Corrupted(format!("pack {}: message {index} is not there", pack.no));
            let sequence = sequences::sequence(pack.no, index)?;
            let number = sequences::number(sequence);
            let fields = fields::decode(range(ends, index).and_then(|range| meta.get(range)).ok_or_else(missing)?)?;
            let named = self.messages.get(&number).ok_or_else(missing)?;
            let Way { received_from, path } = ways.get(fields.route).ok_or_else(missing)?.clone();
            let fates = self.fates.remove(&number).unwrap_or_default().into_iter();
            let (origin, deliveries): (_, Vec<_>) = match named.fingerprint {
                None => (HeldOrigin::Imported, Fate::of_import(fates).into_iter().collect()),
                Some(_) => {
                    let (fingerprint, remembered) = (fields.fingerprint, number >= self.identities_from);
                    let deliveries = fates.filter_map(|(peer, fate)| fate.delivery(peer)).collect();
                    (HeldOrigin::Recorded { fingerprint, remembered }, deliveries)
                }
            };
            let is_open = deliveries.iter().any(HeldDelivery::is_open);
            let kept = self.texts.remove(&number).or_else(|| pack.text(index));
            let text = if is_open { kept.ok_or_else(missing)? } else { Bytes::new() };
            let (message_type, key, epoch) = (fields.message_type, fields.key, fields.epoch);
            messages.push(HeldMessage {
                sequence,
                identity: fields.identity,
                origin,
                received_at: fields.received_at,
                header: Some(HeldHeader { message_type, key, received_from, path, epoch }),
                deliveries,
                expires_at: fields.expires_at,
                text,
            });
        }
        Ok(())
    }
}
