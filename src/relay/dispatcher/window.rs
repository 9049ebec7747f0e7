//! The deliveries in flight on a link: sent and not settled. Pure: no clock, no I/O, no tokio.

use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::ops::Bound;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use slipstream_store::{ClusterGroup, Identity, Key, MessageId, Sequence};

/// A delivery in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    /// Which delivery of the peer.
    pub(super) sequence: Sequence,
    /// What the peer's ACK will name.
    pub(super) identity: Identity,
    /// The key whose value the message sets, if it sets one.
    pub(super) sets: Option<Key>,
    /// When the message was read from its sender, on the clock's own scale, where this process read it.
    pub(super) read_at: Option<Duration>,
    /// How often it was republished, on this link and before.
    pub(super) attempts: u32,
    pub(super) state: FlightState,
}

/// What a flight waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlightState {
    /// The peer's answer, until then.
    Sent {
        /// When it is republished or given up, on the clock's own scale.
        due: Duration,
    },
    /// Being sent again.
    Again {
        /// Whether sending it again is a republish, which spends an attempt.
        spends: bool,
    },
}

/// The place of a flight, which outlives it until it comes to the front.
#[derive(Debug)]
struct Slot {
    sequence: Sequence,
    flight: Option<Flight>,
}

/// The flights of one link in the order of sending, which is that of their sequences, found by the message id that
/// an ACK names.
///
/// Peers mostly acknowledge in order, so the settled ones mostly leave at the front.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    /// The place of the front, counted over the life of the window.
    front: u64,
    /// The places of the flights, by message id.
    places: HashTable<u64>,
    hasher: DefaultHashBuilder,
    /// The flights that are to be read from the store, to be sent again.
    unread: BTreeSet<Sequence>,
    /// No flight is due before.
    due: Option<Duration>,
}

impl Window {
    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes in what was just sent, newer than all before.
    pub(super) fn push(&mut self, flight: Flight) {
        self.note_due(flight.state);
        let Self { slots, front, places, hasher, .. } = self;
        let place = *front + slots.len() as u64;
        places.insert_unique(hasher.hash_one(&flight.identity.id), place, |place| {
            flight_at(slots, *front, *place).map_or(0, |flight| hasher.hash_one(&flight.identity.id))
        });
        slots.push_back(Slot { sequence: flight.sequence, flight: Some(flight) });
    }

    /// The flight that an answer names: of that group, or without a group the one that was sent first.
    pub(super) fn named(&self, id: &MessageId, group: Option<&ClusterGroup>) -> Option<Sequence> {
        let meant =
            |flight: &Flight| flight.identity.id == *id && group.is_none_or(|group| flight.identity.group == *group);
        let places = self.places.iter_hash(self.hasher.hash_one(id)).copied();
        let place = places.filter(|place| flight_at(&self.slots, self.front, *place).is_some_and(meant)).min()?;
        flight_at(&self.slots, self.front, place).map(|flight| flight.sequence)
    }

    /// The flight of this sequence.
    pub(super) fn get(&self, sequence: Sequence) -> Option<&Flight> {
        self.slots.get(self.index(sequence)?)?.flight.as_ref()
    }

    /// Ends a flight.
    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Flight> {
        let index = self.index(sequence)?;
        let flight = self.slots.get_mut(index)?.flight.take()?;
        let place = self.front + index as u64;
        if let Ok(entry) = self.places.find_entry(self.hasher.hash_one(&flight.identity.id), |at| *at == place) {
            entry.remove();
        }
        self.unread.remove(&sequence);
        while self.slots.front().is_some_and(|slot| slot.flight.is_none()) {
            self.slots.pop_front();
            self.front += 1;
        }
        if self.slots.is_empty() {
            self.give_back_memory();
        }
        Some(flight)
    }

    /// Adds the flights before `sequence` that set this key to `found`.
    pub(super) fn older(&self, sequence: Sequence, key: &Key, found: &mut Vec<Sequence>) {
        // An acknowledgement in order leaves nothing older, so mostly this looks at one slot.
        let older = self.slots.iter().take_while(|slot| slot.sequence < sequence);
        let same = older.filter_map(|slot| slot.flight.as_ref()).filter(|flight| flight.sets.as_ref() == Some(key));
        found.extend(same.map(|flight| flight.sequence));
    }

    /// When a flight may be due next, if any waits.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// The flights that are due by `now`. Further ones are looked for after `pause` at the earliest.
    pub(super) fn overdue(&mut self, now: Duration, pause: Duration) -> Vec<Sequence> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let (mut overdue, mut next) = (Vec::new(), None::<Duration>);
        for flight in self.slots.iter().filter_map(|slot| slot.flight.as_ref()) {
            match flight.state {
                FlightState::Sent { due } if due <= now => overdue.push(flight.sequence),
                FlightState::Sent { due } => next = Some(next.map_or(due, |next| next.min(due))),
                FlightState::Again { .. } => {}
            }
        }
        self.due = next.map(|next| next.max(now + pause));
        overdue
    }

    /// A flight is to be sent again.
    pub(super) fn send_again(&mut self, sequence: Sequence, spends: bool) {
        if let Some(flight) = self.get_mut(sequence) {
            flight.state = FlightState::Again { spends };
            self.unread.insert(sequence);
        }
    }

    /// A flight that is to be sent again, and was read, is to be read once more.
    pub(super) fn read_again(&mut self, sequence: Sequence) {
        self.unread.insert(sequence);
    }

    /// The first flight that is to be read from the store.
    pub(super) fn first_unread(&self) -> Option<Sequence> {
        self.unread.first().copied()
    }

    /// Whether this flight is to be read from the store; from now on it is not.
    pub(super) fn was_read(&mut self, sequence: Sequence) -> bool {
        self.unread.remove(&sequence)
    }

    /// The flights after one and up to another that are to be read from the store.
    pub(super) fn unread(&self, after: Option<Sequence>, through: Sequence) -> impl Iterator<Item = Sequence> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.unread.range((after, Bound::Included(through))).copied()
    }

    /// A flight was sent again.
    pub(super) fn resent(&mut self, sequence: Sequence, attempts: u32, due: Duration) {
        let state = FlightState::Sent { due };
        if let Some(flight) = self.get_mut(sequence) {
            flight.attempts = attempts;
            flight.state = state;
        }
        self.note_due(state);
    }

    fn note_due(&mut self, state: FlightState) {
        if let FlightState::Sent { due } = state {
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    fn index(&self, sequence: Sequence) -> Option<usize> {
        // Mostly it is the front.
        if self.slots.front()?.sequence == sequence {
            return Some(0);
        }
        self.slots.binary_search_by_key(&sequence, |slot| slot.sequence).ok()
    }

    fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Flight> {
        let index = self.index(sequence)?;
        self.slots.get_mut(index)?.flight.as_mut()
    }

    /// An idle link should cost little, so what a burst took goes back; a dense stream would allocate it again and
    /// again, so a small rest stays.
    fn give_back_memory(&mut self) {
        const KEPT: usize = 128;
        if self.slots.capacity() > KEPT * 64 {
            self.slots.shrink_to(KEPT);
            self.places.shrink_to(KEPT, |_| 0);
        }
    }
}

fn flight_at(slots: &VecDeque<Slot>, front: u64, place: u64) -> Option<&Flight> {
    slots.get(usize::try_from(place.checked_sub(front)?).ok()?)?.flight.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).unwrap()
    }

    fn flight(number: u64, group: &str, id: &str) -> Flight {
        let identity = Identity { group: ClusterGroup::new(group).unwrap(), id: MessageId::new(id).unwrap() };
        let state = FlightState::Sent { due: SECOND };
        Flight { sequence: sequence(number), identity, sets: None, read_at: None, attempts: 0, state }
    }

    fn settle(window: &mut Window, id: &str, group: Option<&str>) -> Option<u64> {
        let group = group.map(|group| ClusterGroup::new(group).unwrap());
        let named = window.named(&MessageId::new(id).unwrap(), group.as_ref())?;
        window.remove(named).map(|flight| flight.sequence.get())
    }

    #[test]
    fn an_ack_without_a_group_settles_the_one_sent_first() {
        let mut window = Window::default();
        for (sequence, group) in [(1, "a"), (2, "b"), (3, "c")] {
            window.push(flight(sequence, group, "m"));
        }
        assert_eq!(settle(&mut window, "m", Some("b")), Some(2));
        assert_eq!(settle(&mut window, "m", None), Some(1));
        assert_eq!(settle(&mut window, "m", None), Some(3));
        assert_eq!(settle(&mut window, "m", None), None);
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn acks_in_any_order_find_their_flight_while_more_is_sent() {
        let mut window = Window::default();
        let mut owed = std::collections::BTreeSet::new();
        for sequence in 1..=5000_u64 {
            window.push(flight(sequence, "g", &format!("m{sequence}")));
            owed.insert(sequence);
            // A fixed walk through early, late and middle ones.
            if sequence % 3 != 0 {
                let nth = usize::try_from(sequence * 7919).unwrap() % owed.len();
                let settled = *owed.iter().nth(nth).unwrap();
                assert_eq!(settle(&mut window, &format!("m{settled}"), Some("g")), Some(settled));
                assert_eq!(settle(&mut window, &format!("m{settled}"), None), None, "settled twice");
                owed.remove(&settled);
            }
            assert_eq!(window.len(), owed.len());
        }
        for sequence in owed {
            assert_eq!(settle(&mut window, &format!("m{sequence}"), None), Some(sequence));
        }
        assert_eq!(window.slots.len(), 0);
    }

    #[test]
    fn older_flights_of_the_same_key_are_found() {
        let mut window = Window::default();
        let key = Key::new("k").unwrap();
        for (number, sets) in [(1, "k"), (2, "other"), (3, ""), (4, "k"), (5, "k"), (6, "k")] {
            let sets = (!sets.is_empty()).then(|| Key::new(sets).unwrap());
            window.push(Flight { sets, ..flight(number, "g", &format!("m{number}")) });
        }
        window.remove(sequence(4));
        let mut older = Vec::new();
        window.older(sequence(5), &key, &mut older);
        assert_eq!(older, [sequence(1)]);
    }

    #[test]
    fn what_is_due_is_found_once_and_what_is_sent_again_has_a_new_time() {
        let mut window = Window::default();
        assert_eq!(window.due(), None);
        for number in 1..=3 {
            let state = FlightState::Sent { due: SECOND * u32::try_from(number).unwrap() };
            window.push(Flight { state, ..flight(number, "g", &format!("m{number}")) });
        }
        assert_eq!(window.due(), Some(SECOND));
        assert_eq!(window.overdue(SECOND / 2, SECOND), []);
        assert_eq!(window.overdue(2 * SECOND, SECOND / 2), [sequence(1), sequence(2)]);
        assert_eq!(window.due(), Some(3 * SECOND));
        for number in [1, 2] {
            window.send_again(sequence(number), true);
        }
        assert_eq!(window.first_unread(), Some(sequence(1)));
        assert!(window.was_read(sequence(1)) && !window.was_read(sequence(1)) && !window.was_read(sequence(3)));
        window.resent(sequence(1), 1, 10 * SECOND);
        assert_eq!(window.overdue(3 * SECOND, SECOND), [sequence(3)]);
        window.send_again(sequence(3), true);
        assert!(window.unread(None, sequence(2)).eq([sequence(2)]));
        assert!(window.unread(Some(sequence(2)), Sequence::LAST).eq([sequence(3)]));
        window.remove(sequence(2));
        assert_eq!(window.first_unread(), Some(sequence(3)));
        assert_eq!(window.due(), Some(10 * SECOND));
        window.remove(sequence(3));
        assert_eq!(window.first_unread(), None);
    }
}
