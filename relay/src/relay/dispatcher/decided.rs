//! What a lane decided about its deliveries, on its way to the next commit. Pure.

use std::collections::{BTreeSet, VecDeque};

use slipstream_store::{DeadLetterReason, Operation, PeerId, Sequence, Timestamp};

/// Most decisions that wait for the next commit. Beyond it the lane sends nothing until a commit has taken them.
pub(super) const MAX_DECIDED: usize = 65_536;

/// The room that stays with a lane between commits.
const KEPT_ROOM: usize = 1_024;

/// The decisions about one peer's deliveries, in the order of their making.
#[derive(Debug)]
pub(super) struct Decided {
    peer: PeerId,
    waiting: Vec<Decision>,
    /// Those that were taken for a commit which has not ended: the deliveries that they settle, if they do.
    committing: VecDeque<Option<Sequence>>,
}

/// One decision. It is kept small, because many wait where many peers acknowledge during a commit.
#[derive(Debug)]
struct Decision {
    sequence: Sequence,
    at: Timestamp,
    end: End,
}

#[derive(Debug)]
enum End {
    Acknowledged,
    Superseded,
    Expired,
    /// None yet: it was republished, for the time with this number.
    Republished(u32),
    GivenUp(Box<(DeadLetterReason, u32)>),
}

impl Decided {
    pub(super) fn new(peer: PeerId) -> Self {
        Self { peer, waiting: Vec::new(), committing: VecDeque::new() }
    }

    pub(super) fn acknowledge(&mut self, sequence: Sequence, at: Timestamp) {
        self.waiting.push(Decision { sequence, at, end: End::Acknowledged });
    }

    pub(super) fn supersede(&mut self, sequence: Sequence, at: Timestamp) {
        self.waiting.push(Decision { sequence, at, end: End::Superseded });
    }

    pub(super) fn expire(&mut self, sequence: Sequence, at: Timestamp) {
        self.waiting.push(Decision { sequence, at, end: End::Expired });
    }

    pub(super) fn attempt(&mut self, sequence: Sequence, number: u32, at: Timestamp) {
        self.waiting.push(Decision { sequence, at, end: End::Republished(number) });
    }

    pub(super) fn give_up(&mut self, sequence: Sequence, reason: DeadLetterReason, attempts: u32, at: Timestamp) {
        self.waiting.push(Decision { sequence, at, end: End::GivenUp(Box::new((reason, attempts))) });
    }

    /// Whether there is something to commit.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether no more is to be decided before a commit.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_DECIDED
    }

    /// Whether the store knows all that was decided.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.committing.is_empty()
    }

    /// The deliveries that are settled, while the store does not know it yet.
    pub(super) fn settled(&self) -> BTreeSet<Sequence> {
        let waiting = self.waiting.iter().filter_map(Decision::settles);
        self.committing.iter().copied().flatten().chain(waiting).collect()
    }

    /// Moves what waits, the oldest `most` of it, to `operations`.
    pub(super) fn take(&mut self, operations: &mut Vec<Operation>, most: usize) {
        let taken = self.waiting.len().min(most);
        self.committing.extend(self.waiting[..taken].iter().map(Decision::settles));
        let peer = &self.peer;
        operations.extend(self.waiting.drain(..taken).map(|decision| decision.into_operation(peer.clone())));
        self.waiting.shrink_to(KEPT_ROOM);
    }

    /// The commit of this many has ended.
    pub(super) fn committed(&mut self, operations: usize) {
        self.committing.drain(..operations.min(self.committing.len()));
        self.committing.shrink_to(KEPT_ROOM);
    }
}

impl Decision {
    /// The delivery that it settles, if it does.
    fn settles(&self) -> Option<Sequence> {
        (!matches!(self.end, End::Republished(_))).then_some(self.sequence)
    }

    fn into_operation(self, peer: PeerId) -> Operation {
        let Self { sequence, at, end } = self;
        match end {
            End::Acknowledged => Operation::Acknowledge { peer, sequence, at },
            End::Superseded => Operation::Supersede { peer, sequence, at },
            End::Expired => Operation::Expire { peer, sequence, at },
            End::Republished(number) => Operation::Attempt { peer, sequence, number, at },
            End::GivenUp(given_up) => {
                let (reason, attempts) = *given_up;
                Operation::DeadLetter { peer, sequence, reason, attempts, at }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_and_what_is_committed_is_small() {
        assert!(size_of::<Decision>() <= 32, "{}", size_of::<Decision>());
        assert!(size_of::<Operation>() <= 80, "{}", size_of::<Operation>());
    }

    #[test]
    fn a_burst_leaves_no_room_behind() {
        let mut decided = Decided::new(PeerId::new("p").unwrap());
        for number in 1..=10_000 {
            decided.acknowledge(Sequence::new(number).unwrap(), Timestamp::ZERO);
        }
        let mut operations = Vec::new();
        decided.take(&mut operations, 4_000);
        assert!(operations.len() == 4_000 && decided.is_waiting());
        decided.take(&mut operations, usize::MAX);
        assert_eq!((operations.len(), decided.is_settled()), (10_000, false));
        assert!(operations.is_sorted_by_key(|operation| match operation {
            Operation::Acknowledge { sequence, .. } => *sequence,
            other => panic!("{other:?}"),
        }));
        assert!(decided.waiting.capacity() <= KEPT_ROOM);
        decided.committed(10_000);
        assert!(decided.is_settled());
    }
}
