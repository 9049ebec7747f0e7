//! What this relay and a peer exchanged.

use std::ops::ControlFlow;

use slipstream_store::{Came, Exchanged, PeerId, Result, Sent, Show, StoreError, Timestamp};
use tokio_postgres::{IsolationLevel, Row};

use crate::bits::Bits;
use crate::errors::{Call, failed, unreadable};
use crate::fields::{self, Way};
use crate::pages::{range, time};
use crate::pool::Pool;
use crate::sequences;

/// Packs that are read at a time: at most 64 times the fields of 4,096 messages.
const PACKS: i32 = 64;

const PAGE: &str = "SELECT * FROM slipstream.exchanged($1, $2, $3)";
const WHOLE_SINCE: &str = "SELECT whole_since FROM slipstream.head";

/// Shows what was exchanged, in pages of one snapshot, for which a transaction is open meanwhile.
pub(crate) async fn show(readers: &Pool, peer: &PeerId, show: Show) -> Result<Timestamp> {
    let read = |error: tokio_postgres::Error| failed(&error, Call::Read);
    let (mut lent, _) = readers.lend().await?;
    let client = lent.link_mut()?.client_mut();
    let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let transaction = transaction.start().await.map_err(read)?;
    let row = transaction.query_one(WHOLE_SINCE, &[]).await.map_err(read)?;
    let whole_since = time(row.try_get(0).map_err(|error| unreadable(&error))?);
    let mut from = 0_i64;
    loop {
        let rows = transaction.query(PAGE, &[&peer.as_str(), &from, &PACKS]).await.map_err(read)?;
        for row in &rows {
            from = row.try_get::<_, i64>("pack").map_err(|error| unreadable(&error))? + 1;
            if show_pack(row, peer, &show)?.is_break() {
                return Ok(whole_since);
            }
        }
        if rows.is_empty() {
            return Ok(whole_since);
        }
    }
}

fn show_pack(row: &Row, peer: &PeerId, show: &Show) -> Result<ControlFlow<()>> {
    let get = || -> Result<_, tokio_postgres::Error> {
        let bits: [Bits; 3] = [row.try_get("recorded")?, row.try_get("sent")?, row.try_get("settled")?];
        let acknowledged: Bits = row.try_get("acknowledged")?;
        let ends: Vec<i32> = row.try_get("meta_ends")?;
        let (meta, routes): (&[u8], &[u8]) = (row.try_get("meta")?, row.try_get("routes")?);
        Ok((row.try_get::<_, i64>("pack")?, bits, acknowledged, ends, meta, routes))
    };
    let (pack, [recorded, sent, settled], acknowledged, ends, meta, routes) =
        get().map_err(|error| unreadable(&error))?;
    let ways = fields::decode_routes(routes)?;
    for index in recorded.ones() {
        let missing = || StoreError::Corrupted(format!("pack {pack}: message {index} is not there"));
        let meta = range(&ends, index).and_then(|range| meta.get(range)).ok_or_else(missing)?;
        let fields = fields::decode(meta)?;
        let Some(epoch) = fields.epoch else { continue };
        let told = Exchanged {
            sequence: sequences::sequence(pack, index)?,
            group: fields.identity.group.as_str(),
            id: fields.identity.id.as_str(),
            fingerprint: fields.fingerprint,
            epoch,
            sent: match (acknowledged.is_set(index), sent.is_set(index) || settled.is_set(index)) {
                (true, _) => Sent::Acknowledged,
                (false, true) => Sent::Unacknowledged,
                (false, false) => Sent::No,
            },
            came: came(ways.get(fields.route).ok_or_else(missing)?, peer),
        };
        if show.show(&told).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn came(way: &Way, peer: &PeerId) -> Came {
    if way.received_from == *peer {
        Came::FromPeer
    } else if way.path.contains(peer) {
        Came::ThroughPeer
    } else {
        Came::Otherwise
    }
}
