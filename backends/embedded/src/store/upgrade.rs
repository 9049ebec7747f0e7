//! Bringing a store of version 1, which has a row for each message, to version 2, which has packs. It goes in steps, each
//! of them one write: what was packed leaves the rows in the same. A store that was upgraded in part is opened by this
//! version only, which goes on with it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

use slipstream_store::{Result, Sequence};
use tracing::info;

use crate::engine::{Engine, Tables, Write};
use crate::files::marker::Marker;
use crate::ledger::blocks::MessageBlock;
use crate::ledger::load;
use crate::rows::bits::block_of;
use crate::rows::owned::OwnedMessage;
use crate::rows::table::Table;
use crate::rows::{keys, pack};

/// Messages are packed in one write until their texts are this many bytes; one larger still goes.
const STEP_BYTES: usize = 4 << 20;

/// Messages are packed in one write until they are this many.
const STEP_MESSAGES: usize = 4096;

/// Packs what a store of version 1 has in rows; a store of version 2 stays as it is.
///
/// # Errors
/// See [`Opened::new`](crate::Opened::new).
pub(crate) fn upgrade<E: Engine>(engine: &mut E, marker: &mut Marker) -> Result<()> {
    let Some(first) = next_step(engine)? else { return Ok(()) };
    load::load(engine)?;
    info!("bringing the store from version 1 of its tables to version 2, which earlier versions of Slipstream refuse");
    marker.begin(engine)?;
    move_meta(engine)?;
    pack_step(engine, &first)?;
    while let Some(next) = next_step(engine)? {
        pack_step(engine, &next)?;
    }
    info!("the store is of version 2");
    Ok(())
}

/// Puts what there is once a store where version 2 has it.
fn move_meta<E: Engine>(engine: &mut E) -> Result<()> {
    let key = keys::META_OF_VERSION_1;
    let Some(value) = engine.get(Table::Meta, key)? else { return Ok(()) };
    let put = Write::Put { table: Table::Blocks, key: keys::META, value: &value };
    engine.apply(&[put, Write::Remove { table: Table::Meta, key }])
}

/// The next messages that have rows of their own; nothing if the store is of version 2.
fn next_step<E: Engine>(engine: &E) -> Result<Option<Vec<OwnedMessage>>> {
    let (mut step, mut bytes) = (Vec::new(), 0);
    let is_version_1 = engine.unpacked(&mut |row| {
        bytes += row.text.len();
        step.push(OwnedMessage::new(row, row.sequence));
        let full = bytes >= STEP_BYTES || step.len() == STEP_MESSAGES;
        Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(is_version_1.then_some(step))
}

/// Packs these messages, and removes their rows. Messages that their block does not name are owed to nobody.
fn pack_step<E: Engine>(engine: &mut E, step: &[OwnedMessage]) -> Result<()> {
    let mut blocks: BTreeMap<u64, MessageBlock> = BTreeMap::new();
    for number in step.iter().map(|message| block_of(message.sequence)) {
        if let Entry::Vacant(place) = blocks.entry(number) {
            place.insert(block(engine, number)?);
        }
    }
    let mut rows = Vec::new();
    let stored = step.iter().filter(|message| blocks[&block_of(message.sequence)].stored.has(message.sequence));
    let stored: Vec<_> = stored.map(OwnedMessage::row).collect();
    pack::pack(stored.into_iter(), E::PACK_BYTES, |first, value| {
        blocks.entry(block_of(first)).or_default().packs.set(first);
        rows.push((Table::Packs, keys::number(first), value));
        Ok(())
    })?;
    for (number, block) in blocks.iter().filter(|(_, block)| !block.packs.is_empty()) {
        rows.push((Table::Blocks, keys::number(*number), block.encode()?));
    }
    let mut writes: Vec<_> = rows.iter().map(|(table, key, value)| Write::Put { table: *table, key, value }).collect();
    let last = step.last().map_or(Sequence::LAST.get(), |message| message.sequence);
    writes.push(Write::RemoveUnpacked { last });
    engine.apply(&writes)
}

fn block(tables: &dyn Tables, number: u64) -> Result<MessageBlock> {
    let row = tables.get(Table::Blocks, &keys::number(number))?;
    row.map_or_else(|| Ok(MessageBlock::default()), |row| MessageBlock::decode(&row))
}
