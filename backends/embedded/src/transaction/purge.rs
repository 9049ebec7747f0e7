//! Forgetting what lies behind a horizon, and giving back its space.
//!
//! A purge is one commit: a transaction that removes. Messages leave as soon as no peer's bit is set for them; only blocks
//! in which something was settled since the last purge are looked at, and most of what was settled has left already with
//! the commit that settled it (`removal.rs`). A pack of which little is left is written anew without the rest. Rows of the
//! journal leave as `journal_trim.rs` says.

use std::num::NonZeroU32;
use std::ops::ControlFlow;

use slipstream_store::{Horizon, PeerId, Purged, Result, Sequence, StoreError};

use crate::engine::Tables;
use crate::ledger::stamps::StampAges;
use crate::ledger::state::Ledger;
use crate::rows::bits::Bits;
use crate::rows::owned::OwnedMessage;
use crate::rows::table::Table;
use crate::rows::{keys, pack, packed};
use crate::transaction::apply::Transaction;
use crate::transaction::journal_trim::LeavingRows;
use crate::transaction::write_set::WriteSet;

/// Packs are written anew in one purge until they were so many bytes.
const MOST_REWRITTEN: usize = 4 << 20;

/// Applies a purge.
pub(crate) fn purge(
    ledger: &Ledger,
    tables: &dyn Tables,
    ages: &mut StampAges,
    horizon: &Horizon,
    budget: NonZeroU32,
) -> Result<(WriteSet, Purged)> {
    let transaction = Transaction::new(ledger, tables)?;
    let mut purge =
        Purge { transaction, horizon, budget: u64::from(budget.get()), rewritten: 0, purged: Purged::default() };
    purge.expire_due()?;
    purge.remove_messages()?;
    purge.forget_identities();
    purge.remove_stamps(ages)?;
    let from = purge.transaction.state.counters.identities_from;
    let leaving = LeavingRows::find(ledger, tables, horizon, from, purge.left())?;
    let Purge { mut transaction, mut purged, .. } = purge;
    purged.removed += leaving.count();
    purged.more |= leaving.has_more();
    let carried = leaving.remove(&mut transaction, horizon)?;
    let carried_at = horizon.now.max(horizon.traces).as_millis();
    Ok((WriteSet::of(transaction, &carried, carried_at)?, purged))
}

/// A purge, and how far it has come.
struct Purge<'l, 'b> {
    transaction: Transaction<'l, 'b>,
    horizon: &'l Horizon,
    budget: u64,
    /// How many bytes the packs had that were written anew.
    rewritten: usize,
    purged: Purged,
}

impl Purge<'_, '_> {
    /// How much may still be removed.
    fn left(&self) -> u64 {
        self.budget - self.purged.removed
    }

    /// Ends the pending deliveries whose expiry has come.
    fn expire_due(&mut self) -> Result<()> {
        let now = self.horizon.expiries.as_millis();
        let expiring = self.transaction.state.ledger.expiring.iter();
        let due: Vec<u64> = expiring.take_while(|(at, _)| *at <= now).map(|&(_, block)| block).collect();
        for number in due {
            let (mut expired, mut next) = (Bits::NONE, None);
            let looked = packed::messages(self.transaction.state.tables, number, !Bits::NONE, &mut |row| {
                match row.expires_at {
                    Some(at) if at <= now => expired.set(row.sequence),
                    at => next = next.into_iter().chain(at).min(),
                }
                Ok(ControlFlow::Continue(()))
            });
            looked.map(drop)?;
            for (peer, peer_number) in self.owing_peers() {
                let pending = self.transaction.state.owed(&peer, peer_number, number)?.now.bits & expired;
                let taken = pending.lowest(self.left());
                let Transaction { state, deliveries, .. } = &mut self.transaction;
                deliveries.expire(state, &peer, number, taken, self.horizon.now)?;
                let gone = taken.numbers(number).filter_map(Sequence::new);
                self.purged.expired.extend(gone.map(|sequence| (peer.clone(), sequence)));
                self.purged.removed += taken.count();
                if taken != pending {
                    self.purged.more = true;
                    return Ok(());
                }
            }
            let Transaction { state, deliveries, .. } = &mut self.transaction;
            deliveries.end(state);
            let mut block = state.block(number);
            block.earliest_expiry = next;
            state.blocks.insert(number, Some(block));
        }
        Ok(())
    }

    /// The peers that are owed anything, in the order of their ids.
    fn owing_peers(&self) -> Vec<(PeerId, u64)> {
        let owing = self.transaction.state.ledger.peers.iter().filter(|(_, state)| state.backlog > 0);
        let mut owing: Vec<_> = owing.map(|(id, state)| (id.clone(), state.number)).collect();
        owing.sort_unstable();
        owing
    }

    /// Removes the messages that nobody is owed any more.
    fn remove_messages(&mut self) -> Result<()> {
        let Transaction { state, deliveries, .. } = &mut self.transaction;
        deliveries.end(state);
        let dirty: Vec<u64> = state.ledger.dirty.union(&state.dirty).copied().collect();
        let owing = if dirty.is_empty() { Vec::new() } else { self.owing_peers() };
        for number in dirty {
            let left = self.left();
            let state = &mut self.transaction.state;
            let mut pending = Bits::NONE;
            for (peer, peer_number) in &owing {
                pending |= state.owed(peer, *peer_number, number)?.now.bits;
            }
            let gone = state.block(number).stored & !pending;
            let taken = gone.lowest(left);
            if !taken.is_empty() {
                state.remove_messages(number, taken);
                self.purged.removed += taken.count();
            }
            if taken != gone || !self.shorten_packs(number)? {
                self.purged.more = true;
                return Ok(());
            }
            self.transaction.state.dirty.remove(&number);
            self.transaction.clean.insert(number);
        }
        Ok(())
    }

    /// Writes the packs of a block anew of which little is left; whether there was room for all of them in this purge.
    fn shorten_packs(&mut self, number: u64) -> Result<bool> {
        let state = &mut self.transaction.state;
        state.remove_empty_packs(number);
        let (block, next_sequence) = (state.block(number), state.counters.next_sequence);
        for (first, within) in block.sparse_packs(number, next_sequence) {
            if self.rewritten >= MOST_REWRITTEN {
                return Ok(false);
            }
            self.shorten_pack(number, first, block.stored & within)?;
        }
        Ok(true)
    }

    /// Writes a pack anew with these of its messages, unless that saves little.
    fn shorten_pack(&mut self, number: u64, first: u64, kept: Bits) -> Result<()> {
        let state = &mut self.transaction.state;
        let value = state.tables.get(Table::Packs, &keys::number(first))?;
        let value = value.ok_or_else(|| StoreError::Corrupted(format!("pack {first} is named by its block only")))?;
        let (mut messages, mut kept_bytes) = (Vec::new(), 0);
        pack::each(first, &value, &mut |message| {
            if kept.has(message.sequence) {
                kept_bytes += message.text.len();
                messages.push(OwnedMessage::new(message, message.sequence));
            }
            Ok(())
        })?;
        self.rewritten += value.len();
        if kept_bytes > value.len() / 2 {
            return Ok(());
        }
        let mut block = state.block(number);
        block.packs.clear(first);
        state.rows.insert((Table::Packs, keys::number(first)), None);
        pack::pack(messages.iter().map(OwnedMessage::row), state.ledger.pack_bytes, |first, value| {
            block.packs.set(first);
            state.rows.insert((Table::Packs, keys::number(first)), Some(value));
            Ok(())
        })?;
        state.blocks.insert(number, Some(block));
        Ok(())
    }

    fn forget_identities(&mut self) {
        let ledger = self.transaction.state.ledger;
        let (leaving, from, more) = leaving_identities(ledger, self.horizon, self.left());
        if leaving > 0 {
            self.transaction.forgotten_identities = leaving;
            let counters = &mut self.transaction.state.counters;
            counters.identities_from = from;
            counters.identities_commit = ledger.identities_commit(from);
            self.purged.removed += leaving;
        }
        self.purged.more |= more;
    }

    fn remove_stamps(&mut self, ages: &mut StampAges) -> Result<()> {
        let before = self.horizon.stamps.as_millis();
        while let Some(key) = ages.next_before(before, self.transaction.state.tables)? {
            let latest = self.transaction.state.seen_block(key)?.latest;
            if latest >= before {
                ages.done(Some(latest));
                continue;
            }
            if self.left() == 0 {
                self.purged.more = true;
                return Ok(());
            }
            ages.done(None);
            self.transaction.state.seen.insert(key, None);
            self.purged.removed += 1;
        }
        Ok(())
    }
}

/// How many of the oldest identities the horizon lets go, and the sequence of the first that stays.
fn leaving_identities(ledger: &Ledger, horizon: &Horizon, budget: u64) -> (u64, u64, bool) {
    let count = u64::try_from(ledger.identities.len()).unwrap_or(u64::MAX);
    let too_many = count.saturating_sub(horizon.max_identities);
    let mut leaving = 0;
    for (sequence, received_at) in ledger.identities.in_order() {
        if leaving >= too_many && received_at >= horizon.identities.as_millis() {
            return (leaving, sequence, false);
        }
        if leaving == budget {
            return (leaving, sequence, true);
        }
        leaving += 1;
    }
    (leaving, ledger.counters.next_sequence, false)
}
