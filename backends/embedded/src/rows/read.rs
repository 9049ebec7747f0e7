//! Reading the ledger's rows out of the tables; shared by those who write and those who read.

use std::ops::ControlFlow;

use slipstream_store::{Identity, PeerId, Result, StoreError, Timestamp};

use crate::engine::Tables;
use crate::rows::bits::BLOCK;
use crate::rows::keys;
use crate::rows::table::{MessageRow, Table};

/// Shows the rows of a table that are keyed by this peer number and by the sequences of this block.
pub(crate) fn scan_block(
    tables: &dyn Tables,
    table: Table,
    peer: u64,
    block: u64,
    visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let (first, last) = (keys::pair(peer, block * BLOCK), keys::pair(peer, block * BLOCK + (BLOCK - 1)));
    tables.scan(table, &first, &last, &mut |key, value| {
        let sequence = keys::last_number(key).ok_or_else(|| bad_key(table))?;
        visit(sequence, value).map(ControlFlow::Continue)
    })
}

/// The row of what there is once a store; nothing in a new one.
pub(crate) fn meta(tables: &dyn Tables) -> Result<Option<Vec<u8>>> {
    match tables.get(Table::Blocks, keys::META)? {
        None => tables.get(Table::Meta, keys::META_OF_VERSION_1),
        found => Ok(found),
    }
}

pub(crate) fn bad_key(table: Table) -> StoreError {
    StoreError::Corrupted(format!("a key of the table {} is of another kind", table.name()))
}

/// A name that a row holds, checked as it was when it was written.
pub(crate) fn name<T: std::str::FromStr<Err = slipstream_store::InvalidId>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| StoreError::Corrupted(format!("a row holds a bad name: {error}")))
}

/// The identity of a message.
pub(crate) fn identity(row: &MessageRow<'_>) -> Result<Identity> {
    Ok(Identity { group: name(row.group)?, id: name(row.id)? })
}

/// The ids of a path that stands in a row.
pub(crate) fn path(text: &str) -> Result<Vec<PeerId>> {
    text.split(' ').filter(|id| !id.is_empty()).map(name).collect()
}

pub(crate) fn times(millis: Option<u64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}
