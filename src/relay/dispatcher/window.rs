//! The deliveries in flight on a link: sent and not settled. Pure: no clock, no I/O, no tokio.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use slipstream_store::{ClusterGroup, Identity, MessageId, Sequence};

/// A delivery in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    /// Which delivery of the peer.
    pub(super) sequence: Sequence,
    /// What the peer's ACK will name.
    pub(super) identity: Identity,
    /// When the message was read from its sender, on the clock's own scale, where this process read it.
    pub(super) read_at: Option<Duration>,
}

/// The flights of one link in the order of sending, found by the message id that an ACK names.
///
/// Peers mostly acknowledge in order, so the settled ones mostly leave at the front.
#[derive(Default)]
pub(super) struct Window {
    /// In the order of sending; `None` where it was settled before an older one.
    flights: VecDeque<Option<Flight>>,
    /// The place of the front, counted over the life of the window.
    front: u64,
    /// The places of the flights, by message id.
    places: HashTable<u64>,
    hasher: DefaultHashBuilder,
}

impl Window {
    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes in what was just sent.
    pub(super) fn push(&mut self, flight: Flight) {
        let Self { flights, front, places, hasher } = self;
        let place = *front + flights.len() as u64;
        places.insert_unique(hasher.hash_one(&flight.identity.id), place, |place| {
            flight_at(flights, *front, *place).map_or(0, |flight| hasher.hash_one(&flight.identity.id))
        });
        flights.push_back(Some(flight));
    }

    /// Settles the flight that an ACK names: of that group, or without a group the one that was sent first.
    pub(super) fn settle(&mut self, id: &MessageId, group: Option<&ClusterGroup>) -> Option<Flight> {
        let hash = self.hasher.hash_one(id);
        let meant =
            |flight: &Flight| flight.identity.id == *id && group.is_none_or(|group| flight.identity.group == *group);
        let place = self
            .places
            .iter_hash(hash)
            .copied()
            .filter(|place| flight_at(&self.flights, self.front, *place).is_some_and(meant))
            .min()?;
        if let Ok(entry) = self.places.find_entry(hash, |candidate| *candidate == place) {
            entry.remove();
        }
        let flight = usize::try_from(place - self.front).ok().and_then(|index| self.flights.get_mut(index)?.take());
        while matches!(self.flights.front(), Some(None)) {
            self.flights.pop_front();
            self.front += 1;
        }
        if self.flights.is_empty() {
            self.give_back_memory();
        }
        flight
    }

    /// An idle link should cost little, so what a burst took goes back; a dense stream would allocate it again and
    /// again, so a small rest stays.
    fn give_back_memory(&mut self) {
        const KEPT: usize = 128;
        if self.flights.capacity() > KEPT * 64 {
            self.flights.shrink_to(KEPT);
            self.places.shrink_to(KEPT, |_| 0);
        }
    }
}

fn flight_at(flights: &VecDeque<Option<Flight>>, front: u64, place: u64) -> Option<&Flight> {
    flights.get(usize::try_from(place.checked_sub(front)?).ok()?)?.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(sequence: u64, group: &str, id: &str) -> Flight {
        let identity = Identity { group: ClusterGroup::new(group).unwrap(), id: MessageId::new(id).unwrap() };
        Flight { sequence: Sequence::new(sequence).unwrap(), identity, read_at: None }
    }

    fn settle(window: &mut Window, id: &str, group: Option<&str>) -> Option<u64> {
        let group = group.map(|group| ClusterGroup::new(group).unwrap());
        window.settle(&MessageId::new(id).unwrap(), group.as_ref()).map(|flight| flight.sequence.get())
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
        assert_eq!(window.flights.len(), 0);
    }
}
