//! In which order the operations are committed.
//!
//! Messages are brought in the order of the source. One that was redriven is pending from the start, and gets its new
//! sequence when that is next in order. So for each of these a few bytes are kept from its first place to its last.
//!
//! Identities that the source has forgotten come first. The target forgets them after each batch, so that the next may bring
//! the same again.
//!
//! An import is refused while its peer has a dead letter that looks the same, which may have come later or from an alias. So
//! what looks like an import is pending, too, until all are there.

use std::collections::{BTreeMap, HashSet};

use slipstream_store::{
    HeldDelivery, HeldMessage, HeldOrigin, HeldState, Holdings, Horizon, Identity, MessageStore, Operation, PeerId,
    Result, Sequence, Timestamp,
};

use crate::Done;
use crate::cursor::{Messages, Stamps};
use crate::marks;
use crate::operations::{alias, bring, finish, finish_import, move_on};
use crate::target::Target;

/// Most messages of a batch.
const BATCH: usize = 1024;

/// Most bytes of the texts of a batch, but for one larger one.
const BATCH_BYTES: usize = 4 << 20;

/// What was transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transferred {
    /// The messages.
    pub messages: u64,
    /// If of those that were received before some time others may be missing, the sequence in the target from which on none
    /// is.
    pub whole_from: Option<Sequence>,
}

/// Brings all that a source holds into a target, in which there must be nothing.
///
/// # Errors
/// Those of both; `Corrupted` if the target does something else than it is to. What is in it then is of no use.
///
/// # Cancellation
/// It leaves a part in the target.
pub async fn transfer(
    source: &mut dyn Holdings,
    target: &dyn MessageStore,
    done: &mut Done<'_>,
) -> Result<Transferred> {
    let once = source.once().await?;
    let (whole_since, has_imports) = (once.whole_since, once.has_imports);
    let mut transfer = Transfer::new(Target::begin(target, once).await?, whole_since);
    marks::transfer(Stamps::of(source), target, whole_since).await?;
    if has_imports {
        let mut messages = Messages::of(source);
        while let Some(message) = messages.next().await? {
            if message.origin == HeldOrigin::Imported {
                let looks = message.deliveries.into_iter().map(|delivery| (message.identity.clone(), delivery.peer));
                transfer.imported.extend(looks);
            }
        }
    }
    let mut messages = Messages::of(source);
    while let Some(message) = messages.next().await? {
        transfer.take(message).await?;
        done(1);
    }
    transfer.end().await
}

/// A transfer under way.
struct Transfer<'t> {
    target: Target<'t>,
    whole_since: Timestamp,
    /// What imports look like.
    imported: HashSet<(Identity, PeerId)>,
    batch: Vec<HeldMessage>,
    batch_bytes: usize,
    /// By their place in the source: deliveries that were redriven, which are pending under an earlier sequence.
    waiting: BTreeMap<(Sequence, PeerId), Waiting>,
    /// The dead letters that look like an import.
    last: Vec<Operation>,
    transferred: Transferred,
}

struct Waiting {
    delivery: HeldDelivery,
    identity: Identity,
    /// Its sequence in the target.
    sequence: Sequence,
    received_at: Timestamp,
}

impl<'t> Transfer<'t> {
    fn new(target: Target<'t>, whole_since: Timestamp) -> Self {
        Self {
            target,
            whole_since,
            imported: HashSet::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            waiting: BTreeMap::new(),
            last: Vec::new(),
            transferred: Transferred::default(),
        }
    }

    async fn take(&mut self, message: HeldMessage) -> Result<()> {
        let next = self.waiting.first_key_value().map(|((next, _), _)| *next);
        if next.is_some_and(|next| next < message.sequence) {
            self.flush().await?;
            self.redrive(Some(message.sequence)).await?;
        } else if !self.fits(&message) {
            self.flush().await?;
        }
        self.batch_bytes += message.text.len();
        // What was redriven may be next, and names of aliases are used again.
        let is_last = message.deliveries.iter().any(|it| it.sequence != message.sequence || it.acknowledged.is_some());
        self.batch.push(message);
        if is_last { self.flush().await } else { Ok(()) }
    }

    /// Whether a message may be in one batch with those that are in it.
    fn fits(&self, message: &HeldMessage) -> bool {
        // Which of them get their sequences together.
        let kind = |message: &HeldMessage| match message.origin {
            HeldOrigin::Recorded { remembered, .. } => (true, remembered),
            HeldOrigin::Imported => (false, is_import_over(message)),
        };
        let is_remembered = kind(message) == (true, true);
        let has_room = self.batch.len() < BATCH && self.batch_bytes + message.text.len() <= BATCH_BYTES;
        let is_like =
            |other: &HeldMessage| kind(other) == kind(message) && (is_remembered || other.identity != message.identity);
        self.batch.is_empty() || has_room && self.batch.iter().rev().take(BATCH).all(is_like)
    }

    /// Commits the messages of the batch, and makes their deliveries what they are to be.
    async fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let Some(origin) = batch.first().map(|message| message.origin) else { return Ok(()) };
        self.transferred.messages += batch.len() as u64;
        let bring = batch.iter().map(|message| bring(message.clone())).collect::<Result<Vec<_>>>()?;
        let sequences = self.target.bring(bring).await?;
        let brought = batch.into_iter().zip(sequences);
        match origin {
            HeldOrigin::Imported => self.settle_imports(brought).await,
            HeldOrigin::Recorded { remembered, .. } => {
                let mut operations = Vec::new();
                for (message, sequence) in brought {
                    if message.received_at < self.whole_since {
                        self.transferred.whole_from = Sequence::new(sequence.get() + 1);
                    }
                    operations.extend(self.settle(message, sequence)?);
                }
                self.target.commit_all(operations).await?;
                if remembered {
                    return Ok(());
                }
                marks::purge(self.target.store, Horizon { max_identities: 0, ..Horizon::NOTHING }).await
            }
        }
    }

    /// What makes the deliveries of a recorded message what they are to be, all but those that were redriven.
    fn settle(&mut self, message: HeldMessage, sequence: Sequence) -> Result<Vec<Operation>> {
        let HeldMessage { identity, received_at, deliveries, sequence: first, .. } = message;
        let mut operations = Vec::new();
        let twice = deliveries.iter().filter(|delivery| delivery.acknowledged.is_some());
        for (number, delivery) in twice.enumerate() {
            let (peer, at) = (delivery.peer.clone(), delivery.acknowledged.unwrap_or_default());
            let alias = alias(number)?;
            self.target.loses(&alias);
            let described = self.target.described(&peer);
            operations.push(Operation::Acknowledge { peer, sequence, at });
            operations.push(Operation::AdoptPeer { alias, peer: Box::new(described) });
        }
        for delivery in deliveries {
            let place = delivery.sequence;
            let waiting = Waiting { delivery, identity: identity.clone(), sequence, received_at };
            if place == first {
                operations.extend(self.finish(waiting));
            } else {
                self.waiting.insert((place, waiting.delivery.peer.clone()), waiting);
            }
        }
        Ok(operations)
    }

    /// Makes the delivery of each import what it is to be. Until all imports are there none stays a dead letter.
    async fn settle_imports(&mut self, imports: impl Iterator<Item = (HeldMessage, Sequence)>) -> Result<()> {
        let (mut operations, mut moving) = (Vec::new(), Vec::new());
        for (message, sequence) in imports {
            let is_over = is_import_over(&message);
            let HeldMessage { identity, received_at, deliveries, sequence: first, .. } = message;
            for delivery in deliveries {
                if is_over {
                    operations.push(finish_import(delivery, sequence));
                } else {
                    moving.push((first, Waiting { delivery, identity: identity.clone(), sequence, received_at }));
                }
            }
        }
        self.target.commit_all(operations).await?;
        let redrive =
            |waiting: &Waiting| Operation::Redrive { peer: waiting.delivery.peer.clone(), sequence: waiting.sequence };
        let redriven = self.target.commit(moving.iter().map(|(_, waiting)| redrive(waiting)).collect()).await?;
        let mut operations = Vec::new();
        for ((first, waiting), sequence) in moving.into_iter().zip(redriven) {
            let waiting = Waiting { sequence, ..waiting };
            if waiting.delivery.sequence == first {
                operations.extend(self.finish(waiting));
            } else {
                self.waiting.insert((waiting.delivery.sequence, waiting.delivery.peer.clone()), waiting);
            }
        }
        self.target.commit_all(operations).await
    }

    /// Gives those deliveries that were redriven their sequences that come before this one in the source.
    async fn redrive(&mut self, before: Option<Sequence>) -> Result<()> {
        while let Some(((next, _), _)) = self.waiting.first_key_value()
            && before.is_none_or(|before| *next < before)
        {
            let mut all = Vec::new();
            while all.len() < BATCH
                && let Some(first) = self.waiting.first_entry()
                && before.is_none_or(|before| first.key().0 < before)
            {
                all.push(first.remove());
            }
            let operations = all.iter().flat_map(|it| move_on(&it.delivery.peer, it.sequence, it.received_at));
            let sequences = self.target.commit(operations.collect()).await?;
            let redriven = all.into_iter().zip(sequences);
            let mut operations = Vec::new();
            for (waiting, sequence) in redriven {
                operations.extend(self.finish(Waiting { sequence, ..waiting }));
            }
            self.target.commit_all(operations).await?;
        }
        Ok(())
    }

    /// What makes a pending delivery what it is to be; if that is a dead letter that looks like an import, it is done last.
    fn finish(&mut self, waiting: Waiting) -> Vec<Operation> {
        let Waiting { delivery, identity, sequence, .. } = waiting;
        let is_dead = matches!(delivery.state, HeldState::Dead { .. });
        let looks = (identity, delivery.peer.clone());
        let operations = finish(delivery, sequence);
        if is_dead && self.imported.contains(&looks) {
            self.last.extend(operations);
            return Vec::new();
        }
        operations
    }

    /// Does what is left.
    async fn end(mut self) -> Result<Transferred> {
        self.flush().await?;
        self.redrive(None).await?;
        self.target.commit_all(std::mem::take(&mut self.last)).await?;
        self.target.end().await?;
        marks::purge(self.target.store, Horizon::NOTHING).await?;
        Ok(self.transferred)
    }
}

/// Whether an import is no dead letter any more and never was pending.
fn is_import_over(message: &HeldMessage) -> bool {
    message.deliveries.iter().all(|delivery| delivery.sequence == message.sequence && !delivery.is_open())
}
