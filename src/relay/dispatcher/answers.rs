//! What a peer's answers do to what is in transit to it. Pure.

use slipstream_store::{ClusterGroup, Key, MessageId, Sequence, Timestamp};

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
        at: Timestamp,
    ) -> Answered {
        if let Some(flight) = self.window.named(id, group).and_then(|sequence| self.end(sequence)) {
            self.acknowledged(flight.sequence, flight.sets.as_ref(), decided, at);
            return Answered::InFlight(flight.read_at);
        }
        self.acknowledge_early(decided, id, group, at);
        Answered::NotInFlight
    }

    /// The peer refuses. Where it says "later" the delivery stays owed; otherwise it is a dead letter.
    pub(super) fn refuse(&mut self, decided: &mut Decided, nack: &Nack, now: Moment, limits: &LaneLimits) -> Answered {
        let Some(sequence) = self.window.named(&nack.id, nack.group.as_ref()) else {
            return Answered::NotInFlight;
        };
        if nack.code.is_some_and(Code::retry_later) {
            self.hold(sequence, now, limits);
            return Answered::InFlight(None);
        }
        if let Some(flight) = self.end(sequence) {
            decided.give_up(sequence, format!("rejected: {}", nack.reason), flight.attempts, now.time);
        }
        Answered::InFlight(None)
    }

    /// An acknowledgement of something that this link has not sent: the peer got it on an earlier one.
    fn acknowledge_early(
        &mut self,
        decided: &mut Decided,
        id: &MessageId,
        group: Option<&ClusterGroup>,
        at: Timestamp,
    ) {
        let meant = |forward: &Forward| {
            forward.identity.id == *id && group.is_none_or(|group| forward.identity.group == *group)
        };
        if let Some(index) = self.queue.iter().position(|queued| meant(&queued.forward)) {
            if let Some(queued) = self.queue.remove(index) {
                self.queue_bytes -= queued.forward.text.len();
                let Forward { sequence, sets, .. } = &*queued.forward;
                self.acknowledged(*sequence, sets.as_ref(), decided, at);
            }
        } else if self.is_behind() && self.early.len() < MAX_EARLY {
            self.early.insert((id.clone(), group.cloned()));
        }
    }

    /// Settles a delivery that the peer has acknowledged, and the older ones of the key that its message sets.
    pub(super) fn acknowledged(
        &mut self,
        sequence: Sequence,
        sets: Option<&Key>,
        decided: &mut Decided,
        at: Timestamp,
    ) {
        decided.acknowledge(sequence, at);
        if let Some(key) = sets {
            self.supersede(sequence, key, decided, at);
        }
    }

    /// Ends what sets `key` and is older than `sequence`.
    fn supersede(&mut self, sequence: Sequence, key: &Key, decided: &mut Decided, at: Timestamp) {
        let mut superseded = Vec::new();
        self.window.older(sequence, key, &mut superseded);
        for older in &superseded {
            self.end(*older);
        }
        // What waits is newer than what is in flight, so mostly this looks at one.
        if self.queue.front().is_some_and(|queued| queued.forward.sequence < sequence) {
            let bytes = &mut self.queue_bytes;
            self.queue.retain(|queued| {
                let Forward { sequence: older, sets, text, .. } = &*queued.forward;
                let stays = *older > sequence || sets.as_ref() != Some(key);
                if !stays {
                    *bytes -= text.len();
                    superseded.push(*older);
                }
                stays
            });
        }
        for older in superseded {
            decided.supersede(older, at);
        }
    }
}
