//! Messages that leave with the commit that settles their last delivery.
//!
//! What is settled soon after it was recorded, as is most, then lives in a few pages that are still at hand: the packs of a
//! commit come into the pages of those that it removes, and a page is written once for both. A pack leaves soon
//! after its last message. If it cannot be seen at once that nobody is owed a message any more, it is left to the purge.

use std::collections::BTreeMap;

use crate::rows::bits::Bits;
use crate::transaction::apply::Transaction;

/// Packs leave together when the last of so many neighbours is settled, or as many at once: of the small packs of a slow
/// flow each page then loses all of its rows in one commit, and not one in each.
const NEIGHBOURS: u64 = 32;

/// What the deliveries that a transaction touched say of a block.
#[derive(Debug, Default)]
struct Touched {
    /// How many of the peers were owed anything in it.
    owing: u32,
    /// What they are owed now.
    pending: Bits,
    is_settled: bool,
}

/// Removes messages that nobody is owed any more since this transaction, in the blocks whose peers it touched all.
pub(crate) fn remove_settled(transaction: &mut Transaction<'_, '_>) {
    let state = &transaction.state;
    let mut blocks: BTreeMap<u64, Touched> = BTreeMap::new();
    for owed in &state.owed {
        let touched = blocks.entry(owed.block).or_default();
        touched.owing += u32::from(!owed.before.bits.is_empty());
        touched.pending |= owed.now.bits;
        touched.is_settled |= !(owed.before.bits & !owed.now.bits).is_empty();
    }
    blocks.retain(|number, touched| {
        let owing = state.ledger.owing.get(number).copied().unwrap_or(0);
        touched.is_settled && touched.owing == owing
    });
    for (number, touched) in blocks {
        remove_settled_of(transaction, number, touched.pending);
    }
}

fn remove_settled_of(transaction: &mut Transaction<'_, '_>, number: u64, pending: Bits) {
    let state = &mut transaction.state;
    let mut gone = state.block(number).stored & !pending;
    // What this transaction records is not stored yet when the others are removed.
    gone.keep_below(number, state.ledger.counters.next_sequence);
    if gone.is_empty() {
        return;
    }
    state.remove_messages(number, gone);
    let is_last = |sequence: u64| sequence % NEIGHBOURS == NEIGHBOURS - 1;
    if gone.count() >= NEIGHBOURS || gone.numbers(number).any(is_last) || state.block(number).stored.is_empty() {
        state.remove_empty_packs(number);
    }
}
