//! What a lane decided about its deliveries, on its way to the next commit. Pure.

use slipstream_store::{Operation, PeerId, Sequence, Timestamp};

/// Most decisions that wait for the next commit. Beyond it the lane sends nothing until a commit has taken them.
pub(super) const MAX_DECIDED: usize = 65_536;

/// The decisions about one peer's deliveries, in the order of their making.
#[derive(Debug)]
pub(super) struct Decided {
    peer: PeerId,
    operations: Vec<Operation>,
    /// How many were taken for a commit that has not ended.
    committing: usize,
}

impl Decided {
    pub(super) fn new(peer: PeerId) -> Self {
        Self { peer, operations: Vec::new(), committing: 0 }
    }

    pub(super) fn acknowledge(&mut self, sequence: Sequence, at: Timestamp) {
        self.operations.push(Operation::Acknowledge { peer: self.peer.clone(), sequence, at });
    }

    pub(super) fn supersede(&mut self, sequence: Sequence, at: Timestamp) {
        self.operations.push(Operation::Supersede { peer: self.peer.clone(), sequence, at });
    }

    pub(super) fn expire(&mut self, sequence: Sequence, at: Timestamp) {
        self.operations.push(Operation::Expire { peer: self.peer.clone(), sequence, at });
    }

    pub(super) fn attempt(&mut self, sequence: Sequence, number: u32, at: Timestamp) {
        self.operations.push(Operation::Attempt { peer: self.peer.clone(), sequence, number, at });
    }

    pub(super) fn give_up(&mut self, sequence: Sequence, reason: String, attempts: u32, at: Timestamp) {
        self.operations.push(Operation::DeadLetter { peer: self.peer.clone(), sequence, reason, attempts, at });
    }

    /// Whether there is something to commit.
    pub(super) fn is_waiting(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Whether no more is to be decided before a commit.
    pub(super) fn is_full(&self) -> bool {
        self.operations.len() >= MAX_DECIDED
    }

    /// Whether the store knows all that was decided.
    pub(super) fn is_settled(&self) -> bool {
        self.operations.is_empty() && self.committing == 0
    }

    /// Moves what waits to `operations`.
    pub(super) fn take(&mut self, operations: &mut Vec<Operation>) {
        self.committing += self.operations.len();
        operations.append(&mut self.operations);
    }

    /// The commit of this many has ended.
    pub(super) fn committed(&mut self, operations: usize) {
        self.committing = self.committing.saturating_sub(operations);
    }
}
