//! What a peer's answers do to what is on its way to it. Pure.

use std::time::Duration;

use slipstream_store::{ClusterGroup, DeadLetterReason, Key, MessageId, Sequence};

use super::forward::Forward;
use super::in_flight::Delivery;
use super::send_state::SendState;
use super::terms::LaneLimits;
use crate::clock::Moment;
use crate::protocol::{Code, Nack};

/// Most acknowledgements that are kept for deliveries which were not read for this link yet.
const MAX_EARLY: usize = 4_096;

/// What an answer of the peer is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// This delivery in flight.
    InFlight {
        /// When its message was read from its sender, if that is known.
        read_at: Option<Duration>,
        /// The delivery, if the peer acknowledged it and the trace of its message is sampled.
        traced: Option<Box<Delivery>>,
    },
    /// A delivery that waits to be sent on this link: the peer got it on an earlier one.
    Early,
    /// Nothing of that id is in flight.
    NotInFlight,
}

impl SendState {
    /// The peer acknowledges.
    pub(super) fn acknowledge(&mut self, id: &MessageId, group: Option<&ClusterGroup>, now: Moment) -> Answered {
        if let Some(sequence) = self.link.in_flight.named(id, group)
            && let Some(delivery) = self.link.in_flight.settle(sequence, now.elapsed)
        {
            self.link.answered(sequence);
            self.acknowledged(delivery.sequence, delivery.metadata.sets.as_ref(), now);
            self.link.forget_earlier_links();
            self.link.isolate(now.elapsed);
            let read_at = delivery.metadata.read_at;
            let traced = delivery.metadata.trace.is_some().then(|| Box::new(delivery));
            return Answered::InFlight { read_at, traced };
        }
        if self.acknowledge_early(id, group, now) {
            return Answered::Early;
        }
        self.late.get_or_insert_default().note(id, group);
        Answered::NotInFlight
    }

    /// The peer refuses, for now or for good. If it says "later" the delivery stays owed; otherwise it is a dead letter.
    pub(super) fn refuse(&mut self, nack: &Nack, now: Moment, limits: &LaneLimits) -> Answered {
        let Some(sequence) = self.link.in_flight.named(&nack.id, nack.group.as_ref()) else {
            return Answered::NotInFlight;
        };
        if nack.code.is_some_and(Code::retry_later) {
            self.link.refused_for_now(sequence, now, limits);
            return Answered::InFlight { read_at: None, traced: None };
        }
        if let Some(delivery) = self.link.end(sequence, now.elapsed) {
            self.link.has_settled = true;
            self.link.answered(sequence);
            self.link.isolate(now.elapsed);
            let reason = DeadLetterReason::rejected(nack.reason.as_str());
            self.decided.give_up(sequence, reason, delivery.attempts, now.time);
        }
        Answered::InFlight { read_at: None, traced: None }
    }

    /// An acknowledgement of something that this link has not sent: the peer got it on an earlier one. Returns whether
    /// it is known to be owed.
    fn acknowledge_early(&mut self, id: &MessageId, group: Option<&ClusterGroup>, now: Moment) -> bool {
        let meant = |forward: &Forward| {
            forward.metadata.identity.id == *id && group.is_none_or(|group| forward.metadata.identity.group == *group)
        };
        if let Some(index) = self.link.queue.iter().position(|queued| meant(&queued.forward)) {
            if !self.link.goes_back(&self.link.queue[index].forward)
                && let Some(queued) = self.link.queue.remove(index)
            {
                self.link.queue_bytes -= queued.forward.text.len();
                let Forward { sequence, metadata, .. } = &*queued.forward;
                self.acknowledged(*sequence, metadata.sets.as_ref(), now);
            }
            return true;
        }
        if self.link.is_behind() && self.link.early.len() < MAX_EARLY {
            self.link.early.insert((id.clone(), group.cloned()));
        }
        false
    }

    /// Settles a delivery that the peer has acknowledged, and the older ones of the key that its message sets.
    pub(super) fn acknowledged(&mut self, sequence: Sequence, sets: Option<&Key>, now: Moment) {
        self.link.has_settled = true;
        self.decided.acknowledge(sequence, now.time);
        if let Some(key) = sets {
            self.supersede(sequence, key, now);
        }
    }

    /// Ends what sets `key` and is older than `sequence`.
    fn supersede(&mut self, sequence: Sequence, key: &Key, now: Moment) {
        let mut superseded = Vec::new();
        self.link.in_flight.older(sequence, key, &mut superseded);
        for older in &superseded {
            self.link.in_flight.remove(*older);
            self.link.ended(*older);
        }
        // What waits is newer than what is in flight, so mostly this looks at one.
        if self.link.queue.front().is_some_and(|queued| queued.forward.sequence < sequence) {
            let bytes = &mut self.link.queue_bytes;
            self.link.queue.retain(|queued| {
                let Forward { sequence: older, metadata, text, .. } = &*queued.forward;
                let stays = *older > sequence || metadata.sets.as_ref() != Some(key);
                if !stays {
                    *bytes -= text.len();
                    superseded.push(*older);
                }
                stays
            });
        }
        for older in superseded {
            self.decided.supersede(older, now.time);
        }
    }
}
