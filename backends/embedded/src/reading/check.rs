//! Looking for contradictions between the tables.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use slipstream_store::{
    ClusterGroup, DeadLetterCount, DeadLetterCounts, Defect, Depth, Key, MessageId, MessageType, PeerId, Result,
    StoreError,
};

use crate::engine::Tables;
use crate::ledger::load;
use crate::ledger::state::Ledger;
use crate::reading::check_index::check_index;
use crate::reading::pages;
use crate::rows::bits::{BLOCK, Bits, block_of};
use crate::rows::codec::{self, DeadRow, NoteRow, RedrivenRow, SeenRow};
use crate::rows::journal::{JournalRow, state_of};
use crate::rows::table::{MessageRow, Table};
use crate::rows::{dead_counts, keys, pack, read};

/// Most defects that are listed.
const MOST_DEFECTS: usize = 100;

/// Looks at a row.
type Look<'v> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'v;

/// What is wrong with the tables. `Quick` goes over everything but messages, dead letters and the journal.
pub(crate) fn check(tables: &dyn Tables, depth: Depth) -> Result<Vec<Defect>> {
    let mut defects = Vec::new();
    let ledger = match load::load(tables) {
        Ok(ledger) => ledger,
        Err(StoreError::Corrupted(text) | StoreError::Unsupported(text)) => return Ok(vec![Defect(text)]),
        Err(other) => return Err(other),
    };
    each(tables, Table::Seen, &mut defects, &mut |_, value| codec::decode::<SeenRow>(value, "stamps").map(drop))?;
    check_notes(tables, &mut defects)?;
    if depth == Depth::Full {
        check_messages(tables, &ledger, &mut defects)?;
        check_dead(tables, &ledger, &mut defects)?;
        check_journal(tables, &ledger, &mut defects)?;
        check_index(tables, &ledger, &mut defects)?;
    }
    defects.truncate(MOST_DEFECTS);
    Ok(defects)
}

/// Goes over a table; what `look` finds wrong with a row is a defect.
fn each(tables: &dyn Tables, table: Table, defects: &mut Vec<Defect>, look: &mut Look<'_>) -> Result<()> {
    tables.scan(table, &[], &[0xFF; 137], &mut |key, value| {
        if let Err(error) = look(key, value) {
            defects.push(Defect(format!("table {}: {error}", table.name())));
        }
        Ok(if defects.len() < MOST_DEFECTS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })
}

fn defect<T>(text: String) -> Result<T> {
    Err(StoreError::Corrupted(text))
}

/// Every note belongs to a pending delivery.
fn check_notes(tables: &dyn Tables, defects: &mut Vec<Defect>) -> Result<()> {
    each(tables, Table::Notes, defects, &mut |key, value| {
        let _: NoteRow = codec::decode(value, "a note")?;
        let (Some(peer), Some(sequence)) = (keys::first_number(key), keys::last_number(key)) else {
            return Err(read::bad_key(Table::Notes));
        };
        let owed = tables.get(Table::Owed, &keys::pair(peer, sequence / BLOCK))?;
        let bits = owed.map(|value| codec::decode::<codec::OwedRow>(&value, "pending deliveries")).transpose()?;
        if bits.is_some_and(|row| Bits::from_bytes(&row.bits).has(sequence)) {
            return Ok(());
        }
        defect(format!("a note tells of delivery {sequence} of peer number {peer}, which is not pending"))
    })?;
    each(tables, Table::Redriven, defects, &mut |key, value| {
        let (_, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Redriven))?;
        read::name::<PeerId>(peer)?;
        codec::decode::<RedrivenRow>(value, "a redriven delivery").map(drop)
    })
}

/// The packs are those that their blocks name, and have the messages that are stored.
fn check_messages(tables: &dyn Tables, ledger: &Ledger, defects: &mut Vec<Defect>) -> Result<()> {
    let mut found: BTreeMap<u64, (Bits, Bits)> = BTreeMap::new();
    each(tables, Table::Packs, defects, &mut |key, value| {
        let first = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Packs))?;
        let (packs, messages) = found.entry(block_of(first)).or_default();
        packs.set(first);
        let mut wrong = Ok(());
        pack::each(first, value, &mut |message| {
            messages.set(message.sequence);
            if let (Ok(()), Err(error)) = (&wrong, check_names(message)) {
                wrong = defect(format!("message {}: {error}", message.sequence));
            }
            Ok(())
        })?;
        wrong
    })?;
    for (number, block) in &ledger.blocks {
        let (packs, messages) = found.remove(number).unwrap_or_default();
        if packs != block.packs {
            let (named, there) = (block.packs.count(), packs.count());
            defects.push(Defect(format!("block {number} names {named} packs, {there} are there")));
        } else if !(block.stored & !messages).is_empty() {
            let (named, missing) = (block.stored.count(), (block.stored & !messages).count());
            defects.push(Defect(format!("block {number} names {named} stored messages, {missing} are not there")));
        }
    }
    defects.extend(found.keys().map(|number| Defect(format!("packs of block {number} are stored without it"))));
    Ok(())
}

/// Whoever reads a message finds names in it.
fn check_names(row: &MessageRow<'_>) -> Result<()> {
    read::identity(row)?;
    read::name::<MessageType>(row.message_type)?;
    row.key.map(read::name::<Key>).transpose()?;
    read::name::<PeerId>(row.received_from)?;
    read::path(row.path).map(drop)
}

fn check_dead(tables: &dyn Tables, ledger: &Ledger, defects: &mut Vec<Defect>) -> Result<()> {
    let mut count = 0;
    each(tables, Table::Dead, defects, &mut |key, value| {
        count += 1;
        let (sequence, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Dead))?;
        pages::sequence(sequence)?;
        read::name::<PeerId>(peer)?;
        let dead: DeadRow<'_> = codec::decode(value, "a dead letter")?;
        check_names(&dead.message)
    })?;
    check_dead_counts(tables, ledger, defects)?;
    if count != ledger.counters.dead_letters && defects.len() < MOST_DEFECTS {
        let counted = ledger.counters.dead_letters;
        defects.push(Defect(format!("{count} dead letters are there, {counted} were counted")));
    }
    Ok(())
}

/// The counts of dead letters by peer are what the dead letters come to. Of the newest a count may be later: it may have
/// left. A store that has no counts yet has no rows of them: its first write would leave them there.
fn check_dead_counts(tables: &dyn Tables, ledger: &Ledger, defects: &mut Vec<Defect>) -> Result<()> {
    if defects.len() == MOST_DEFECTS {
        return Ok(());
    }
    let are_counted = ledger.uncounted.is_none();
    let found = if are_counted { dead_counts::count(tables) } else { Ok(DeadLetterCounts::default()) };
    let read = found.and_then(|found| Ok((found, dead_counts::read(tables)?)));
    let (found, counted) = match read {
        Ok((found, counted)) => (Vec::from(found), Vec::from(counted)),
        // What is wrong with a dead letter is listed already.
        Err(StoreError::Corrupted(text)) => {
            defects.push(Defect(text));
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    let agree = |one: &DeadLetterCount, other: &DeadLetterCount| {
        (&one.peer, one.reason, one.count) == (&other.peer, other.reason, other.count) && one.newest <= other.newest
    };
    let same = found.iter().zip(&counted).take_while(|(found, counted)| agree(found, counted)).count();
    if let Some(wrong) = found.get(same).or(counted.get(same)) {
        let DeadLetterCount { peer, reason, .. } = wrong;
        defects.push(Defect(format!("the dead letters of {peer} with the reason {reason} are counted wrongly")));
    }
    Ok(())
}

fn check_journal(tables: &dyn Tables, ledger: &Ledger, defects: &mut Vec<Defect>) -> Result<()> {
    let mut bytes = 0;
    each(tables, Table::Journal, defects, &mut |_, value| {
        bytes += value.len() as u64;
        let row: JournalRow<'_> = codec::decode_journal(value)?;
        row.check_runs(ledger.counters.next_sequence)?;
        check_row(&row)
    })?;
    if bytes != ledger.counters.journal_bytes && defects.len() < MOST_DEFECTS {
        let counted = ledger.counters.journal_bytes;
        defects.push(Defect(format!("the journal takes {bytes} bytes, {counted} were counted")));
    }
    Ok(())
}

/// A row of the journal has what it points to, and all of it can be traced.
fn check_row(row: &JournalRow<'_>) -> Result<()> {
    let peer = |index: &u32| read::name::<PeerId>(row.name(*index)?).map(drop);
    for recorded in row.told() {
        read::name::<ClusterGroup>(row.name(recorded.group)?)?;
        read::name::<MessageId>(recorded.id)?;
        read::name::<MessageType>(row.name(recorded.message_type)?)?;
        recorded.key.map(read::name::<Key>).transpose()?;
        row.route(recorded.route)?;
    }
    for route in &row.routes {
        [route.received_from].iter().chain(&route.path).chain(&route.recipients).try_for_each(peer)?;
    }
    for settled in &row.settled {
        peer(&settled.peer)?;
        state_of(settled.state)?;
    }
    row.redriven.iter().try_for_each(|redriven| peer(&redriven.peer))
}
