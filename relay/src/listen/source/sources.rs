//! The places of each address.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use parking_lot::Mutex;

use super::address::Source;
use super::places::{Places, Queued, Slot};

/// The addresses that have connections. It is no larger than the number of connections, which is limited too.
#[derive(Debug)]
pub(in crate::listen) struct Sources {
    most: usize,
    beyond: usize,
    visited: Mutex<HashMap<Source, Visited>>,
}

#[derive(Debug)]
struct Visited {
    places: Arc<Places>,
    connections: usize,
}

/// A connection, as one of those of its address.
#[derive(Debug)]
pub(in crate::listen) struct Visit {
    sources: Arc<Sources>,
    source: Source,
    places: Arc<Places>,
    slot: Option<Slot>,
}

impl Sources {
    /// Each address has so many connections, and so many more until they were told that it has too many.
    pub(in crate::listen) fn new(most: NonZeroUsize, beyond: usize) -> Self {
        Self { most: most.get(), beyond, visited: Mutex::default() }
    }

    /// Counts a connection, if there is room for it.
    pub(in crate::listen) fn visit(self: &Arc<Self>, source: Source) -> Option<Visit> {
        let mut visited = self.visited.lock();
        let fresh = || Visited { places: Arc::new(Places::new(self.most, self.beyond)), connections: 0 };
        // An address that is new has room, so none stays here without a connection.
        let of_source = visited.entry(source).or_insert_with(fresh);
        let slot = of_source.places.take()?;
        of_source.connections += 1;
        let places = Arc::clone(&of_source.places);
        Some(Visit { sources: Arc::clone(self), source, places, slot: Some(slot) })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.visited.lock().len()
    }
}

impl Visit {
    /// Where it comes from.
    pub(in crate::listen) fn source(&self) -> Source {
        self.source
    }

    /// The queue for a place, if there was none left.
    pub(in crate::listen) fn queue(&self) -> Option<Queued> {
        self.slot.as_ref().filter(|slot| slot.is_beyond()).map(|_| self.places.queue())
    }

    /// Gives up the place beyond all others, if it has one.
    pub(in crate::listen) fn settle(&mut self) {
        self.slot.take_if(|slot| slot.is_beyond());
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut visited = self.sources.visited.lock();
        self.slot = None;
        if let Some(of_source) = visited.get_mut(&self.source) {
            of_source.connections -= 1;
            if of_source.connections == 0 {
                visited.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_address_has_its_own_places_and_is_forgotten_with_its_last_connection() {
        let sources = Arc::new(Sources::new(NonZeroUsize::MIN.saturating_add(1), 1));
        let source = |last| Source::of(Ipv4Addr::new(192, 0, 2, last).into());
        let mut visits: Vec<_> = (0..3).map(|_| sources.visit(source(1)).expect("room")).collect();
        let beyond: Vec<_> = visits.iter().map(|visit| visit.queue().is_some()).collect();
        assert_eq!(beyond, [false, false, true]);
        assert!(sources.visit(source(1)).is_none());
        let other = sources.visit(source(2)).expect("another address has room");
        assert_eq!(sources.len(), 2);
        drop(visits.remove(0));
        assert!(sources.visit(source(1)).is_some_and(|visit| visit.queue().is_none()), "a place is free again");
        drop(visits);
        assert_eq!(sources.len(), 1);
        drop(other);
        assert_eq!(sources.len(), 0);
    }
}
