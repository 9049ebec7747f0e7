//! The way into the committer: bounded in submissions and in bytes.

use std::sync::Arc;
use std::time::Duration;
use std::vec;

use slipstream_store::{Horizon, Operation, Outcome, PeerId, Purged, Record, Result, RosterVersion, StoreError, Tag};
use tokio::sync::{mpsc, oneshot};

use super::room::{Room, Share};
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
    /// The roster that it was routed by.
    pub(in crate::relay) routed_by: RosterVersion,
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
    /// Make a message durable, answer its sender, forward it.
    Message(Box<Record>, Arrival),
    /// Apply an operation and tell its outcome.
    Apply(Operation, oneshot::Sender<Result<Outcome>>),
    /// Forget what lies behind the horizon.
    Purge(PurgeRequest),
    /// Answer when everything submitted before is committed and answered.
    Barrier(oneshot::Sender<()>),
}

impl Submission {
    /// The length of its text, 0 if it is no message.
    fn length(&self) -> usize {
        match self {
            Self::Message(record, _) => record.text.len(),
            _ => 0,
        }
    }
}

/// A horizon to purge up to, and who hears of it.
pub(super) type PurgeRequest = (Horizon, oneshot::Sender<Result<Purged>>);

/// The way in. Cloning is cheap; the committer ends when the last one is dropped.
#[derive(Debug, Clone)]
pub(in crate::relay) struct CommitQueue {
    bursts: mpsc::Sender<Burst>,
    room: Arc<Room>,
}

/// A way in that does not keep the committer alive.
#[derive(Debug, Clone)]
pub(in crate::relay) struct WeakCommitQueue {
    bursts: mpsc::WeakSender<Burst>,
    room: Arc<Room>,
}

impl WeakCommitQueue {
    /// The way in.
    ///
    /// # Errors
    /// `Closed` if the committer has ended, or is about to.
    pub(in crate::relay) fn upgrade(&self) -> Result<CommitQueue> {
        let bursts = self.bursts.upgrade().ok_or(StoreError::Closed)?;
        Ok(CommitQueue { bursts, room: Arc::clone(&self.room) })
    }
}

/// Submissions that are submitted at once. Each has its room in the queue already.
#[derive(Debug)]
pub(in crate::relay) struct Burst {
    submissions: Vec<Submission>,
    share: Share,
}

impl Burst {
    fn new(room: &Arc<Room>) -> Self {
        Self { submissions: Vec::new(), share: Share::new(room) }
    }

    /// Adds a submission, or gives it back if the queue is full.
    pub(in crate::relay) fn try_add(&mut self, submission: Submission) -> Option<Submission> {
        if self.share.try_grow(submission.length()) {
            self.submissions.push(submission);
            None
        } else {
            Some(submission)
        }
    }

    /// Adds a submission, and waits while the queue is full. What makes room must not wait in the burst meanwhile.
    ///
    /// # Errors
    /// `Closed` if the committer has ended.
    pub(in crate::relay) async fn add(&mut self, submission: Submission) -> Result<()> {
        self.share.grow(submission.length()).await?;
        self.submissions.push(submission);
        Ok(())
    }
}

/// A queue and its other end, for [`Committer::run`](super::Committer::run).
pub(in crate::relay) fn queue(limits: &StageLimits) -> (CommitQueue, Submissions) {
    // Each burst has a place at least, so that all that have one fit in here.
    let (bursts, queue) = mpsc::channel(limits.commit_queue);
    let room = Arc::new(Room::new(limits));
    let (share, taken) = (Share::new(&room), Share::new(&room));
    let submissions = Submissions { queue, burst: Vec::new().into_iter(), share, taken, room: Arc::clone(&room) };
    (CommitQueue { bursts, room }, submissions)
}

impl CommitQueue {
    /// An empty burst.
    pub(in crate::relay) fn burst(&self) -> Burst {
        Burst::new(&self.room)
    }

    /// Submits a burst.
    ///
    /// # Errors
    /// `Closed` if the committer has ended. Then nobody is answered: what is not confirmed was not promised.
    pub(in crate::relay) fn submit(&self, burst: Burst) -> Result<()> {
        if burst.submissions.is_empty() {
            return Ok(());
        }
        self.bursts.try_send(burst).map_err(|_| StoreError::Closed)
    }

    /// The same way in, for somebody who may outlive the committer.
    pub(in crate::relay) fn downgrade(&self) -> WeakCommitQueue {
        WeakCommitQueue { bursts: self.bursts.downgrade(), room: Arc::clone(&self.room) }
    }

    /// Applies one operation, in the next batch.
    pub(in crate::relay) async fn apply(&self, operation: Operation) -> Result<Outcome> {
        self.ask(|reply| Submission::Apply(operation, reply)).await?
    }

    /// Applies operations in their order, in as few batches as they fit in. Returns one outcome for each.
    pub(in crate::relay) async fn apply_each(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            answers.push(self.begin(|reply| Submission::Apply(operation, reply)).await?);
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
        self.begin(submission).await?.await.map_err(|_| StoreError::Closed)
    }

    /// Submits something, and returns where its answer comes.
    async fn begin<T>(
        &self,
        submission: impl FnOnce(oneshot::Sender<T>) -> Submission,
    ) -> Result<oneshot::Receiver<T>> {
        let (reply, answer) = oneshot::channel();
        let mut burst = self.burst();
        burst.add(submission(reply)).await?;
        self.submit(burst)?;
        Ok(answer)
    }
}

/// The other end of the queue.
#[derive(Debug)]
pub(in crate::relay) struct Submissions {
    queue: mpsc::Receiver<Burst>,
    /// What is left of the burst that came last, and of its share.
    burst: vec::IntoIter<Submission>,
    share: Share,
    /// The bytes of the messages that were taken, for whoever answers them.
    taken: Share,
    room: Arc<Room>,
}

impl Submissions {
    /// The next one; `None` when every way in is gone.
    ///
    /// # Cancellation
    /// None is lost.
    pub(super) async fn next(&mut self) -> Option<Submission> {
        if self.burst.len() == 0 {
            let burst = self.queue.recv().await?;
            self.begin(burst);
        }
        self.take()
    }

    /// The next one that is there.
    pub(super) fn at_hand(&mut self) -> Option<Submission> {
        if self.burst.len() == 0 {
            let burst = self.queue.try_recv().ok()?;
            self.begin(burst);
        }
        self.take()
    }

    fn begin(&mut self, Burst { submissions, share }: Burst) {
        (self.burst, self.share) = (submissions.into_iter(), share);
    }

    fn take(&mut self) -> Option<Submission> {
        let submission = self.burst.next()?;
        self.share.hand_over(submission.length(), &mut self.taken);
        if self.burst.len() == 0 {
            self.share.leave();
        }
        Some(submission)
    }

    /// The room of what was taken since this was asked last. It is free again when this is dropped.
    pub(super) fn share(&mut self) -> Share {
        std::mem::replace(&mut self.taken, Share::new(&self.room))
    }
}

impl Drop for Submissions {
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests;
