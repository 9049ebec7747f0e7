//! Messages that were routed by a roster which another process that shares the store has changed since: they are routed
//! anew, so that none misses a peer.

use std::sync::Arc;

use slipstream_store::{Batch, MessageStore, Operation, PeerId, Record, Result, Route};

use super::Committer;
use super::batch::{Reply, Waiting};
use crate::protocol::{self, Code};
use crate::relay::peers::{Target, renew};

impl<S: MessageStore + ?Sized> Committer<S> {
    /// Reads the roster, and gives each message of a batch the recipients that it has by it.
    pub(super) async fn route_anew(&self, batch: &mut Arc<Batch>, waiting: &mut Waiting) -> Result<()> {
        self.health.begins("a look at the roster", &*self.clock);
        let renewed = renew(&*self.store, &self.topology, &self.dispatcher).await;
        self.health.ends();
        renewed?;
        let batch = Arc::make_mut(batch);
        // Of the roster that was just read, or of a newer one.
        batch.routed_by = Some(self.topology.load().roster);
        let replies = std::mem::take(&mut waiting.replies);
        let routed =
            batch.operations.iter_mut().zip(replies).map(|(operation, reply)| self.routed_anew(operation, reply));
        waiting.replies = routed.collect();
        Ok(())
    }

    fn routed_anew(&self, operation: &mut Operation, reply: Reply) -> Reply {
        match (operation, reply) {
            (Operation::Record(record), Reply::Sender(mut arrival)) => {
                self.release(record);
                self.give_recipients(record);
                self.reserve(record);
                arrival.unrouted = arrival.unrouted.filter(|_| record.route.recipients.is_empty());
                Reply::Sender(arrival)
            }
            (operation, Reply::Refused(arrival, refusal)) => {
                let Operation::Recognise(record) = operation else { return Reply::Refused(arrival, refusal) };
                self.give_recipients(record);
                if refusal.code() != Code::Unrouted || record.route.recipients.is_empty() {
                    return Reply::Refused(arrival, refusal);
                }
                self.reserve(record);
                *operation = Operation::Record(record.clone());
                Reply::Sender(arrival)
            }
            (_, reply) => reply,
        }
    }

    fn give_recipients(&self, record: &mut Record) {
        let Route { received_from, path, .. } = &*record.route;
        let (tags, instances) = (protocol::targeted_tags(&record.text), protocol::targeted_instances(&record.text));
        // The path as it goes out has whoever was on it as it came, and this relay, which is no peer of its own.
        let target = Target { sender: received_from, path, tags: &tags, instances: &instances };
        let recipients: Box<[PeerId]> = self.topology.load().recipients(target);
        if recipients != record.route.recipients {
            record.route = Arc::new(Route { recipients, ..Route::clone(&record.route) });
        }
    }
}
