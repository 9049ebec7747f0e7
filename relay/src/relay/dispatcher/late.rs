//! Acknowledgements of what is not in flight, which may be of dead letters: a peer that was given up may have handled
//! its delivery after all. Pure.
//!
//! Most of them are repetitions, and say nothing new. So they are gathered, and the dead letters of the peer are read
//! in pages, with pauses: that costs a peer without dead letters next to nothing, and others little.

use std::collections::HashSet;
use std::time::Duration;

use slipstream_store::{ClusterGroup, DeadLetter, DeadLetterCursor, Identity, MessageId, Page};

use super::decided::Decided;
use crate::clock::Moment;

/// Most acknowledgements that wait to be looked up. Further ones are ignored.
const MAX_LATE: usize = 4_096;

/// The pause between two readings of all dead letters.
const PAUSE: Duration = Duration::from_secs(1);

/// The pause between two pages.
const PAGE_PAUSE: Duration = Duration::from_millis(10);

/// What an ACK named: a message id, and its cluster group if it named one.
type Named = (MessageId, Option<ClusterGroup>);

/// The acknowledgements of one peer that are to be looked up among its dead letters.
#[derive(Debug, Default)]
pub(super) struct LateAcks {
    /// Those of the next reading.
    waiting: HashSet<Named>,
    /// Those of the reading that has begun.
    sought: HashSet<Named>,
    /// Where that reading goes on.
    after: Option<DeadLetterCursor>,
    /// Nothing is read before, on the clock's own scale.
    not_before: Duration,
}

impl LateAcks {
    pub(super) fn note(&mut self, id: &MessageId, group: Option<&ClusterGroup>) {
        if self.waiting.len() < MAX_LATE {
            self.waiting.insert((id.clone(), group.cloned()));
        }
    }

    /// When a page of dead letters is wanted next, if any is.
    pub(super) fn wakes_at(&self) -> Option<Duration> {
        (!self.waiting.is_empty() || !self.sought.is_empty()).then_some(self.not_before)
    }

    /// After which dead letter a page is wanted now.
    pub(super) fn wants_page(&mut self, now: Duration) -> Option<Option<DeadLetterCursor>> {
        if self.wakes_at().is_none_or(|at| at > now) {
            return None;
        }
        if self.sought.is_empty() {
            self.sought = std::mem::take(&mut self.waiting);
        }
        Some(self.after.clone())
    }

    /// Takes in that page, and settles what was acknowledged.
    pub(super) fn load(&mut self, page: Page<DeadLetter>, decided: &mut Decided, now: Moment) {
        self.after = None;
        for dead in page.items {
            if self.remove(&dead.identity) {
                decided.acknowledge(dead.sequence, now.time);
            }
            self.after = Some(DeadLetterCursor { sequence: dead.sequence, peer: dead.peer });
        }
        if page.more && !self.sought.is_empty() {
            self.not_before = now.elapsed + PAGE_PAUSE;
        } else {
            self.sought = HashSet::new();
            self.after = None;
            self.not_before = now.elapsed + PAUSE;
        }
    }

    fn remove(&mut self, identity: &Identity) -> bool {
        let Identity { group, id } = identity;
        self.sought.remove(&(id.clone(), Some(group.clone()))) || self.sought.remove(&(id.clone(), None))
    }
}

#[cfg(test)]
mod tests {
    use slipstream_store::{DeadLetterReason, PeerId, Sequence, Timestamp};

    use super::*;

    fn dead(number: u64) -> DeadLetter {
        DeadLetter {
            sequence: Sequence::new(number).unwrap(),
            peer: PeerId::new("p").unwrap(),
            identity: Identity { group: ClusterGroup::singleton(), id: id(number) },
            message_type: slipstream_store::MessageType::new("SK").unwrap(),
            key: None,
            reason: DeadLetterReason::Unacknowledged,
            attempts: 3,
            dead_at: Timestamp::ZERO,
            text: bytes::Bytes::new(),
        }
    }

    fn id(number: u64) -> MessageId {
        MessageId::new(format!("m{number}")).unwrap()
    }

    fn at(millis: u64) -> Moment {
        let time = Timestamp::from_millis(millis);
        Moment { time, wall: time, elapsed: Duration::from_millis(millis) }
    }

    #[test]
    fn dead_letters_that_were_acknowledged_are_found_page_by_page() {
        let mut late = LateAcks::default();
        let mut decided = Decided::new(PeerId::new("p").unwrap());
        assert_eq!(late.wakes_at(), None);
        late.note(&id(2), None);
        late.note(&id(3), Some(&ClusterGroup::new("other").unwrap()));
        late.note(&id(9), Some(&ClusterGroup::singleton()));
        assert_eq!(late.wants_page(at(0).elapsed), Some(None));
        late.load(Page { items: vec![dead(1), dead(2), dead(3)], more: true }, &mut decided, at(0));
        assert_eq!(late.wants_page(at(1).elapsed), None, "it pauses");
        let after = late.wants_page(at(10).elapsed).flatten().map(|cursor| cursor.sequence);
        assert_eq!(after, Sequence::new(3));
        // This one comes too late for the reading.
        late.note(&id(1), None);
        late.load(Page { items: vec![dead(9)], more: false }, &mut decided, at(10));
        let mut operations = Vec::new();
        decided.take(&mut operations, usize::MAX);
        assert_eq!(operations.len(), 2);
        assert_eq!(late.wakes_at(), Some(at(1_010).elapsed));
        assert_eq!(late.wants_page(at(1_010).elapsed), Some(None));
        late.load(Page { items: vec![dead(1)], more: false }, &mut decided, at(1_010));
        assert_eq!(late.wakes_at(), None);
        decided.take(&mut operations, usize::MAX);
        assert_eq!(operations.len(), 3);
    }

    #[test]
    fn they_are_bounded() {
        let mut late = LateAcks::default();
        for number in 0..2 * MAX_LATE as u64 {
            late.note(&id(number), None);
        }
        assert_eq!(late.waiting.len(), MAX_LATE);
    }
}
