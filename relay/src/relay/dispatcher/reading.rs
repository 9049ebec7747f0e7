//! What is read from the store for the link: in turn, ahead, and again. Pure.
//!
//! A link begins *behind*: its deliveries come in pages until a page is the last one and nothing was skipped since it
//! was asked for. From then on it is *live*.

use std::collections::HashSet;
use std::sync::Arc;

use slipstream_store::{Page, Pending, Sequence, Timestamp};

use super::coalesce::{Coalescing, Segment};
use super::forward::Forward;
use super::link_state::{PageRequest, Purpose, Queued};
use super::send_state::SendState;
use super::terms::LaneLimits;
use crate::clock::Moment;

impl SendState {
    /// What is to be read next from the store, if anything. Whoever reads it [`loads`](Self::load) it.
    pub(super) fn ask_page(&mut self, limits: &LaneLimits) -> Option<PageRequest> {
        self.asked = self.wants_page(limits);
        self.asked
    }

    /// The page that is wanted, if one is.
    pub(super) fn wants_page(&self, limits: &LaneLimits) -> Option<PageRequest> {
        let (after, purpose) = self.wanted_page(limits)?;
        Some(PageRequest { after, items: limits.queue_items, purpose })
    }

    fn wanted_page(&self, limits: &LaneLimits) -> Option<(Option<Sequence>, Purpose)> {
        let fits = |items: usize, bytes: usize| items * 2 <= limits.queue_items && bytes * 2 <= limits.queue_bytes;
        if let Some(unread) = self.link.in_flight.first_unread()
            && self.link.permits(unread)
            && fits(self.link.resends.len(), self.link.resend_bytes)
        {
            return Some((Sequence::new(unread.get() - 1), Purpose::Resend));
        }
        match &self.link.coalescing {
            _ if !self.link.behind => None,
            Some(Coalescing::Reading(segment)) => {
                (!self.decided.is_full()).then_some((segment.through(), Purpose::Coalesce))
            }
            Some(Coalescing::Read { .. }) if !self.decided.is_settled() => None,
            _ => fits(self.link.queue.len(), self.link.queue_bytes)
                .then_some((self.link.through, Purpose::Send { skips: self.link.skips })),
        }
    }

    /// Takes in the page that was [`asked`](Self::ask_page) for, unless the link has begun anew meanwhile.
    pub(super) fn load(&mut self, page: Page<Pending>, now: Moment) {
        let Some(request) = self.asked.take() else { return };
        match request.purpose {
            Purpose::Send { skips } => self.load_to_send(page, skips, now),
            Purpose::Resend => self.link.load_to_resend(page, request.after, now.elapsed),
            Purpose::Coalesce => self.look_ahead(page, now.time),
        }
    }

    /// Where the page is the last one and nothing was skipped since it was asked for, the lane is live.
    fn load_to_send(&mut self, page: Page<Pending>, skips: u64, now: Moment) {
        let end = match &self.link.coalescing {
            Some(Coalescing::Read { end }) => *end,
            _ => None,
        };
        for pending in page.items {
            if end.is_some_and(|end| pending.sequence > end) {
                self.link.coalescing = Some(Coalescing::Reading(Segment::after(end)));
                return;
            }
            if self.link.through.is_some_and(|through| pending.sequence <= through) {
                continue;
            }
            let attempts = pending.attempts;
            let forward = Arc::new(Forward::from(pending));
            if self.link.settled_before.contains(&forward.sequence) {
                self.link.through = Some(forward.sequence);
            } else if self.link.was_acknowledged_early(&forward) {
                self.link.through = Some(forward.sequence);
                self.acknowledged(forward.sequence, forward.metadata.sets.as_ref(), now);
            } else {
                self.link.queue_up(Queued { forward, attempts });
            }
        }
        self.link.behind = page.more || self.link.skips != skips;
        if !self.link.behind {
            self.link.coalescing = None;
            self.link.early = HashSet::new();
        }
    }

    fn look_ahead(&mut self, page: Page<Pending>, at: Timestamp) {
        let Some(Coalescing::Reading(segment)) = &mut self.link.coalescing else { return };
        for pending in page.items {
            let forward = Forward::from(pending);
            // What the peer does not get is no newer value to it.
            let sets = forward.metadata.sets.as_ref().filter(|_| self.link.terms.permit(&forward));
            if let Some(superseded) = segment.look(forward.sequence, sets) {
                self.decided.supersede(superseded, at);
            }
        }
        if !page.more || segment.is_full() {
            let end = segment.through().filter(|_| page.more);
            self.link.coalescing = Some(Coalescing::Read { end });
        }
    }
}
