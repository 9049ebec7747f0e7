//! A peer's lane: what is on its way to one peer. Pure: no clock, no I/O, no tokio.
//!
//! While its link is up a lane is *live* (it is handed each delivery as it is committed) or *behind* (its deliveries
//! come in pages from the store until it has reached the head). A lane that cannot take what it is handed falls
//! behind: a slow peer costs disk, never memory.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slipstream_store::{ClusterGroup, Identity, MessageId, Operation, Page, PeerId, Pending, Sequence, Timestamp};

use super::window::{Flight, Window};

/// Most decisions that wait for the next commit. Beyond it the lane sends nothing until a commit has taken them.
pub(super) const MAX_DECIDED: usize = 65_536;

/// Most acknowledgements that are kept for deliveries which were not sent on this link yet.
const MAX_EARLY: usize = 4_096;

/// A committed message on its way to its recipients, shared by all of them.
#[derive(Debug)]
pub(crate) struct Forward {
    /// Its place in commit order.
    pub(crate) sequence: Sequence,
    /// What the peer's ACK will name.
    pub(crate) identity: Identity,
    /// When it loses its point.
    pub(crate) expires_at: Option<Timestamp>,
    /// The outgoing text.
    pub(crate) text: Bytes,
    /// When it was read from its sender, on the clock's own scale, where this process read it.
    pub(crate) read_at: Option<Duration>,
}

impl From<Pending> for Forward {
    fn from(pending: Pending) -> Self {
        let Pending { sequence, identity, expires_at, text, .. } = pending;
        Self { sequence, identity, expires_at, text, read_at: None }
    }
}

/// What a lane may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneLimits {
    /// Most deliveries in flight.
    pub(crate) window: usize,
    /// Most deliveries that wait in memory to be sent.
    pub(crate) queue_items: usize,
    /// Most bytes of them; one delivery may always wait.
    pub(crate) queue_bytes: usize,
    /// Most bytes that all lanes together hold before each keeps only its next delivery.
    pub(crate) total_bytes: usize,
}

/// What a lane asks of its surroundings after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// Something can be sent.
    pub(super) send: bool,
    /// A page of the store.
    pub(super) page: bool,
    /// A commit of what was decided.
    pub(super) commit: bool,
}

/// What became of an ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// It settles a delivery; with the time since the message was read from its sender, where that is known.
    Settled(Option<Duration>),
    /// Nothing of that id is in flight.
    NotInFlight,
}

#[derive(Default)]
pub(super) struct Lane {
    linked: bool,
    /// The largest announced message that the peer takes.
    max_message_bytes: Option<u64>,
    /// The last delivery that was queued on this link.
    through: Option<Sequence>,
    behind: bool,
    /// Counts what the lane was told of and did not queue, so that a page that was read before it is not taken for
    /// the head.
    skips: u64,
    queue: VecDeque<Arc<Forward>>,
    queue_bytes: usize,
    window: Window,
    /// Acknowledged on this link before they were sent on it: the peer got them on an earlier one.
    early: HashSet<(MessageId, Option<ClusterGroup>)>,
    decided: Vec<Operation>,
}

impl Lane {
    /// A link begins: everything that is still owed is sent again, oldest first.
    pub(super) fn link_up(&mut self, max_message_bytes: Option<u64>) -> Wanted {
        self.unlink();
        self.linked = true;
        self.behind = true;
        self.max_message_bytes = max_message_bytes;
        Wanted { page: true, ..Wanted::default() }
    }

    /// The link ended. What was decided still waits for its commit.
    pub(super) fn unlink(&mut self) {
        let decided = std::mem::take(&mut self.decided);
        *self = Self { decided, ..Self::default() };
    }

    pub(super) fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// Bytes that wait in memory to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// Hands over a delivery that was just committed.
    pub(super) fn offer(&mut self, forward: &Arc<Forward>, limits: &LaneLimits) -> Wanted {
        let known = self.through.is_some_and(|through| forward.sequence <= through);
        if !self.linked || known {
            return Wanted::default();
        }
        if !self.behind && !self.has_room(forward.text.len(), limits) {
            self.behind = true;
        }
        if self.behind {
            self.skips += 1;
            return self.wanted(limits);
        }
        self.queue_up(Arc::clone(forward));
        self.wanted(limits)
    }

    /// Something may have been committed for this peer that was never offered: read on from the store.
    pub(super) fn resync(&mut self, limits: &LaneLimits) -> Wanted {
        self.behind = self.linked;
        self.skips += 1;
        self.wanted(limits)
    }

    /// What the lane wants to read next from the store, if anything.
    pub(super) fn wants_page(&self, limits: &LaneLimits) -> Option<PageRequest> {
        let room = self.queue.len() * 2 <= limits.queue_items && self.queue_bytes * 2 <= limits.queue_bytes;
        let items = limits.queue_items;
        (self.linked && self.behind && room).then_some(PageRequest { after: self.through, items, skips: self.skips })
    }

    /// Takes in the page that [`wants_page`](Self::wants_page) asked for. Where it is the last one and nothing was
    /// skipped since it was asked for, the lane is live.
    pub(super) fn load(&mut self, request: PageRequest, page: Page<Pending>, limits: &LaneLimits) -> Wanted {
        for pending in page.items {
            self.queue_up(Arc::new(pending.into()));
        }
        self.behind = page.more || self.skips != request.skips;
        self.wanted(limits)
    }

    /// Takes the next delivery to send, which is in flight from now on. What must not be sent is settled instead.
    pub(super) fn next(&mut self, now: Timestamp, limits: &LaneLimits) -> Option<Next> {
        if self.window.len() >= limits.window || self.decided.len() >= MAX_DECIDED {
            return None;
        }
        let forward = self.queue.pop_front()?;
        self.queue_bytes -= forward.text.len();
        let sequence = forward.sequence;
        if self.was_acknowledged_early(&forward.identity) {
            return Some(Next::Settle(Settle::Acknowledge { sequence, at: now }));
        }
        if forward.expires_at.is_some_and(|expiry| expiry <= now) {
            return Some(Next::Settle(Settle::Expire { sequence, at: now }));
        }
        if self.max_message_bytes.is_some_and(|max| forward.text.len() as u64 > max) {
            return Some(Next::Settle(Settle::TooLarge { sequence, at: now }));
        }
        self.window.push(Flight { sequence, identity: forward.identity.clone(), read_at: forward.read_at });
        Some(Next::Send(forward))
    }

    /// The peer acknowledges.
    pub(super) fn acknowledge(
        &mut self,
        peer: &PeerId,
        id: &MessageId,
        group: Option<&ClusterGroup>,
        at: Timestamp,
    ) -> Acknowledged {
        if !self.linked {
            return Acknowledged::NotInFlight;
        }
        match self.window.settle(id, group) {
            Some(Flight { sequence, read_at, .. }) => {
                self.decided.push(Operation::Acknowledge { peer: peer.clone(), sequence, at });
                Acknowledged::Settled(read_at)
            }
            None => {
                let still_to_send = self.behind || !self.queue.is_empty();
                if still_to_send && self.early.len() < MAX_EARLY {
                    self.early.insert((id.clone(), group.cloned()));
                }
                Acknowledged::NotInFlight
            }
        }
    }

    /// Notes an operation for the next commit.
    pub(super) fn decide(&mut self, operation: Operation) {
        self.decided.push(operation);
    }

    /// Moves what was decided to `operations`.
    pub(super) fn take_decided(&mut self, operations: &mut Vec<Operation>) {
        operations.append(&mut self.decided);
    }

    pub(super) fn wanted(&self, limits: &LaneLimits) -> Wanted {
        Wanted {
            send: !self.queue.is_empty() && self.window.len() < limits.window && self.decided.len() < MAX_DECIDED,
            page: self.wants_page(limits).is_some(),
            commit: !self.decided.is_empty(),
        }
    }

    fn has_room(&self, bytes: usize, limits: &LaneLimits) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < limits.queue_items && self.queue_bytes + bytes <= limits.queue_bytes)
    }

    fn queue_up(&mut self, forward: Arc<Forward>) {
        self.through = Some(forward.sequence);
        self.queue_bytes += forward.text.len();
        self.queue.push_back(forward);
    }

    fn was_acknowledged_early(&mut self, identity: &Identity) -> bool {
        if self.early.is_empty() {
            return false;
        }
        let was = self.early.remove(&(identity.id.clone(), Some(identity.group.clone())))
            || self.early.remove(&(identity.id.clone(), None));
        if !self.behind && self.queue.is_empty() {
            self.early = HashSet::new();
        }
        was
    }
}

/// A wish for a page, as of the moment when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// Where the page starts, exclusive.
    pub(super) after: Option<Sequence>,
    /// Most items that the lane takes.
    pub(super) items: usize,
    skips: u64,
}

/// What to do with the next delivery.
#[derive(Debug)]
pub(super) enum Next {
    /// Send it.
    Send(Arc<Forward>),
    /// Do not send it: it is settled.
    Settle(Settle),
}

/// How a delivery is settled without being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settle {
    Acknowledge { sequence: Sequence, at: Timestamp },
    Expire { sequence: Sequence, at: Timestamp },
    TooLarge { sequence: Sequence, at: Timestamp },
}

#[cfg(test)]
mod tests;
