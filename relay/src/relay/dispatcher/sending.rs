//! What goes out over the link, and what is sent again in time. Pure.

use std::sync::Arc;

use slipstream_store::{DeadLetterReason, Sequence, Timestamp};

use super::forward::Forward;
use super::in_flight::{Delivery, DeliveryState};
use super::link_state::Queued;
use super::redelivery::timeout;
use super::send_state::SendState;
use super::terms::LaneLimits;
use crate::clock::Moment;

/// Into how many parts a timeout is divided, at whose ends overdue deliveries are looked for.
const TIMEOUT_PARTS: u32 = 32;

impl SendState {
    /// Takes the next delivery to send, which is in flight from now on. What must not be sent is settled instead.
    pub(super) fn next(&mut self, now: Moment, limits: &LaneLimits) -> Option<Arc<Forward>> {
        if self.paused {
            return None;
        }
        let waits = self.link.isolate(now.elapsed);
        while !self.decided.is_full() {
            if let Some(forward) = self.link.take_resend() {
                if self.resend(&forward, now) {
                    return Some(forward);
                }
                continue;
            }
            if waits || !self.link.may_send_new(limits) {
                return None;
            }
            let Queued { forward, attempts } = self.link.queue.pop_front()?;
            self.link.queue_bytes -= forward.text.len();
            if self.send(&forward, attempts, now, limits) {
                return Some(forward);
            }
        }
        None
    }

    /// Notes that a delivery goes out again; false if it is not to.
    fn resend(&mut self, forward: &Forward, now: Moment) -> bool {
        let sequence = forward.sequence;
        if has_expired(forward, now) {
            self.link.end(sequence, now.elapsed);
            self.decided.expire(sequence, now.time);
            return false;
        }
        let Some(delivery) = self.link.in_flight.get(sequence) else { return false };
        if delivery.state == (DeliveryState::Again { spends: true }) {
            // It goes out in the place of the older ones of its key, too.
            let mut republished = Vec::new();
            if let Some(key) = &delivery.metadata.sets {
                self.link.in_flight.older(sequence, key, &mut republished);
            }
            republished.push(sequence);
            for republished in republished {
                self.spend_attempt(republished, now.time);
            }
        }
        self.link.in_flight.resent(sequence);
        if let Some(hold) = &mut self.link.hold {
            hold.sent(sequence);
        }
        self.link.note_sent(now.elapsed);
        true
    }

    fn spend_attempt(&mut self, sequence: Sequence, at: Timestamp) {
        if let Some(attempts) = self.link.in_flight.get(sequence).map(|delivery| delivery.attempts.saturating_add(1)) {
            self.link.in_flight.attempted(sequence, attempts);
            self.decided.attempt(sequence, attempts, at);
        }
    }

    /// Notes that a delivery goes out for the first time on this link; false if it is not to.
    fn send(&mut self, forward: &Forward, attempts: u32, now: Moment, limits: &LaneLimits) -> bool {
        let sequence = forward.sequence;
        if has_expired(forward, now) || !self.link.terms.permit(forward) {
            self.decided.expire(sequence, now.time);
            return false;
        }
        if self.link.terms.max_message_bytes.is_some_and(|max| forward.text.len() as u64 > max) {
            self.decided.give_up(sequence, DeadLetterReason::TooLarge, attempts, now.time);
            return false;
        }
        let is_held = self.link.hold_back.as_mut().is_some_and(|hold_back| hold_back.takes(sequence));
        self.link.in_flight.push(Delivery::new(forward, attempts), is_held);
        if is_held {
            return false;
        }
        self.link.note_key(forward, limits);
        self.link.note_sent(now.elapsed);
        true
    }

    /// Time goes by.
    pub(super) fn tick(&mut self, now: Moment, limits: &LaneLimits) {
        if self.paused {
            return;
        }
        if let Some(hold) = &mut self.link.hold {
            hold.tick(now.elapsed);
        }
        let rules = &limits.rules;
        let due = |delivery: &Delivery| timeout(rules, delivery.attempts, delivery.sequence);
        for sequence in self.link.in_flight.overdue(now.elapsed, rules.ack_timeout / TIMEOUT_PARTS, due) {
            let Some(&Delivery { attempts, overtaken, is_deferred, .. }) = self.link.in_flight.get(sequence) else {
                continue;
            };
            if overtaken && is_deferred {
                // It is left to the next link. Until then a newer value may supersede it.
                self.link.in_flight.waits_on(sequence, now.elapsed, timeout(rules, attempts, sequence));
            } else if attempts >= rules.max_republishes {
                self.link.end(sequence, now.elapsed);
                self.decided.give_up(sequence, DeadLetterReason::Unacknowledged, attempts, now.time);
            } else if overtaken {
                self.spend_attempt(sequence, now.time);
                self.link.in_flight.waits_on(sequence, now.elapsed, timeout(rules, attempts + 1, sequence));
            } else {
                self.link.in_flight.send_again(sequence, true);
                if let Some(hold) = &mut self.link.hold {
                    hold.unanswered(sequence);
                }
            }
            self.link.survived(sequence);
        }
        self.link.isolate(now.elapsed);
    }
}

fn has_expired(forward: &Forward, now: Moment) -> bool {
    forward.expires_at.is_some_and(|expiry| expiry <= now.wall)
}
