//! The way into the committer: bounded in submissions and in bytes.

use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{Horizon, Operation, Outcome, PeerId, Purged, Record, Result, StoreError, Tag};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::protocol::TraceContext;
use crate::relay::links::ReplyTo;
use crate::relay::settings::StageLimits;

/// What comes with a message through the committer: how it arrived, and who is answered.
#[derive(Debug)]
pub(in crate::relay) struct Arrival {
    /// Who is answered.
    pub(in crate::relay) reply: ReplyTo,
    /// When it was read, on the clock's own scale.
    pub(in crate::relay) read_at: Duration,
    /// Whether a relay sent it, not an application.
    pub(in crate::relay) from_relay: bool,
    /// The tags that it targets, if no peer matches.
    pub(in crate::relay) unrouted: Option<Box<[Tag]>>,
    /// The only applications that it is for; all, if there is none.
    pub(in crate::relay) instances: Box<[PeerId]>,
    /// Whether it is to be refused where it has no recipients.
    pub(in crate::relay) mandatory: bool,
    /// The trace that it belongs to, if it names one.
    pub(in crate::relay) trace: Option<Box<TraceContext>>,
}

/// What the committer is asked to do. Submissions are taken in order.
#[derive(Debug)]
pub(in crate::relay) enum Submission {
    /// Make a message durable, answer its sender, forward it. The permit is its share of the queue's bytes.
    Message(Box<Record>, Arrival, Option<OwnedSemaphorePermit>),
    /// Apply an operation and tell its outcome.
    Apply(Operation, oneshot::Sender<Result<Outcome>>),
    /// Forget what lies behind the horizon.
    Purge(PurgeRequest),
    /// Answer when everything submitted before is committed and answered.
    Barrier(oneshot::Sender<()>),
}

/// A horizon to purge up to, and who hears of it.
pub(super) type PurgeRequest = (Horizon, oneshot::Sender<Result<Purged>>);

/// The way in. Cloning is cheap; the committer ends when the last one is dropped.
#[derive(Debug, Clone)]
pub(in crate::relay) struct CommitQueue {
    submissions: mpsc::Sender<Submission>,
    bytes: Arc<Semaphore>,
    max_bytes: u32,
}

/// A way in that does not keep the committer alive.
#[derive(Debug, Clone)]
pub(in crate::relay) struct WeakCommitQueue {
    submissions: mpsc::WeakSender<Submission>,
    bytes: Arc<Semaphore>,
    max_bytes: u32,
}

impl WeakCommitQueue {
    /// The way in.
    ///
    /// # Errors
    /// `Closed` if the committer has ended, or is about to.
    pub(in crate::relay) fn upgrade(&self) -> Result<CommitQueue> {
        let Self { submissions, bytes, max_bytes } = self.clone();
        Ok(CommitQueue { submissions: submissions.upgrade().ok_or(StoreError::Closed)?, bytes, max_bytes })
    }
}

/// A queue and its other end, for [`Committer::run`](super::Committer::run).
pub(in crate::relay) fn queue(limits: &StageLimits) -> (CommitQueue, mpsc::Receiver<Submission>) {
    let (submissions, taken) = mpsc::channel(limits.commit_queue);
    let max_bytes = limits.commit_queue_bytes;
    let bytes = Arc::new(Semaphore::new(max_bytes as usize));
    (CommitQueue { submissions, bytes, max_bytes }, taken)
}

impl CommitQueue {
    /// Submits a message, and waits while the queue is full. Where the committer has ended, nobody is answered: what
    /// is not confirmed was not promised.
    pub(in crate::relay) async fn message(&self, record: Box<Record>, arrival: Arrival) {
        let bytes = u32::try_from(record.text.len()).unwrap_or(u32::MAX).min(self.max_bytes);
        let permit = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok();
        let _ = self.submissions.send(Submission::Message(record, arrival, permit)).await;
    }

    /// The same way in, for somebody who may outlive the committer.
    pub(in crate::relay) fn downgrade(&self) -> WeakCommitQueue {
        let Self { submissions, bytes, max_bytes } = self.clone();
        WeakCommitQueue { submissions: submissions.downgrade(), bytes, max_bytes }
    }

    /// Applies one operation, in the next batch.
    pub(in crate::relay) async fn apply(&self, operation: Operation) -> Result<Outcome> {
        self.ask(|reply| Submission::Apply(operation, reply)).await?
    }

    /// Applies operations in their order, in as few batches as they fit in. Returns one outcome for each.
    pub(in crate::relay) async fn apply_each(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            answers.push(self.submit(|reply| Submission::Apply(operation, reply)).await?);
        }
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            outcomes.push(answer.await.map_err(|_| StoreError::Closed)??);
        }
        Ok(outcomes)
    }

    /// Purges once, within the configured budget.
    pub(in crate::relay) async fn purge(&self, horizon: Horizon) -> Result<Purged> {
        self.ask(|reply| Submission::Purge((horizon, reply))).await?
    }

    /// Waits until everything that was submitted before is committed and answered.
    pub(in crate::relay) async fn drain(&self) {
        let _ = self.ask(Submission::Barrier).await;
    }

    async fn ask<T>(&self, submission: impl FnOnce(oneshot::Sender<T>) -> Submission) -> Result<T> {
        self.submit(submission).await?.await.map_err(|_| StoreError::Closed)
    }

    /// Submits something, and returns where its answer comes.
    async fn submit<T>(
        &self,
        submission: impl FnOnce(oneshot::Sender<T>) -> Submission,
    ) -> Result<oneshot::Receiver<T>> {
        let (reply, answer) = oneshot::channel();
        self.submissions.send(submission(reply)).await.map_err(|_| StoreError::Closed)?;
        Ok(answer)
    }
}
