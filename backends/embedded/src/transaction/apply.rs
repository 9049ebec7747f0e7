//! A transaction: a batch or a purge being applied, on top of a ledger that stays as it is.
//!
//! An operation looks into what the transaction has changed, then into the ledger, then into the tables
//! (`overlay.rs`). When all are applied the transaction becomes a write set (`write_set.rs`); dropping it instead leaves
//! no trace.

use std::collections::BTreeSet;

use slipstream_store::{
    Batch, DeliveryState, Operation, Outcome, Peer, PeerId, Result, Sequence, StoreError, Timestamp,
};

use crate::engine::Tables;
use crate::ledger::counters::OldestRow;
use crate::ledger::peers::PeerState;
use crate::ledger::state::Ledger;
use crate::transaction::adoption::Adoption;
use crate::transaction::deliveries::{Deliveries, attempt, discard};
use crate::transaction::imports::{DeadLetterToImport, Imports};
use crate::transaction::overlay::Overlay;
use crate::transaction::recording::Recording;

/// `'l` is the ledger's and the tables' life, `'b` that of the batch.
pub(crate) struct Transaction<'l, 'b> {
    pub(crate) state: Overlay<'l>,
    pub(crate) recording: Recording<'b>,
    pub(crate) deliveries: Deliveries,
    pub(crate) imports: Imports<'b>,
    /// The blocks in which no message is left that nobody is owed.
    pub(crate) clean: BTreeSet<u64>,
    pub(crate) forgotten_identities: u64,
    pub(crate) oldest_row: Option<OldestRow>,
}

impl<'l, 'b> Transaction<'l, 'b> {
    pub(crate) fn new(ledger: &'l Ledger, tables: &'l dyn Tables) -> Result<Self> {
        Ok(Self {
            state: Overlay::new(ledger, tables)?,
            recording: Recording::default(),
            deliveries: Deliveries::default(),
            imports: Imports::default(),
            clean: BTreeSet::new(),
            forgotten_identities: 0,
            oldest_row: ledger.oldest_row,
        })
    }

    /// Applies the operations in order, one outcome for each.
    pub(crate) fn apply(&mut self, batch: &'b Batch) -> Result<Vec<Outcome>> {
        // An operation uses one sequence at most, so that the batch surely fits.
        let wanted = u64::try_from(batch.operations.len()).unwrap_or(u64::MAX);
        if Sequence::LAST.get().saturating_sub(self.state.counters.next_sequence) < wanted {
            return Err(StoreError::Full("every sequence has been given".to_owned()));
        }
        let outcomes = batch.operations.iter().map(|operation| self.operation(operation)).collect::<Result<_>>()?;
        self.end()?;
        Ok(outcomes)
    }

    fn operation(&mut self, operation: &'b Operation) -> Result<Outcome> {
        let Self { state, recording, deliveries, imports, .. } = self;
        match operation {
            Operation::Record(record) => return recording.record(state, record),
            Operation::Recognise(record) => return recording.ask(state, record),
            _ => recording.end_run(state)?,
        }
        let changed = match operation {
            Operation::Acknowledge { peer, sequence, at } => {
                return deliveries.acknowledge(state, peer, *sequence, *at);
            }
            Operation::Supersede { peer, sequence, at } => {
                deliveries.settle(state, peer, *sequence, DeliveryState::Superseded, *at)?
            }
            Operation::Expire { peer, sequence, at } => {
                deliveries.settle(state, peer, *sequence, DeliveryState::Expired, *at)?
            }
            Operation::Attempt { peer, sequence, number, at } => attempt(state, peer, *sequence, *number, *at)?,
            Operation::DeadLetter { peer, sequence, reason, attempts, at } => {
                deliveries.give_up(state, recording, (peer, *sequence), reason, *attempts, *at)?
            }
            Operation::Redrive { peer, sequence } => return deliveries.redrive(state, peer, *sequence),
            Operation::ImportDeadLetter { peer, message, reason, attempts, dead_at } => {
                let letter =
                    DeadLetterToImport { peer, record: message, reason, attempts: *attempts, dead_at: *dead_at };
                return imports.import(state, recording, deliveries, &letter);
            }
            Operation::Discard { peer, sequence } => discard(state, peer, *sequence)?,
            Operation::RememberPeer(peer) => self.remember(peer),
            Operation::AdoptPeer { alias, peer } => self.adopt(alias, peer)?,
            Operation::ForgetPeer { peer, at } => self.forget(peer, *at)?,
            Operation::NameRelay { id } => state.relay.replace(id.clone()).as_ref() != Some(id),
            unknown => return Err(StoreError::Unsupported(format!("the operation {unknown:?}"))),
        };
        Ok(if changed { Outcome::Applied } else { Outcome::Unchanged })
    }

    /// Remembers a peer; whether that is new.
    fn remember(&mut self, peer: &Peer) -> bool {
        let state = match self.state.peer(&peer.id) {
            Some(known) if known.peer == *peer => return false,
            Some(known) => PeerState { peer: peer.clone(), ..known.clone() },
            None => {
                let number = self.state.counters.next_peer;
                self.state.counters.next_peer += 1;
                PeerState { number, peer: peer.clone(), backlog: 0 }
            }
        };
        self.replace_peer(&peer.id, Some(state));
        true
    }

    /// Gives what the alias is owed, and its dead letters, to the peer; whether that changed anything.
    fn adopt(&mut self, alias: &PeerId, peer: &Peer) -> Result<bool> {
        let is_new = self.remember(peer);
        let Some(adoption) = Adoption::of(&mut self.state, &mut self.deliveries, alias, &peer.id)? else {
            return Ok(is_new);
        };
        adoption.run()?;
        self.replace_peer(alias, None);
        Ok(true)
    }

    /// Forgets a peer and ends what it is owed; whether it was remembered.
    fn forget(&mut self, peer: &PeerId, at: Timestamp) -> Result<bool> {
        let Some(number) = self.state.peer_number(peer) else { return Ok(false) };
        for block in self.state.owed_blocks(number)? {
            let pending = self.state.owed(peer, number, block)?.now.bits;
            self.deliveries.expire(&mut self.state, peer, block, pending, at)?;
        }
        self.replace_peer(peer, None);
        Ok(true)
    }

    fn replace_peer(&mut self, id: &PeerId, state: Option<PeerState>) {
        self.state.peers.insert(id.clone(), state);
        self.recording.forget_routes();
    }

    /// Brings to an end what is still gathered: the last run, and what was settled alike.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.recording.end_run(&mut self.state)?;
        self.deliveries.end(&mut self.state);
        Ok(())
    }
}
