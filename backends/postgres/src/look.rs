//! The roster, counts, and contradictions.

use slipstream_store::{
    ClusterGroup, DeadLetterCount, DeadLetterReason, Defect, Depth, Peer, PeerId, PeerKind, RememberedPeer, Result,
    Roster, RosterVersion, Stats, StoreError, Tag,
};
use tokio_postgres::Row;

use crate::errors::{damaged_peer, unreadable};
use crate::fields;
use crate::pages::{range, time};
use crate::pool::Pool;
use crate::sequences;

const ROSTER: &str = "SELECT * FROM slipstream.roster()";
const STATS: &str = "SELECT * FROM slipstream.stats()";
const DEAD_COUNTS: &str = "SELECT peer, class, count(*), max(dead_at) FROM slipstream.dead GROUP BY peer, class \
                           ORDER BY peer, class";
const CONTRADICTIONS: &str = "SELECT contradiction FROM slipstream.contradictions() contradiction";

/// Packs whose fields are read at a time by a full check.
const PACKS: i64 = 64;
const PACK_FIELDS: &str = "SELECT no, meta_ends, meta, routes FROM slipstream.pack WHERE no >= $1 AND meta IS NOT NULL \
                           ORDER BY no LIMIT $2";

/// This relay's id and the peers.
pub(crate) async fn roster(readers: &Pool) -> Result<Roster> {
    let rows = readers.query(ROSTER, &[]).await?;
    let mut roster = Roster::default();
    for row in &rows {
        roster.version = version(row.try_get("version").map_err(|error| unreadable(&error))?);
        let relay: Option<&str> = row.try_get("relay").map_err(|error| unreadable(&error))?;
        roster.relay = relay.map(PeerId::new).transpose().map_err(damaged_peer)?;
        // Without peers there is one row, of the relay alone.
        if row.try_get::<_, Option<&str>>("id").map_err(|error| unreadable(&error))?.is_some() {
            roster.peers.push(remembered(row)?);
        }
    }
    Ok(roster)
}

/// A version of the roster as the database has it.
pub(crate) fn version(number: i64) -> RosterVersion {
    RosterVersion(number.unsigned_abs())
}

/// A peer and what it is owed.
pub(crate) fn remembered(row: &Row) -> Result<RememberedPeer> {
    let get = || -> Result<_, tokio_postgres::Error> {
        let names: [&str; 3] = [row.try_get("id")?, row.try_get("kind")?, row.try_get("grp")?];
        let (tags, alias): (Vec<&str>, Option<&str>) = (row.try_get("tags")?, row.try_get("alias")?);
        let numbers: (i64, i64, Option<i64>) =
            (row.try_get("last_seen")?, row.try_get("backlog")?, row.try_get("oldest")?);
        Ok((names, tags, alias, row.try_get("durable")?, row.try_get("paused")?, numbers))
    };
    let ([id, kind, group], tags, alias, durable, paused, (last_seen, backlog, oldest)) =
        get().map_err(|error| unreadable(&error))?;
    let peer = Peer {
        id: PeerId::new(id).map_err(damaged_peer)?,
        kind: if kind == "relay" { PeerKind::Relay } else { PeerKind::Application },
        group: ClusterGroup::new(group).map_err(damaged_peer)?,
        tags: tags.into_iter().map(Tag::new).collect::<Result<_, _>>().map_err(damaged_peer)?,
        durable,
        last_seen: time(last_seen),
        alias: alias.map(PeerId::new).transpose().map_err(damaged_peer)?,
        paused,
    };
    let oldest = oldest.map(sequences::read).transpose()?;
    Ok(RememberedPeer { peer, backlog: backlog.unsigned_abs(), oldest })
}

/// How much is in the store.
pub(crate) async fn stats(readers: &Pool) -> Result<Stats> {
    let rows = readers.query(STATS, &[]).await?;
    let row = rows.first().ok_or_else(|| StoreError::Corrupted("no counts".to_owned()))?;
    let count = |name| row.try_get::<_, i64>(name).map(i64::unsigned_abs).map_err(|error| unreadable(&error));
    Ok(Stats {
        peers: count("peers")?,
        messages: count("messages")?,
        pending: count("pending")?,
        dead_letters: count("dead_letters")?,
        identities: count("identities")?,
        bytes: count("bytes")?,
    })
}

/// How many dead letters there are.
pub(crate) async fn dead_letter_counts(readers: &Pool) -> Result<Vec<DeadLetterCount>> {
    let rows = readers.query(DEAD_COUNTS, &[]).await?;
    let count = |row: &Row| {
        let get = || -> Result<_, tokio_postgres::Error> {
            Ok((row.try_get::<_, &str>(0)?, row.try_get::<_, &str>(1)?, row.try_get(2)?, row.try_get(3)?))
        };
        let (peer, class, count, newest): (_, _, i64, i64) = get().map_err(|error| unreadable(&error))?;
        Ok(DeadLetterCount {
            peer: PeerId::new(peer).map_err(damaged_peer)?,
            // A class is the first part of a reason, and so its own class.
            reason: DeadLetterReason::from(class).class(),
            count: count.unsigned_abs(),
            newest: time(newest),
        })
    };
    rows.iter().map(count).collect()
}

/// What contradicts itself; in a full check also what cannot be read.
pub(crate) async fn check(readers: &Pool, depth: Depth) -> Result<Vec<Defect>> {
    let rows = readers.query(CONTRADICTIONS, &[]).await?;
    let text = |row: &Row| row.try_get(0).map(Defect).map_err(|error| unreadable(&error));
    let mut defects = rows.iter().map(text).collect::<Result<Vec<_>>>()?;
    if depth == Depth::Full {
        defects.extend(unreadable_packs(readers).await?);
    }
    Ok(defects)
}

/// The packs that cannot be read.
async fn unreadable_packs(readers: &Pool) -> Result<Vec<Defect>> {
    let mut defects = Vec::new();
    let mut from = 0_i64;
    loop {
        let rows = readers.query(PACK_FIELDS, &[&from, &PACKS]).await?;
        for row in &rows {
            let number: i64 = row.try_get("no").map_err(|error| unreadable(&error))?;
            from = number + 1;
            if let Err(error) = read_pack(row) {
                defects.push(Defect(format!("pack {number}: {error}")));
            }
        }
        if rows.is_empty() {
            return Ok(defects);
        }
    }
}

/// Reads the fields of all messages of a pack.
fn read_pack(row: &Row) -> Result<()> {
    let get = || -> Result<_, tokio_postgres::Error> {
        let ends: Vec<i32> = row.try_get("meta_ends")?;
        Ok((ends, row.try_get::<_, &[u8]>("meta")?, row.try_get::<_, Option<&[u8]>>("routes")?))
    };
    let (ends, meta, routes) = get().map_err(|error| unreadable(&error))?;
    routes.map(fields::decode_routes).transpose()?;
    for index in 0..ends.len() {
        let meta = range(&ends, index).and_then(|range| meta.get(range));
        fields::decode(meta.ok_or_else(|| StoreError::Corrupted(format!("message {index} is not there")))?)?;
    }
    Ok(())
}
