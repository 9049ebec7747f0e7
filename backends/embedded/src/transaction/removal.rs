//! Messages that leave with the commit that settles their last delivery.
//!
//! What is settled soon after it was recorded, as is most, then lives in a few pages that are still at hand: the
//! messages of a commit come into the pages of those that it removes, and a page is written once for both. If it
//! cannot be seen at once that nobody is owed a message any more, it is left to the purge.

use std::collections::BTreeMap;

use crate::rows::bits::Bits;
use crate::transaction::apply::Transaction;

/// The shortest run of messages that a commit removes; a shorter one waits for its neighbours. Removing a run costs
/// as much as removing some ten messages.
const SHORTEST_RUN: u64 = 32;

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
    let mut block = state.block(number);
    let mut gone = block.stored & !pending;
    // What this transaction records is not stored yet when the others are removed.
    gone.keep_below(number, state.ledger.counters.next_sequence);
    let runs: Vec<_> = gone.runs(number, 1).filter(|(first, last)| last - first + 1 >= SHORTEST_RUN).collect();
    for &(first, last) in &runs {
        (first..=last).for_each(|sequence| block.stored.clear(sequence));
    }
    if runs.is_empty() {
        return;
    }
    transaction.removed_messages.extend(runs);
    if block.stored.is_empty() {
        block.earliest_expiry = None;
    }
    state.blocks.insert(number, Some(block));
}
