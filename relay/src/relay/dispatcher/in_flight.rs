//! The deliveries of a link that are not settled: in flight, or held back. Pure: no clock, no I/O, no tokio.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use slipstream_store::{ClusterGroup, Key, MessageId, Sequence};

use super::forward::{Forward, Metadata};

/// A delivery that is in flight on a link, or held back on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Which delivery of the peer.
    pub(super) sequence: Sequence,
    pub(super) metadata: Arc<Metadata>,
    /// How often it was republished, on this link and before.
    pub(super) attempts: u32,
    /// The length of its text.
    pub(super) bytes: usize,
    /// A newer value of its key was sent on this link and ended without an acknowledgement. This one is not sent on
    /// this link again, so that no value comes after a newer one.
    pub(super) overtaken: bool,
    /// The peer has said that it wants it later, and a newer value of its key is sent in its place.
    pub(super) is_deferred: bool,
    pub(super) state: DeliveryState,
}

impl Delivery {
    /// A delivery that was republished this often before, and is being sent.
    pub(super) fn new(forward: &Forward, attempts: u32) -> Self {
        Self {
            sequence: forward.sequence,
            metadata: Arc::clone(&forward.metadata),
            attempts,
            bytes: forward.text.len(),
            overtaken: false,
            is_deferred: false,
            state: DeliveryState::Writing { place: 0 },
        }
    }
}

/// What a delivery waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeliveryState {
    /// To be sent once the peer has settled others: it may be what the peer dies of.
    HeldBack,
    /// The operating system, which has not taken all of it yet.
    Writing {
        /// What has a smaller place in the window was sent before it.
        place: u64,
    },
    /// The peer's answer.
    Sent {
        /// When the operating system had taken it, on the clock's own scale.
        at: Duration,
        /// What has a smaller place in the window was sent before it.
        place: u64,
    },
    /// Being sent again.
    Again {
        /// Whether sending it again is a republish, which spends an attempt.
        spends: bool,
    },
}

/// The place of a delivery, which outlives it until it comes to the front.
#[derive(Debug)]
struct Slot {
    sequence: Sequence,
    delivery: Option<Delivery>,
    /// When the peer settled it, if the peer did.
    settled_at: Option<Duration>,
}

/// The deliveries of one link in the order of sending, which is that of their sequences, found by the message id that
/// an ACK names.
///
/// Peers mostly acknowledge in order, so the settled ones mostly leave at the front.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: VecDeque<Slot>,
    /// The place of the front, counted over the life of the window.
    front: u64,
    /// When the peer last settled what was in front of the front.
    settled_at: Option<Duration>,
    /// The places of the deliveries, by message id.
    places: HashTable<u64>,
    hasher: DefaultHashBuilder,
    /// How many deliveries are held back.
    held: usize,
    /// The bytes of the deliveries that are not held back.
    bytes: usize,
    /// The places of the deliveries that are being written.
    writing: Vec<u64>,
    /// The deliveries that are to be read from the store, to be sent again.
    unread: BTreeSet<Sequence>,
    /// No delivery is due before.
    due: Option<Duration>,
}

impl InFlight {
    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.held
    }

    /// How many bytes are in flight.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest delivery, held back ones included.
    pub(super) fn first(&self) -> Option<Sequence> {
        self.deliveries().next().map(|delivery| delivery.sequence)
    }

    /// Takes in what is being sent from now on, or is held back, newer than all before.
    pub(super) fn push(&mut self, mut delivery: Delivery, is_held: bool) {
        let Self { slots, front, places, hasher, .. } = self;
        let place = *front + slots.len() as u64;
        places.insert_unique(hasher.hash_one(&delivery.metadata.identity.id), place, |place| {
            delivery_at(slots, *front, *place).map_or(0, |delivery| hasher.hash_one(&delivery.metadata.identity.id))
        });
        if is_held {
            self.held += 1;
            delivery.state = DeliveryState::HeldBack;
        } else {
            self.bytes += delivery.bytes;
            self.writing.push(place);
            delivery.state = DeliveryState::Writing { place };
        }
        self.slots.push_back(Slot { sequence: delivery.sequence, delivery: Some(delivery), settled_at: None });
    }

    /// What was being written is with the operating system now. From now on the peer may be late, `timeout` from now
    /// at the earliest.
    pub(super) fn written(&mut self, now: Duration, timeout: Duration) {
        if self.writing.is_empty() {
            return;
        }
        let mut writing = std::mem::take(&mut self.writing);
        for place in writing.drain(..) {
            if let Some(delivery) = self.index_of(place).and_then(|index| self.slots.get_mut(index)?.delivery.as_mut())
                && let DeliveryState::Writing { place } = delivery.state
            {
                delivery.state = DeliveryState::Sent { at: now, place };
            }
        }
        self.writing = writing;
        self.look_at(now + timeout);
    }

    /// The delivery that an answer names: of that group, or without a group the one that was sent first.
    pub(super) fn named(&self, id: &MessageId, group: Option<&ClusterGroup>) -> Option<Sequence> {
        let meant = |delivery: &Delivery| {
            delivery.metadata.identity.id == *id && group.is_none_or(|group| delivery.metadata.identity.group == *group)
        };
        let places = self.places.iter_hash(self.hasher.hash_one(id)).copied();
        let place = places.filter(|place| delivery_at(&self.slots, self.front, *place).is_some_and(meant)).min()?;
        delivery_at(&self.slots, self.front, place).map(|delivery| delivery.sequence)
    }

    /// The delivery of this sequence.
    pub(super) fn get(&self, sequence: Sequence) -> Option<&Delivery> {
        self.slots.get(self.index(sequence)?)?.delivery.as_ref()
    }

    /// Ends a delivery because the peer has settled it.
    pub(super) fn settle(&mut self, sequence: Sequence, now: Duration) -> Option<Delivery> {
        let index = self.index(sequence)?;
        self.slots.get_mut(index)?.settled_at = Some(now);
        self.remove(sequence)
    }

    /// Ends a delivery.
    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Delivery> {
        let index = self.index(sequence)?;
        let delivery = self.slots.get_mut(index)?.delivery.take()?;
        let place = self.front + index as u64;
        if let Ok(entry) =
            self.places.find_entry(self.hasher.hash_one(&delivery.metadata.identity.id), |at| *at == place)
        {
            entry.remove();
        }
        if delivery.state == DeliveryState::HeldBack {
            self.held -= 1;
        } else {
            self.bytes -= delivery.bytes;
        }
        self.unread.remove(&sequence);
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.delivery.is_none()) {
            self.settled_at = self.settled_at.max(slot.settled_at);
            self.front += 1;
        }
        if self.slots.is_empty() {
            self.give_back_memory();
        }
        Some(delivery)
    }

    /// The oldest delivery that was sent.
    pub(super) fn first_sent(&self) -> Option<&Delivery> {
        self.deliveries().find(|delivery| delivery.state != DeliveryState::HeldBack)
    }

    /// The deliveries that are held back.
    pub(super) fn held(&self) -> impl Iterator<Item = &Delivery> {
        let held = if self.held == 0 { 0 } else { usize::MAX };
        self.deliveries().filter(|delivery| delivery.state == DeliveryState::HeldBack).take(held)
    }

    /// The largest delivery that was sent; of several the oldest.
    pub(super) fn largest(&self) -> Option<&Delivery> {
        let sent = self.deliveries().filter(|delivery| delivery.state != DeliveryState::HeldBack);
        sent.reduce(|largest, delivery| if delivery.bytes > largest.bytes { delivery } else { largest })
    }

    /// Adds the deliveries before `sequence` that set this key to `found`.
    pub(super) fn older(&self, sequence: Sequence, key: &Key, found: &mut Vec<Sequence>) {
        // An acknowledgement in order leaves nothing older, so mostly this looks at one slot.
        let older = self.slots.iter().take_while(|slot| slot.sequence < sequence);
        let same = older
            .filter_map(|slot| slot.delivery.as_ref())
            .filter(|delivery| delivery.metadata.sets.as_ref() == Some(key));
        found.extend(same.map(|delivery| delivery.sequence));
    }

    /// The newest delivery that was sent and sets the key that this one sets: itself, if there is none.
    pub(super) fn newest_like(&self, sequence: Sequence) -> Sequence {
        let Some(key) = self.get(sequence).and_then(|delivery| delivery.metadata.sets.as_ref()) else {
            return sequence;
        };
        let newer = self.slots.iter().rev().take_while(|slot| slot.sequence > sequence);
        let mut sent = newer
            .filter_map(|slot| slot.delivery.as_ref())
            .filter(|delivery| delivery.state != DeliveryState::HeldBack);
        sent.find(|delivery| delivery.metadata.sets.as_ref() == Some(key))
            .map_or(sequence, |delivery| delivery.sequence)
    }

    /// The peer wants this delivery later, in whose place a newer one is sent.
    pub(super) fn defer(&mut self, sequence: Sequence) {
        if let Some(delivery) = self.get_mut(sequence) {
            delivery.is_deferred = true;
        }
    }

    /// A newer value of the key of this delivery was sent, and ended without an acknowledgement.
    pub(super) fn overtake(&mut self, sequence: Sequence, now: Duration) {
        if let Some(delivery) = self.get_mut(sequence) {
            delivery.overtaken = true;
        }
        self.look_at(now);
    }

    /// When a delivery may be due next, if any waits.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// The deliveries that are due by `now`, where each may take `timeout` from when it was sent, or from when the peer
    /// last settled what was sent before it. A newer value of its key stands in for an older one: only the newest
    /// is due. Further ones are looked for after `pause` at the earliest.
    pub(super) fn overdue(
        &mut self,
        now: Duration,
        pause: Duration,
        timeout: impl Fn(&Delivery) -> Duration,
    ) -> Vec<Sequence> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let progress = self.progress();
        let (mut overdue, mut next) = (Vec::new(), None::<Duration>);
        let mut newer = HashSet::new();
        for delivery in self.slots.iter().rev().filter_map(|slot| slot.delivery.as_ref()) {
            if delivery.state == DeliveryState::HeldBack {
                continue;
            }
            let has_newer = delivery.metadata.sets.as_ref().is_some_and(|key| !newer.insert(key));
            let DeliveryState::Sent { at, place } = delivery.state else { continue };
            if has_newer {
                continue;
            }
            let settled =
                self.index_of(place).and_then(|index| progress.get(index)).copied().unwrap_or(self.settled_at);
            let due = Some(at).max(settled).unwrap_or(at) + timeout(delivery);
            if due <= now {
                overdue.push(delivery.sequence);
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        self.due = next.map(|next| next.max(now + pause));
        overdue.reverse();
        overdue
    }

    /// For each slot, and for the one that comes next, when the peer last settled what lies before it.
    fn progress(&self) -> Vec<Option<Duration>> {
        let latest = |latest: &mut Option<Duration>, slot: &Slot| {
            *latest = (*latest).max(slot.settled_at);
            Some(*latest)
        };
        std::iter::once(self.settled_at).chain(self.slots.iter().scan(self.settled_at, latest)).collect()
    }

    /// A delivery is to be sent again, or for the first time if it was held back.
    pub(super) fn send_again(&mut self, sequence: Sequence, spends: bool) {
        let Some(delivery) = self.get_mut(sequence) else { return };
        let was_held = delivery.state == DeliveryState::HeldBack;
        let bytes = delivery.bytes;
        delivery.state = DeliveryState::Again { spends };
        self.unread.insert(sequence);
        if was_held {
            self.held -= 1;
            self.bytes += bytes;
        }
    }

    /// A delivery that is to be sent again, and was read, is to be read once more.
    pub(super) fn read_again(&mut self, sequence: Sequence) {
        self.unread.insert(sequence);
    }

    /// The first delivery that is to be read from the store.
    pub(super) fn first_unread(&self) -> Option<Sequence> {
        self.unread.first().copied()
    }

    /// Whether this delivery is to be read from the store; from now on it is not.
    pub(super) fn was_read(&mut self, sequence: Sequence) -> bool {
        self.unread.remove(&sequence)
    }

    /// The deliveries after one and up to another that are to be read from the store.
    pub(super) fn unread(&self, after: Option<Sequence>, through: Sequence) -> impl Iterator<Item = Sequence> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.unread.range((after, Bound::Included(through))).copied()
    }

    /// A delivery is being sent again. All that was ever sent was sent before it.
    pub(super) fn resent(&mut self, sequence: Sequence) {
        let next = self.front + self.slots.len() as u64;
        if let Some(index) = self.index(sequence)
            && let Some(delivery) = self.slots.get_mut(index).and_then(|slot| slot.delivery.as_mut())
        {
            delivery.state = DeliveryState::Writing { place: next };
            self.writing.push(self.front + index as u64);
        }
    }

    /// Notes how often a delivery was republished.
    pub(super) fn attempted(&mut self, sequence: Sequence, attempts: u32) {
        if let Some(delivery) = self.get_mut(sequence) {
            delivery.attempts = attempts;
        }
    }

    /// A delivery that is overdue and is not sent again waits once more, from now on.
    pub(super) fn waits_on(&mut self, sequence: Sequence, now: Duration, timeout: Duration) {
        let place = self.front + self.slots.len() as u64;
        if let Some(delivery) = self.get_mut(sequence) {
            delivery.state = DeliveryState::Sent { at: now, place };
        }
        self.look_at(now + timeout);
    }

    /// Nothing is due before this time, or before the one that was set earlier.
    fn look_at(&mut self, due: Duration) {
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.slots.iter().filter_map(|slot| slot.delivery.as_ref())
    }

    fn index(&self, sequence: Sequence) -> Option<usize> {
        // Mostly it is the front.
        if self.slots.front()?.sequence == sequence {
            return Some(0);
        }
        self.slots.binary_search_by_key(&sequence, |slot| slot.sequence).ok()
    }

    fn index_of(&self, place: u64) -> Option<usize> {
        usize::try_from(place.checked_sub(self.front)?).ok()
    }

    fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Delivery> {
        let index = self.index(sequence)?;
        self.slots.get_mut(index)?.delivery.as_mut()
    }

    /// An idle link should cost little, so what a burst took goes back; a dense stream would allocate it again and
    /// again, so a small rest stays.
    fn give_back_memory(&mut self) {
        const KEPT: usize = 128;
        if self.slots.capacity() > KEPT * 64 {
            self.slots.shrink_to(KEPT);
            self.places.shrink_to(KEPT, |_| 0);
            self.writing.shrink_to(KEPT);
        }
    }
}

fn delivery_at(slots: &VecDeque<Slot>, front: u64, place: u64) -> Option<&Delivery> {
    slots.get(usize::try_from(place.checked_sub(front)?).ok()?)?.delivery.as_ref()
}

#[cfg(test)]
mod tests;
