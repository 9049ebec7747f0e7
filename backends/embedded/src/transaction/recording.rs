//! Recording messages: whether one is new, and which peers it becomes pending for.

use std::sync::Arc;

use hashbrown::HashMap;
use slipstream_store::{DuplicateBy, Outcome, PeerId, Record, Result, Route, Stamp};

use crate::ledger::blocks::SeenBlock;
use crate::ledger::identities::{IdentityHash, NewIdentity, Print};
use crate::rows::bits::{Bits, block_of};
use crate::rows::table::MessageRow;
use crate::transaction::overlay::Overlay;

/// The messages that a transaction records, in order. `'b` is the life of the batch.
#[derive(Default)]
pub(crate) struct Recording<'b> {
    identities: HashMap<IdentityHash, Print>,
    pub(crate) new_identities: Vec<NewIdentity>,
    pub(crate) messages: Vec<NewMessage<'b>>,
    pub(crate) routes: Vec<ResolvedRoute<'b>>,
    route_index: HashMap<usize, usize>,
    run: Option<Run>,
}

/// A message that is recorded.
pub(crate) struct NewMessage<'b> {
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

impl NewMessage<'_> {
    /// The row of the message.
    pub(crate) fn row<'r>(&'r self, routes: &'r [ResolvedRoute<'_>]) -> MessageRow<'r> {
        message_row(self.sequence, self.record, &routes[self.route].path)
    }
}

/// The row of a message, whose path stands there as [`path_text`] writes it.
pub(crate) fn message_row<'r>(sequence: u64, record: &'r Record, path: &'r str) -> MessageRow<'r> {
    MessageRow {
        sequence,
        group: record.identity.group.as_str(),
        id: record.identity.id.as_str(),
        message_type: record.message_type.as_str(),
        key: record.key.as_ref().map(|key| key.as_str()),
        expires_at: record.expires_at.map(|time| time.as_millis()),
        received_at: record.received_at.as_millis(),
        received_from: record.route.received_from.as_str(),
        path,
        text: &record.text,
    }
}

/// The path of a route as it stands in a row.
pub(crate) fn path_text(route: &Route) -> String {
    route.path.iter().map(PeerId::as_str).collect::<Vec<_>>().join(" ")
}

impl<'b> Recording<'b> {
    /// Records a message, unless it was recorded before.
    pub(crate) fn record(&mut self, state: &mut Overlay<'_>, record: &'b Record) -> Result<Outcome> {
        let marks = Marks::of(record);
        match self.recognise(state, record, marks)? {
            Recognised::Known(outcome) => return Ok(outcome),
            Recognised::New(stamp) => see(state, stamp),
        }
        let Marks { hash, print } = marks;
        let received_at = record.received_at.as_millis();
        let (number, sequence) = state.next_sequence()?;
        self.identities.insert(hash, print);
        self.new_identities.push(NewIdentity { hash, sequence: number, print, received_at });
        let run = self.run_at(state, &record.route, block_of(number))?;
        run.bits.set(number);
        run.latest = run.latest.max(received_at);
        if let Some(expiry) = record.expires_at {
            run.earliest_expiry = run.earliest_expiry.into_iter().chain([expiry.as_millis()]).min();
        }
        let route = run.route;
        self.messages.push(NewMessage { sequence: number, record, route });
        Ok(Outcome::Recorded { sequence })
    }

    /// What recording a message would give if it was recorded before; `Unchanged` if it was not.
    pub(crate) fn ask(&self, state: &mut Overlay<'_>, record: &Record) -> Result<Outcome> {
        Ok(match self.recognise(state, record, Marks::of(record))? {
            Recognised::Known(outcome) => outcome,
            Recognised::New(_) => Outcome::Unchanged,
        })
    }

    /// Whether a message was recorded before; then its stamp counts as seen.
    fn recognise(&self, state: &mut Overlay<'_>, record: &Record, Marks { hash, print }: Marks) -> Result<Recognised> {
        let known = self.identities.get(&hash).copied().or_else(|| state.ledger.identities.print(hash));
        if known.is_some_and(|known| known != print) {
            return Ok(Recognised::Known(Outcome::Conflict));
        }
        let stamp = record.stamp.map(|stamp| look_up(state, stamp, record.received_at.as_millis())).transpose()?;
        let by = match (known, &stamp) {
            (Some(_), _) => DuplicateBy::Identity,
            (None, Some(LookedUp { was_seen: true, .. })) => DuplicateBy::Stamp,
            (None, _) => return Ok(Recognised::New(stamp)),
        };
        see(state, stamp);
        Ok(Recognised::Known(Outcome::Duplicate { by }))
    }

    /// The run that messages of this route in this block belong to.
    fn run_at(&mut self, state: &mut Overlay<'_>, route: &'b Arc<Route>, block: u64) -> Result<&mut Run> {
        let address = Arc::as_ptr(route).addr();
        let index = match self.route_index.get(&address) {
            Some(&index) => index,
            None => self.resolve(state, address, route),
        };
        if self.run.as_ref().is_none_or(|run| run.route != index || run.block != block) {
            self.end_run(state)?;
        }
        let new = Run { route: index, block, bits: Bits::NONE, earliest_expiry: None, latest: 0 };
        Ok(self.run.get_or_insert(new))
    }

    fn resolve(&mut self, state: &Overlay<'_>, address: usize, route: &'b Route) -> usize {
        let recipients = route.recipients.iter();
        let recipients = recipients.filter_map(|peer| Some((peer, state.peer_number(peer)?))).collect();
        self.routes.push(ResolvedRoute { route, recipients, path: path_text(route) });
        self.route_index.insert(address, self.routes.len() - 1);
        self.routes.len() - 1
    }

    /// Makes the messages of the run pending. Whatever looks at deliveries ends the run first.
    pub(crate) fn end_run(&mut self, state: &mut Overlay<'_>) -> Result<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let mut block = state.block(run.block);
        block.latest_change = block.latest_change.max(run.latest);
        let recipients = &self.routes[run.route].recipients;
        if !recipients.is_empty() {
            block.stored |= run.bits;
            block.expires_by(run.earliest_expiry);
        }
        state.blocks.insert(run.block, Some(block));
        for &(peer, number) in recipients {
            state.owed(peer, number, run.block)?.now.bits |= run.bits;
        }
        Ok(())
    }

    /// Has the recipients of the routes found anew, since the peers have changed.
    pub(crate) fn forget_routes(&mut self) {
        self.route_index.clear();
    }

    /// The message that this transaction records under this sequence.
    pub(crate) fn message(&self, sequence: u64) -> Option<MessageRow<'_>> {
        let index = self.messages.binary_search_by_key(&sequence, |message| message.sequence).ok()?;
        Some(self.messages[index].row(&self.routes))
    }
}

fn look_up(state: &Overlay<'_>, stamp: Stamp, received_at: u64) -> Result<LookedUp> {
    let key = (stamp.epoch.into(), block_of(stamp.number));
    let mut block = state.seen_block(key)?;
    let was_seen = block.bits.has(stamp.number);
    block.bits.set(stamp.number);
    block.latest = block.latest.max(received_at);
    Ok(LookedUp { key, was_seen, block })
}

/// Notes the stamp of a message as seen.
fn see(state: &mut Overlay<'_>, stamp: Option<LookedUp>) {
    if let Some(LookedUp { key, block, .. }) = stamp {
        state.seen.insert(key, Some(block));
    }
}

/// What is known of a message.
enum Recognised {
    /// It was recorded before: its outcome.
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
