//! Whether a message may go into a batch: not where an application sent it and a recipient is owed as much as it may
//! be.
//!
//! What comes from another relay was confirmed to somebody. To refuse it would only leave it owed one relay earlier,
//! and relays whose backlogs are full would wait for each other for ever.

use slipstream_store::{MessageStore, Record};

use super::Committer;
use super::batch::Filling;
use super::queue::Submission;
use crate::protocol::{Code, Refusal};
use crate::relay::settings::{BacklogLimit, BacklogPolicy};

impl<S: MessageStore + ?Sized> Committer<S> {
    /// Takes a submission into the batch, or refuses it.
    pub(super) fn take(&self, submission: Submission, filling: &mut Filling) {
        if let (Submission::Message(record, arrival, _), Some(limit)) = (&submission, self.rejects_above())
            && let most = if arrival.from_relay { u64::MAX } else { limit }
            && let Err(peer) = self.dispatcher.admit(&record.route.recipients, most)
        {
            let reason = format!("{peer} is owed {most} messages, as many as one peer may be");
            let refusal = Refusal::of(Code::BacklogFull, reason, &record.identity);
            self.metrics.rejected(Code::BacklogFull);
            if let Submission::Message(_, arrival, _) = submission {
                arrival.reply.refuse(refusal);
            }
            return;
        }
        filling.take(submission);
    }

    /// A record that was taken is in the store now, or was refused by it.
    pub(super) fn release(&self, record: &Record) {
        if self.rejects_above().is_some() {
            self.dispatcher.released(&record.route.recipients);
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
