//! A batch being applied: everything that it changes, on top of a ledger that stays as it is.
//!
//! An operation looks into the draft first, then into the ledger, then into the tables. When all are applied,
//! [`Draft::finish`](crate::prepared) turns the draft into writes for the engine and changes for the ledger; dropping
//! it instead leaves no trace. This file holds the draft and how messages are recorded; `deliveries.rs` holds what
//! settles them, `peers.rs` what is done about peers, `adopt.rs` how one takes the place of another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use slipstream_store::{
    Batch, DeliveryState, DuplicateBy, Operation, Outcome, PeerId, Record, Result, Route, Sequence, Stamp, StoreError,
};

use crate::bits::{Bits, block_of};
use crate::codec::{self, OwedRow, SeenRow};
use crate::engine::{Table, Tables};
use crate::identities::{IdentityHash, NewIdentity, Print};
use crate::journal::Redriven;
use crate::keys;
use crate::ledger::{Counters, Ledger, MessageBlock, OldestRow, OwedBlock, PeerState, SeenBlock};
use crate::owned::OwnedMessage;

/// `'l` is the ledger's and the tables' life, `'b` that of the batch.
pub(crate) struct Draft<'l, 'b> {
    pub(crate) ledger: &'l Ledger,
    pub(crate) tables: &'l dyn Tables,
    pub(crate) counters: Counters,
    pub(crate) relay: Option<PeerId>,
    /// Remembered or forgotten by this draft.
    pub(crate) peers: BTreeMap<PeerId, Option<PeerState>>,
    pub(crate) identities: HashMap<IdentityHash, Print>,
    pub(crate) new_identities: Vec<NewIdentity>,
    pub(crate) forgotten_identities: u64,
    owed_index: HashMap<(u64, u64), usize>,
    pub(crate) owed: Vec<TouchedOwed>,
    pub(crate) seen: BTreeMap<(u128, u64), Option<SeenBlock>>,
    pub(crate) blocks: BTreeMap<u64, Option<MessageBlock>>,
    pub(crate) dirty: BTreeSet<u64>,
    pub(crate) clean: BTreeSet<u64>,
    /// Rows of notes, dead letters, redriven deliveries; and of the journal where a purge removes them.
    pub(crate) rows: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
    pub(crate) recorded: Vec<RecordedHere<'b>>,
    /// The messages that were redriven.
    pub(crate) appended: Vec<OwnedMessage>,
    pub(crate) removed_messages: Vec<(u64, u64)>,
    pub(crate) routes: Vec<ResolvedRoute<'b>>,
    route_index: HashMap<usize, usize>,
    run: Option<Run>,
    pub(crate) settled: Vec<SettledHere>,
    pub(crate) redriven: Vec<(PeerId, Redriven)>,
    pub(crate) oldest_row: Option<OldestRow>,
}

/// A message that this draft records.
pub(crate) struct RecordedHere<'b> {
    pub(crate) sequence: u64,
    pub(crate) record: &'b Record,
    /// An index into the routes.
    pub(crate) route: usize,
}

/// A route, with those of its recipients that are remembered and their numbers.
pub(crate) struct ResolvedRoute<'b> {
    pub(crate) route: &'b Route,
    pub(crate) recipients: Vec<(&'b PeerId, u64)>,
    /// The path as it stands in a row.
    pub(crate) path: String,
}

/// Neighbouring messages of one route in one block, which become pending together.
struct Run {
    route: usize,
    block: u64,
    bits: Bits,
    earliest_expiry: Option<u64>,
    latest: u64,
}

/// A block of one peer's pending deliveries that this draft changes, or has looked at.
pub(crate) struct TouchedOwed {
    pub(crate) peer: PeerId,
    pub(crate) number: u64,
    pub(crate) block: u64,
    pub(crate) before: OwedBlock,
    pub(crate) now: OwedBlock,
    /// Deliveries that were settled alike and are not in `settled` yet.
    pub(crate) settling: Option<(DeliveryState, u64, Bits)>,
}

/// Deliveries of one peer that were settled alike.
pub(crate) struct SettledHere {
    pub(crate) peer: PeerId,
    pub(crate) state: DeliveryState,
    pub(crate) at: u64,
    pub(crate) origin: Option<u64>,
    pub(crate) block: u64,
    pub(crate) bits: Bits,
}

impl<'l, 'b> Draft<'l, 'b> {
    pub(crate) fn new(ledger: &'l Ledger, tables: &'l dyn Tables) -> Self {
        Self {
            ledger,
            tables,
            counters: ledger.counters,
            relay: ledger.relay.clone(),
            peers: BTreeMap::new(),
            identities: HashMap::new(),
            new_identities: Vec::new(),
            forgotten_identities: 0,
            owed_index: HashMap::new(),
            owed: Vec::new(),
            seen: BTreeMap::new(),
            blocks: BTreeMap::new(),
            dirty: BTreeSet::new(),
            clean: BTreeSet::new(),
            rows: BTreeMap::new(),
            recorded: Vec::new(),
            appended: Vec::new(),
            removed_messages: Vec::new(),
            routes: Vec::new(),
            route_index: HashMap::new(),
            run: None,
            settled: Vec::new(),
            redriven: Vec::new(),
            oldest_row: ledger.oldest_row,
        }
    }

    /// Applies the operations in order, one outcome for each.
    pub(crate) fn apply(&mut self, batch: &'b Batch) -> Result<Vec<Outcome>> {
        // An operation uses one sequence at most, so that the batch surely fits.
        let wanted = u64::try_from(batch.operations.len()).unwrap_or(u64::MAX);
        if Sequence::LAST.get().saturating_sub(self.counters.next_sequence) < wanted {
            return Err(StoreError::Full("every sequence has been given".to_owned()));
        }
        batch.operations.iter().map(|operation| self.operation(operation)).collect()
    }

    fn operation(&mut self, operation: &'b Operation) -> Result<Outcome> {
        match operation {
            Operation::Record(record) => return self.record(record),
            Operation::Recognise(record) => {
                return Ok(match self.recognise(record, Marks::of(record))? {
                    Recognised::Known(outcome) => outcome,
                    Recognised::New(_) => Outcome::Unchanged,
                });
            }
            _ => self.end_run()?,
        }
        let changed = match operation {
            Operation::Acknowledge { peer, sequence, at } => return self.acknowledge(peer, *sequence, *at),
            Operation::Supersede { peer, sequence, at } => {
                self.settle(peer, *sequence, DeliveryState::Superseded, *at)?
            }
            Operation::Expire { peer, sequence, at } => self.settle(peer, *sequence, DeliveryState::Expired, *at)?,
            Operation::Attempt { peer, sequence, number, at } => self.attempt(peer, *sequence, *number, *at)?,
            Operation::DeadLetter { peer, sequence, reason, attempts, at } => {
                self.give_up(peer, *sequence, reason, *attempts, *at)?
            }
            Operation::Redrive { peer, sequence } => return self.redrive(peer, *sequence),
            Operation::Discard { peer, sequence } => self.discard(peer, *sequence)?,
            Operation::RememberPeer(peer) => self.remember(peer),
            Operation::AdoptPeer { alias, peer } => self.adopt(alias, peer)?,
            Operation::ForgetPeer { peer, at } => self.forget(peer, *at)?,
            Operation::NameRelay { id } => self.relay.replace(id.clone()).as_ref() != Some(id),
            unknown => return Err(StoreError::Unsupported(format!("the operation {unknown:?}"))),
        };
        Ok(if changed { Outcome::Applied } else { Outcome::Unchanged })
    }

    fn record(&mut self, record: &'b Record) -> Result<Outcome> {
        let marks = Marks::of(record);
        match self.recognise(record, marks)? {
            Recognised::Known(outcome) => return Ok(outcome),
            Recognised::New(stamp) => self.see(stamp),
        }
        let Marks { hash, print } = marks;
        let received_at = record.received_at.as_millis();
        let (number, sequence) = self.next_sequence()?;
        self.identities.insert(hash, print);
        self.new_identities.push(NewIdentity { hash, sequence: number, print, received_at });
        let run = self.run_at(&record.route, block_of(number))?;
        run.bits.set(number);
        run.latest = run.latest.max(received_at);
        if let Some(expiry) = record.expires_at {
            run.earliest_expiry = run.earliest_expiry.into_iter().chain([expiry.as_millis()]).min();
        }
        let route = run.route;
        self.recorded.push(RecordedHere { sequence: number, record, route });
        Ok(Outcome::Recorded { sequence })
    }

    /// Whether a message was recorded before; then its stamp counts as seen.
    fn recognise(&mut self, record: &Record, Marks { hash, print }: Marks) -> Result<Recognised> {
        let known = self.identities.get(&hash).copied().or_else(|| self.ledger.identities.print(hash));
        if known.is_some_and(|known| known != print) {
            return Ok(Recognised::Known(Outcome::Conflict));
        }
        let stamp = record.stamp.map(|stamp| self.look_up(stamp, record.received_at.as_millis())).transpose()?;
        let by = match (known, &stamp) {
            (Some(_), _) => DuplicateBy::Identity,
            (None, Some(LookedUp { was_seen: true, .. })) => DuplicateBy::Stamp,
            (None, _) => return Ok(Recognised::New(stamp)),
        };
        self.see(stamp);
        Ok(Recognised::Known(Outcome::Duplicate { by }))
    }

    fn look_up(&self, stamp: Stamp, received_at: u64) -> Result<LookedUp> {
        let key = (stamp.epoch.into(), block_of(stamp.number));
        let mut block = self.seen_block(key)?;
        let was_seen = block.bits.has(stamp.number);
        block.bits.set(stamp.number);
        block.latest = block.latest.max(received_at);
        Ok(LookedUp { key, was_seen, block })
    }

    /// Notes the stamp of a message as seen.
    fn see(&mut self, stamp: Option<LookedUp>) {
        if let Some(LookedUp { key, block, .. }) = stamp {
            self.seen.insert(key, Some(block));
        }
    }

    pub(crate) fn seen_block(&self, key: (u128, u64)) -> Result<SeenBlock> {
        if let Some(here) = self.seen.get(&key) {
            return Ok(here.unwrap_or_default());
        }
        if let Some(block) = self.ledger.seen.get(&key) {
            return Ok(*block);
        }
        let Some(value) = self.tables.get(Table::Seen, &keys::epoch_block(key))? else {
            return Ok(SeenBlock::default());
        };
        let row: SeenRow = codec::decode(&value, "a block of stamps")?;
        Ok(SeenBlock { bits: Bits::from_bytes(&row.bits), latest: row.latest })
    }

    pub(crate) fn next_sequence(&mut self) -> Result<(u64, Sequence)> {
        let number = self.counters.next_sequence;
        let sequence = Sequence::new(number)
            .ok_or_else(|| StoreError::Corrupted(format!("the next sequence is {number}: expected 1 to 2^63 - 1")))?;
        self.counters.next_sequence += 1;
        Ok((number, sequence))
    }

    /// The run that messages of this route in this block belong to.
    fn run_at(&mut self, route: &'b Arc<Route>, block: u64) -> Result<&mut Run> {
        let address = Arc::as_ptr(route).addr();
        let index = match self.route_index.get(&address) {
            Some(&index) => index,
            None => self.resolve(address, route),
        };
        if self.run.as_ref().is_none_or(|run| run.route != index || run.block != block) {
            self.end_run()?;
        }
        let new = Run { route: index, block, bits: Bits::NONE, earliest_expiry: None, latest: 0 };
        Ok(self.run.get_or_insert(new))
    }

    fn resolve(&mut self, address: usize, route: &'b Route) -> usize {
        let recipients = route.recipients.iter();
        let recipients = recipients.filter_map(|peer| Some((peer, self.peer(peer)?.number))).collect();
        let path = route.path.iter().map(PeerId::as_str).collect::<Vec<_>>().join(" ");
        self.routes.push(ResolvedRoute { route, recipients, path });
        self.route_index.insert(address, self.routes.len() - 1);
        self.routes.len() - 1
    }

    /// Brings to an end what is still gathered: the last run, and what was settled alike.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.end_run()?;
        self.end_settling();
        Ok(())
    }

    /// Makes the messages of the run pending. Whatever looks at deliveries ends the run first.
    pub(crate) fn end_run(&mut self) -> Result<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let mut block = self.block(run.block);
        block.latest_change = block.latest_change.max(run.latest);
        let recipients = std::mem::take(&mut self.routes[run.route].recipients);
        if !recipients.is_empty() {
            block.stored |= run.bits;
            block.expires_by(run.earliest_expiry);
        }
        self.blocks.insert(run.block, Some(block));
        for &(peer, number) in &recipients {
            self.owed(peer, number, run.block)?.now.bits |= run.bits;
        }
        self.routes[run.route].recipients = recipients;
        Ok(())
    }

    /// Who the recipients of a route are has to be found out anew.
    pub(crate) fn peers_changed(&mut self) {
        self.route_index.clear();
    }

    pub(crate) fn peer(&self, id: &PeerId) -> Option<&PeerState> {
        if !self.peers.is_empty()
            && let Some(here) = self.peers.get(id)
        {
            return here.as_ref();
        }
        self.ledger.peers.get(id)
    }

    /// A block of messages as it is now.
    pub(crate) fn block(&self, number: u64) -> MessageBlock {
        let here = self.blocks.get(&number).copied();
        here.unwrap_or_else(|| self.ledger.blocks.get(&number).copied()).unwrap_or_default()
    }

    /// A block of a peer's pending deliveries, to look at and to change.
    pub(crate) fn owed(&mut self, peer: &PeerId, number: u64, block: u64) -> Result<&mut TouchedOwed> {
        let index = match self.owed_index.get(&(number, block)) {
            Some(&index) => index,
            None => {
                let before = match self.ledger.owed.get(&(number, block)) {
                    Some(before) => *before,
                    None => read_owed(self.tables, number, block)?,
                };
                let touched = TouchedOwed { peer: peer.clone(), number, block, before, now: before, settling: None };
                self.owed.push(touched);
                self.owed_index.insert((number, block), self.owed.len() - 1);
                self.owed.len() - 1
            }
        };
        Ok(&mut self.owed[index])
    }
}

/// A block of a peer's pending deliveries as the tables have it.
fn read_owed(tables: &dyn Tables, number: u64, block: u64) -> Result<OwedBlock> {
    let Some(value) = tables.get(Table::Owed, &keys::pair(number, block))? else { return Ok(OwedBlock::default()) };
    let row: OwedRow = codec::decode(&value, "a block of pending deliveries")?;
    let mut noted = Bits::NONE;
    crate::rows::scan_block(tables, Table::Notes, number, block, &mut |sequence, _| {
        noted.set(sequence);
        Ok(())
    })?;
    Ok(OwedBlock { bits: Bits::from_bytes(&row.bits), noted })
}

/// What is known of a message.
enum Recognised {
    /// It was recorded before: what is answered.
    Known(Outcome),
    /// It was not. Its stamp does not count as seen yet.
    New(Option<LookedUp>),
}

/// A stamp that was looked up.
#[derive(Clone, Copy)]
struct LookedUp {
    key: (u128, u64),
    was_seen: bool,
    /// Its block with the stamp seen.
    block: SeenBlock,
}

/// What a message is recognised by.
#[derive(Clone, Copy)]
struct Marks {
    hash: IdentityHash,
    print: Print,
}

impl Marks {
    fn of(record: &Record) -> Self {
        Self { hash: IdentityHash::of(&record.identity), print: Print::of(record.fingerprint.as_u64()) }
    }
}
