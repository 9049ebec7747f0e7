//! A batch on its way: while it fills, and after the store has answered.

use std::sync::Arc;

use slipstream_store::{Batch, Operation, Outcome, Record, Result, RosterVersion, StoreError};
use tokio::sync::oneshot;

use super::queue::{Arrival, PurgeRequest};
use super::room::Share;
use crate::protocol::Rejection;
use crate::relay::dispatcher::CommitNumber;

/// Who hears of an operation's outcome.
#[derive(Debug)]
pub(super) enum Reply {
    /// The sender of a message.
    Sender(Arrival),
    /// The sender of a message that may not be recorded: it is refused like this, unless it was recorded before.
    Refused(Arrival, Box<Rejection>),
    /// A caller of [`CommitQueue::apply`](super::CommitQueue::apply).
    Caller(oneshot::Sender<Result<Outcome>>),
}

/// A batch that fills. Submissions come first, each with its reply; the decisions of the lanes follow, for which
/// nobody waits.
#[derive(Debug, Default)]
pub(super) struct Filling {
    operations: Vec<Operation>,
    replies: Vec<Reply>,
    /// The oldest roster that one of its messages was routed by.
    routed_by: Option<RosterVersion>,
    /// The deliveries that its messages make, where it has any.
    makes: Option<usize>,
    /// The room in the queue that its messages take until they are answered.
    share: Option<Share>,
    barriers: Vec<oneshot::Sender<()>>,
    purge: Option<PurgeRequest>,
}

impl Filling {
    pub(super) fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing is asked of the store and nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.barriers.is_empty() && self.purge.is_none()
    }

    /// How many deliveries its messages make; `None` where it has no message.
    pub(super) fn makes(&self) -> Option<usize> {
        self.makes
    }

    pub(super) fn wants_purge(&self) -> bool {
        self.purge.is_some()
    }

    pub(super) fn record(&mut self, record: Box<Record>, arrival: Arrival) {
        self.makes = Some(self.makes.unwrap_or(0) + record.route.recipients.len());
        self.note_routed_by(arrival.routed_by);
        self.submit(Operation::Record(record), Reply::Sender(arrival));
    }

    /// Asks for a message that may not be recorded.
    pub(super) fn recognise(&mut self, record: Box<Record>, arrival: Arrival, refusal: Box<Rejection>) {
        self.makes = Some(self.makes.unwrap_or(0));
        self.note_routed_by(arrival.routed_by);
        self.submit(Operation::Recognise(record), Reply::Refused(arrival, refusal));
    }

    fn note_routed_by(&mut self, roster: RosterVersion) {
        self.routed_by = Some(self.routed_by.map_or(roster, |oldest| oldest.min(roster)));
    }

    pub(super) fn apply(&mut self, operation: Operation, caller: oneshot::Sender<Result<Outcome>>) {
        self.submit(operation, Reply::Caller(caller));
    }

    pub(super) fn purge(&mut self, request: PurgeRequest) {
        self.purge = Some(request);
    }

    pub(super) fn barrier(&mut self, reply: oneshot::Sender<()>) {
        self.barriers.push(reply);
    }

    /// Not to be called once [`decisions`](Self::decisions) was.
    fn submit(&mut self, operation: Operation, reply: Reply) {
        self.operations.push(operation);
        self.replies.push(reply);
    }

    /// Has the messages keep their room in the queue until they are answered.
    pub(super) fn keep(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// The list to which decisions are appended.
    pub(super) fn decisions(&mut self) -> &mut Vec<Operation> {
        &mut self.operations
    }

    /// Closes the batch for the store.
    pub(super) fn close(self) -> (Arc<Batch>, Waiting) {
        let Self { operations, replies, routed_by, makes: _, share, barriers, purge } = self;
        (Arc::new(Batch { operations, routed_by }), Waiting { replies, share, barriers, purge })
    }
}

/// Those who wait for a batch.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Of the first operations, one each.
    pub(super) replies: Vec<Reply>,
    /// The room in the queue that its messages take.
    pub(super) share: Option<Share>,
    /// To be answered after them.
    pub(super) barriers: Vec<oneshot::Sender<()>>,
    /// To be done after that.
    pub(super) purge: Option<PurgeRequest>,
}

/// A batch that the store has answered.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) number: CommitNumber,
    pub(super) batch: Arc<Batch>,
    pub(super) waiting: Waiting,
    pub(super) result: Result<Vec<Outcome>>,
    /// Whether it was unknown at some point if the batch had been committed.
    pub(super) unclear: bool,
    /// Where the store had no room for the messages: what became of the rest.
    pub(super) rest: Option<Rest>,
}

/// The part of a refused batch that makes room, which is tried again without the messages.
#[derive(Debug)]
pub(super) struct Rest {
    /// The operations and what became of them.
    pub(super) batch: Arc<Batch>,
    pub(super) result: Result<Vec<Outcome>>,
}

impl Committed {
    /// The error, where the store cannot be used on.
    pub(super) fn fatal(&self) -> Option<StoreError> {
        let results = [Some(&self.result), self.rest.as_ref().map(|rest| &rest.result)];
        results.into_iter().flatten().find_map(|result| result.as_ref().err().filter(|error| is_fatal(error)).cloned())
    }

    /// Whether deliveries may have moved from one peer to another.
    pub(super) fn adopts(&self) -> bool {
        let submitted = self.batch.operations.iter().take(self.waiting.replies.len());
        submitted.into_iter().any(|operation| matches!(operation, Operation::AdoptPeer { .. }))
    }

    pub(super) fn take_purge(&mut self) -> Option<PurgeRequest> {
        self.waiting.purge.take()
    }

    /// The decisions that the store refused for now; they are to be committed before any newer one.
    pub(super) fn take_refused_decisions(&mut self) -> Vec<Operation> {
        match &self.rest {
            Some(Rest { batch, result: Err(_) }) => batch.operations.clone(),
            _ => Vec::new(),
        }
    }
}

/// Whether a store that answered this can be used on.
fn is_fatal(error: &StoreError) -> bool {
    !matches!(error, StoreError::Busy(_) | StoreError::Full(_) | StoreError::Unavailable(_))
}
