//! Whether a message is accepted: not if it must have a recipient and has none, nor while the disk is low, nor if an
//! application sent it and a recipient is owed as much as it may be.
//!
//! What comes from another relay was confirmed to somebody. To refuse it for a backlog would only leave it owed one
//! relay earlier, and relays whose backlogs are full would wait for each other for ever.

use slipstream_store::{MessageStore, Record};

use super::Committer;
use super::batch::Filling;
use super::queue::{Arrival, Submission};
use crate::protocol::{Code, Rejection};
use crate::relay::settings::{BacklogLimit, BacklogPolicy};

impl<S: MessageStore + ?Sized> Committer<S> {
    /// Takes a submission into the batch. A message that may not be recorded is only asked for: what was taken before is
    /// confirmed again, and the rest refused.
    pub(super) fn take(&self, submission: Submission, filling: &mut Filling) {
        match submission {
            Submission::Message(record, arrival) => match self.accept(&record, &arrival) {
                Ok(()) => filling.record(record, arrival),
                Err(refusal) => filling.recognise(record, arrival, refusal),
            },
            Submission::Apply(operation, caller) => filling.apply(operation, caller),
            Submission::Purge(request) => filling.purge(request),
            Submission::Barrier(reply) => filling.barrier(reply),
        }
    }

    /// Accepts a message, which is then to be [`released`](Self::release), or says why it may not be recorded.
    fn accept(&self, record: &Record, arrival: &Arrival) -> Result<(), Box<Rejection>> {
        let refusal = |code, reason| Box::new(Rejection::of(code, reason, &record.identity));
        if arrival.mandatory && record.route.recipients.is_empty() {
            return Err(refusal(Code::Unrouted, "mandatory: no peer matches now".to_owned()));
        }
        if let Some(reason) = self.disk.is_low() {
            return Err(refusal(Code::StorageUnavailable, reason));
        }
        let Some(limit) = self.rejects_above() else { return Ok(()) };
        let most = if arrival.from_relay { u64::MAX } else { limit };
        // The committer alone reserves, so that nothing comes in between.
        if let Some(peer) = self.dispatcher.full(&record.route.recipients, most, |peer| self.reserved.of(peer)) {
            return Err(refusal(
                Code::BacklogFull,
                format!("{peer} is owed {limit} messages, as many as one peer may be"),
            ));
        }
        self.reserve(record);
        Ok(())
    }

    /// Counts a record that is on its way into the store.
    pub(super) fn reserve(&self, record: &Record) {
        if self.rejects_above().is_some() {
            self.reserved.reserve(&record.route.recipients);
        }
    }

    /// A record that was accepted is in the store now, or was refused by it.
    pub(super) fn release(&self, record: &Record) {
        if self.rejects_above().is_some() {
            self.reserved.release(&record.route.recipients);
        }
        if self.backlog.is_some_and(|limit| limit.policy == BacklogPolicy::DropOldest) {
            self.overfull.notify_one();
        }
    }

    fn rejects_above(&self) -> Option<u64> {
        let BacklogLimit { deliveries, policy } = self.backlog?;
        (policy == BacklogPolicy::Reject).then_some(deliveries.get())
    }
}
