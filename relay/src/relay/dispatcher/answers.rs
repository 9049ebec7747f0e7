//! What a peer's answers do to what is in transit to it. Pure.

use slipstream_store::{ClusterGroup, Key, MessageId, Sequence};

use super::decided::Decided;
use super::lane::{Answered, Forward, LaneLimits};
use super::transit::Transit;
use crate::clock::Moment;
use crate::protocol::{Code, Nack};

/// Most acknowledgements that are kept for deliveries which were not read for this link yet.
const MAX_EARLY: usize = 4_096;

impl Transit {
    /// The peer acknowledges.
    pub(super) fn acknowledge(
        &mut self,
        decided: &mut Decided,
        id: &MessageId,
        group: Option<&ClusterGroup>,
        now: Moment,
    ) -> Answered {
        if let Some(sequence) = self.window.named(id, group)
            && let Some(flight) = self.window.settle(sequence, now.elapsed)
        {
            self.answered(sequence);
            self.acknowledged(flight.sequence, flight.metadata.sets.as_ref(), decided, now);
            self.forget_earlier_links();
            self.isolate(now.elapsed);
            return Answered::InFlight(flight.metadata.read_at);
        }
        if self.acknowledge_early(decided, id, group, now) { Answered::Early } else { Answered::NotInFlight }
    }

    /// The peer refuses. Where it says "later" the delivery stays owed; otherwise it is a dead letter.
    pub(super) fn refuse(&mut self, decided: &mut Decided, nack: &Nack, now: Moment, limits: &LaneLimits) -> Answered {
        let Some(sequence) = self.window.named(&nack.id, nack.group.as_ref()) else {
            return Answered::NotInFlight;
        };
        if nack.code.is_some_and(Code::retry_later) {
            self.refused_for_now(sequence, now, limits);
            return Answered::InFlight(None);
        }
        if let Some(flight) = self.end(sequence, now.elapsed) {
            self.has_settled = true;
            self.answered(sequence);
            self.isolate(now.elapsed);
            decided.give_up(sequence, format!("rejected: {}", nack.reason), flight.attempts, now.time);
        }
        Answered::InFlight(None)
    }

    /// The peer wants a delivery later. If a newer value of its key was sent, that one is sent again in its place.
    fn refused_for_now(&mut self, sequence: Sequence, now: Moment, limits: &LaneLimits) {
        self.survived(sequence);
        let newest = self.window.newest_like(sequence);
        let is_overtaken = self.window.get(sequence).is_none_or(|flight| flight.overtaken);
        if is_overtaken || newest != sequence {
            self.window.defer(sequence);
        }
        if is_overtaken {
            return;
        }
        // The newest one's own answer tells whether the peer wants that one later, too.
        if newest == sequence || self.hold.is_none_or(|hold| !hold.waits_for(newest)) {
            self.hold(newest, now, limits);
        }
    }

    /// An acknowledgement of something that this link has not sent: the peer got it on an earlier one. Returns whether
    /// it is known to be owed.
    fn acknowledge_early(
        &mut self,
        decided: &mut Decided,
        id: &MessageId,
        group: Option<&ClusterGroup>,
        now: Moment,
    ) -> bool {
        let meant = |forward: &Forward| {
            forward.metadata.identity.id == *id && group.is_none_or(|group| forward.metadata.identity.group == *group)
        };
        if let Some(index) = self.queue.iter().position(|queued| meant(&queued.forward)) {
            if !self.goes_back(&self.queue[index].forward)
                && let Some(queued) = self.queue.remove(index)
            {
                self.queue_bytes -= queued.forward.text.len();
                let Forward { sequence, metadata, .. } = &*queued.forward;
                self.acknowledged(*sequence, metadata.sets.as_ref(), decided, now);
            }
            return true;
        }
        if self.is_behind() && self.early.len() < MAX_EARLY {
            self.early.insert((id.clone(), group.cloned()));
        }
        false
    }

    /// Settles a delivery that the peer has acknowledged, and the older ones of the key that its message sets.
    pub(super) fn acknowledged(&mut self, sequence: Sequence, sets: Option<&Key>, decided: &mut Decided, now: Moment) {
        self.has_settled = true;
        decided.acknowledge(sequence, now.time);
        if let Some(key) = sets {
            self.supersede(sequence, key, decided, now);
        }
    }

    /// Ends what sets `key` and is older than `sequence`.
    fn supersede(&mut self, sequence: Sequence, key: &Key, decided: &mut Decided, now: Moment) {
        let mut superseded = Vec::new();
        self.window.older(sequence, key, &mut superseded);
        for older in &superseded {
            self.window.remove(*older);
            self.ended(*older);
        }
        // What waits is newer than what is in flight, so mostly this looks at one.
        if self.queue.front().is_some_and(|queued| queued.forward.sequence < sequence) {
            let bytes = &mut self.queue_bytes;
            self.queue.retain(|queued| {
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
            decided.supersede(older, now.time);
        }
    }
}
