//! How many dead letters each peer has, by the class of their reason: a row that changes with each dead letter, so that
//! nobody has to go over them. Stores of an earlier version have no such rows; their first write adds them.

use std::ops::ControlFlow;

use slipstream_store::{DeadLetterCount, DeadLetterCounts, DeadLetterReason, PeerId, Result, Timestamp};

use crate::engine::Tables;
use crate::rows::codec::{self, DeadCount, DeadCountsRow, DeadRow};
use crate::rows::table::Table;
use crate::rows::{keys, read};

/// What happens to a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Comes,
    Leaves,
}

/// The class of a reason that stands in a row.
pub(crate) fn class_of(reason: &str) -> &'static str {
    DeadLetterReason::from(reason).class()
}

/// The row of a peer after a change of one dead letter, which was given up for this reason at this time; nothing once
/// there are none.
pub(crate) fn changed(row: Option<&[u8]>, change: Change, reason: &str, dead_at: u64) -> Result<Option<Vec<u8>>> {
    let class = class_of(reason);
    let mut row = row.map(decode).transpose()?.unwrap_or_default();
    let known = row.classes.iter_mut().find(|known| known.class == class);
    match (change, known) {
        (Change::Comes, Some(known)) => {
            known.count = known.count.saturating_add(1);
            known.newest = known.newest.max(dead_at);
        }
        (Change::Comes, None) => row.classes.push(DeadCount { class, count: 1, newest: dead_at }),
        (Change::Leaves, Some(known)) => known.count = known.count.saturating_sub(1),
        // A check says that it was not counted.
        (Change::Leaves, None) => {}
    }
    row.classes.retain(|known| known.count > 0);
    if row.classes.is_empty() { Ok(None) } else { codec::encode(&row).map(Some) }
}

fn decode(row: &[u8]) -> Result<DeadCountsRow<'_>> {
    codec::decode(row, "the counts of dead letters")
}

/// What the rows say.
pub(crate) fn read(tables: &dyn Tables) -> Result<DeadLetterCounts> {
    let mut counts = DeadLetterCounts::default();
    tables.scan(Table::DeadCounts, &[], &[0xFF], &mut |key, value| {
        let peer = std::str::from_utf8(key).map_err(|_| read::bad_key(Table::DeadCounts))?;
        let peer: PeerId = read::name(peer)?;
        for DeadCount { class, count, newest } in decode(value)?.classes {
            counts.add(&peer, class_of(class), count, Timestamp::from_millis(newest));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(counts)
}

/// What the dead letters themselves come to.
pub(crate) fn count(tables: &dyn Tables) -> Result<DeadLetterCounts> {
    let mut counts = DeadLetterCounts::default();
    tables.scan(Table::Dead, &[], &[0xFF; 137], &mut |key, value| {
        let (_, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Dead))?;
        let dead: DeadRow<'_> = codec::decode(value, "a dead letter")?;
        counts.add(&read::name(peer)?, class_of(dead.reason), 1, Timestamp::from_millis(dead.dead_at));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(counts)
}

/// The rows of these counts, by key.
pub(crate) fn rows_of(counts: &DeadLetterCounts) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let counts: Vec<DeadLetterCount> = counts.clone().into();
    let of_each_peer = counts.chunk_by(|one, next| one.peer == next.peer);
    let row = |counts: &[DeadLetterCount]| {
        let class =
            |of: &DeadLetterCount| DeadCount { class: of.reason, count: of.count, newest: of.newest.as_millis() };
        codec::encode(&DeadCountsRow { classes: counts.iter().map(class).collect() })
    };
    of_each_peer.map(|counts| Ok((counts[0].peer.as_str().as_bytes().to_vec(), row(counts)?))).collect()
}
