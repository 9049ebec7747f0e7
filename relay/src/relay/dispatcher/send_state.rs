//! What is on its way to one peer, from link to link. Pure: no clock, no I/O, no tokio.
//!
//! While its link is up a lane is *live* (it is handed each delivery as it is committed) or *behind* (its deliveries
//! come in pages from the store until it has reached the head). A lane that cannot take what it is handed falls
//! behind: a slow peer costs disk, never memory. What is sent again is read from the store again, for the same reason.

use std::time::Duration;

use slipstream_store::{DeadLetter, DeadLetterCursor, DeadLetterReason, Page, PeerId, Sequence};

use super::decided::Decided;
use super::late::LateAcks;
use super::link_state::{LinkState, PageRequest};
use super::poison::Suspicion;
use super::terms::{LaneLimits, LinkEnd, LinkTerms};
use crate::clock::Moment;

/// What is on its way to one peer.
#[derive(Debug)]
pub(super) struct SendState {
    pub(super) decided: Decided,
    /// What is on its way over the link. Without a link nothing is.
    pub(super) link: LinkState,
    /// The page that is being read for this link.
    pub(super) asked: Option<PageRequest>,
    pub(super) late: Option<Box<LateAcks>>,
    /// Whether nothing is sent because an operator wants so. What is in flight may be answered, and is not overdue.
    pub(super) paused: bool,
    /// The last of its oldest deliveries that were given up.
    given_up: Option<Sequence>,
    suspicion: Option<Box<Suspicion>>,
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

impl SendState {
    pub(super) fn new(peer: PeerId) -> Self {
        Self {
            decided: Decided::new(peer),
            link: LinkState::default(),
            asked: None,
            late: None,
            paused: false,
            given_up: None,
            suspicion: None,
        }
    }

    /// A link begins, or begins anew: everything that is still owed is sent again, oldest first.
    pub(super) fn link_up(&mut self, terms: LinkTerms, now: Moment, limits: &LaneLimits) {
        let hold_back = self.suspicion.as_ref().and_then(|suspicion| suspicion.next_link(limits.window()));
        self.link = LinkState::new(terms, self.decided.settled(), hold_back, now.elapsed);
        self.asked = None;
    }

    /// The link ended. What was decided still waits for its commit.
    pub(super) fn unlink(&mut self, end: LinkEnd, now: Moment) {
        if end == LinkEnd::TooLarge
            && let Some(largest) = self.link.in_flight.largest().map(|delivery| delivery.sequence)
        {
            self.give_up_at_end(largest, DeadLetterReason::TooLarge, now);
            self.link.has_settled = true;
        }
        let loss = self.link.lost(now.elapsed);
        let suspicion = self.suspicion.get_or_insert_default();
        if let Some(poison) = suspicion.lost(loss, |sequence| self.link.may_be_owed(sequence)) {
            self.give_up_at_end(poison, DeadLetterReason::Poison, now);
        }
        self.link = LinkState::default();
    }

    fn give_up_at_end(&mut self, sequence: Sequence, reason: DeadLetterReason, now: Moment) {
        let attempts = self.link.end(sequence, now.elapsed).map_or(0, |delivery| delivery.attempts);
        self.decided.give_up(sequence, reason, attempts, now.time);
    }

    /// After which dead letter of the peer a page is wanted now, to find those that it has acknowledged after all.
    pub(super) fn wants_dead_letters(&mut self, now: Duration) -> Option<Option<DeadLetterCursor>> {
        // One that was given up just now is to be found, too.
        if !self.decided.is_settled() {
            return None;
        }
        self.late.as_mut()?.wants_page(now)
    }

    /// Takes in the page that [`wants_dead_letters`](Self::wants_dead_letters) asked for.
    pub(super) fn load_dead_letters(&mut self, page: Page<DeadLetter>, now: Moment) {
        if let Some(late) = &mut self.late {
            late.load(page, &mut self.decided, now);
        }
        if self.late.as_ref().is_some_and(|late| late.wakes_at().is_none()) {
            self.late = None;
        }
    }

    /// When [`tick`](Self::tick) or a page of dead letters is wanted next, on the clock's own scale.
    pub(super) fn wakes_at(&self) -> Option<Duration> {
        let late = self.late.as_ref().filter(|_| self.decided.is_settled()).and_then(|late| late.wakes_at());
        let link = self.link.wakes_at().filter(|_| !self.paused);
        link.into_iter().chain(late).min()
    }

    /// Gives deliveries up, the oldest that are owed, each with its attempts. Returns whether there was one that was not
    /// given up before: until the store has taken that in, it shows them still.
    pub(super) fn give_up(
        &mut self,
        oldest: impl IntoIterator<Item = (Sequence, u32)>,
        reason: &DeadLetterReason,
        now: Moment,
    ) -> bool {
        let before = self.given_up;
        for (sequence, attempts) in oldest.into_iter().filter(|(sequence, _)| Some(*sequence) > before) {
            self.given_up = Some(sequence);
            self.link.skip(sequence, now.elapsed);
            self.decided.give_up(sequence, reason.clone(), attempts, now.time);
        }
        self.given_up > before
    }

    /// A delivery was settled elsewhere.
    pub(super) fn settled(&mut self, sequence: Sequence, now: Moment) {
        self.link.end(sequence, now.elapsed);
        self.link.isolate(now.elapsed);
    }

    /// The commit of this many decisions has ended.
    pub(super) fn committed(&mut self, operations: usize) {
        self.decided.committed(operations);
    }

    pub(super) fn wanted(&self, limits: &LaneLimits) -> Wanted {
        Wanted {
            send: !self.paused && !self.decided.is_full() && self.link.can_send(limits),
            page: self.wants_page(limits).is_some(),
            commit: self.decided.is_waiting(),
        }
    }
}

#[cfg(test)]
mod tests;
