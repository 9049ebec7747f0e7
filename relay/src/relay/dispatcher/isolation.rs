//! What is held back on one link from a peer that may die of it, and when it is tried. Pure.

use std::time::Duration;

use slipstream_store::Sequence;

use super::in_flight::DeliveryState;
use super::link_state::LinkState;
use super::poison::{HoldBack, Loss, Step};

impl LinkState {
    /// Takes the next step with what is held back. Returns whether nothing else may be sent meanwhile.
    pub(super) fn isolate(&mut self, now: Duration) -> bool {
        let lived = now.saturating_sub(self.lives_since);
        let all_read = self.queue.is_empty() && !self.is_behind();
        while let Some(hold_back) = &mut self.hold_back {
            match hold_back.step(lived, self.in_flight.len() == 0, all_read) {
                Step::Send => return false,
                Step::Wait(Some(_)) => return true,
                Step::Wait(None) if self.in_flight.held().next().is_some() => return true,
                Step::Try => {
                    // A newer value may have been sent meanwhile: then this one is not sent on this link.
                    let held = self.in_flight.held().filter(|delivery| !delivery.overtaken);
                    if let Some(tried) = hold_back.tries(held.map(|delivery| delivery.sequence)) {
                        self.in_flight.send_again(tried, false);
                        return true;
                    }
                    self.hold_back = None;
                }
                Step::Release | Step::Wait(None) => self.release(),
            }
        }
        false
    }

    /// The peer has settled a delivery.
    pub(super) fn answered(&mut self, sequence: Sequence) {
        if let Some(hold_back) = &mut self.hold_back {
            hold_back.answered(sequence);
        }
        self.ended(sequence);
    }

    /// The link lives on although this delivery was out for long, or the peer has refused it for now: if it was tried,
    /// the peer does not die of it.
    pub(super) fn survived(&mut self, sequence: Sequence) {
        if self.hold_back.as_ref().and_then(HoldBack::alone) == Some(sequence) {
            self.release();
        }
    }

    /// Sends what is held back as usual.
    fn release(&mut self) {
        self.hold_back = None;
        let held = self.in_flight.held().filter(|delivery| !delivery.overtaken).map(|delivery| delivery.sequence);
        for sequence in held.collect::<Vec<_>>() {
            self.in_flight.send_again(sequence, false);
        }
    }

    /// When [`isolate`](Self::isolate) is wanted next.
    pub(super) fn isolates_at(&self) -> Option<Duration> {
        Some(self.lives_since + self.hold_back.as_ref()?.steady_after()?)
    }

    /// The link is lost.
    pub(super) fn lost(&mut self, now: Duration) -> Loss {
        let was_tried = |alone: Sequence| {
            let delivery = self.in_flight.get(alone);
            delivery.is_some_and(|delivery| {
                matches!(delivery.state, DeliveryState::Writing { .. } | DeliveryState::Sent { .. })
            })
        };
        let hold_back = self.hold_back.take().map(|hold_back| match hold_back.alone() {
            Some(alone) if was_tried(alone) => hold_back,
            _ => hold_back.untried(),
        });
        Loss {
            has_settled: self.has_settled,
            oldest: self.in_flight.first_sent().map(|delivery| delivery.sequence),
            lived: now.saturating_sub(self.lives_since),
            hold_back,
        }
    }
}
