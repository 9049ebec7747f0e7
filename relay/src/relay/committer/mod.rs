//! The one stage that writes: makes messages and decisions durable in batches, then answers and forwards.
//!
//! Group commit without a timer: while one commit runs the next batch fills, and the committer then takes all there
//! is, up to a limit. While the store works on a batch, the committer finishes the one before it. Decisions about
//! deliveries, for which nobody waits, go with the next messages, or in a while.

mod acceptance;
mod adopted;
mod batch;
mod finish;
mod health;
mod queue;
mod reroute;
mod reserved;
mod retry;
mod room;
mod settle_budget;

use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{Horizon, MessageStore, Operation, Owed, Purged, Result};
use tokio::sync::Notify;
use tracing::{error, warn};

use self::adopted::Adopted;
use self::batch::{Committed, Filling};
pub(super) use self::health::StoreHealth;
pub(super) use self::queue::{Arrival, Burst, CommitQueue, Submission, Submissions, WeakCommitQueue, queue};
pub(super) use self::reserved::Reserved;
use self::settle_budget::SettleBudget;
use super::disk::Disk;
use super::dispatcher::Dispatcher;
use super::notices::Notices;
use super::peers::SharedTopology;
use super::settings::{BacklogLimit, StageLimits};
use super::tap::Tap;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// How long decisions wait after the store refused them before they are tried again.
const HELD_PAUSE: Duration = Duration::from_secs(1);

/// The committer. [`run`](Self::run) is its life.
pub(super) struct Committer<S: ?Sized> {
    pub(super) store: Arc<S>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) topology: Arc<SharedTopology>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) notices: Arc<Notices>,
    pub(super) tap: Arc<Tap>,
    pub(super) health: Arc<StoreHealth>,
    pub(super) limits: StageLimits,
    pub(super) backlog: Option<BacklogLimit>,
    pub(super) disk: Arc<Disk>,
    /// Told where a peer may be owed more than the backlog limit.
    pub(super) overfull: Arc<Notify>,
    /// What is on its way into the store, by recipient.
    pub(super) reserved: Reserved,
}

impl<S: MessageStore + ?Sized> Committer<S> {
    /// Commits until every way in is gone and all decisions are committed.
    ///
    /// # Errors
    /// The error with which the store failed for good. What was not committed is not answered, or was refused.
    pub(super) async fn run(self, submissions: Submissions) -> Result<()> {
        let mut unfinished: Option<Committed> = None;
        // Decisions that the store refused for now. No new ones are taken until these are committed.
        let mut held: Vec<Operation> = Vec::new();
        let mut submissions = Followed { submissions, adopted: Adopted::default() };
        let mut budget = SettleBudget::default();
        // Whether what is owed is to be counted anew.
        let mut miscounted = false;
        loop {
            let idle = unfinished.is_none();
            let Some(filling) = self.gather(&mut submissions, &mut held, &mut budget, idle).await else {
                if let Some(committed) = unfinished.take() {
                    self.finish(committed);
                }
                return Ok(());
            };
            if filling.is_empty() {
                if let Some(committed) = unfinished.take() {
                    self.finish(committed);
                }
                continue;
            }
            let commit = self.commit(filling);
            let finish = async { unfinished.take().map(|committed| self.finish(committed)) };
            let (mut committed, _) = tokio::join!(commit, finish);
            if let Some(error) = committed.fatal() {
                error!(%error, "the store failed for good");
                self.finish(committed);
                return Err(error);
            }
            held = committed.take_refused_decisions();
            let purge = committed.take_purge();
            if committed.unclear || committed.adopts() {
                // There may be deliveries that were never handed over: whatever is handed over from now on comes after them.
                self.dispatcher.read_on(&Owed::Anyone);
                miscounted = true;
            }
            if purge.is_none() && !miscounted {
                unfinished = Some(committed);
                continue;
            }
            self.finish(committed);
            if miscounted {
                miscounted = !self.recount().await;
            }
            if let Some((horizon, reply)) = purge {
                let _ = reply.send(self.purge(horizon).await);
            }
        }
    }

    /// Takes what there is, up to a batch. Waits for something when `idle`; otherwise the batch may be empty.
    /// `None` when everything has ended.
    async fn gather(
        &self,
        submissions: &mut Followed,
        held: &mut Vec<Operation>,
        budget: &mut SettleBudget,
        idle: bool,
    ) -> Option<Filling> {
        let mut filling = Filling::default();
        if idle {
            tokio::select! {
                biased;
                submission = submissions.next() => match submission {
                    Some(submission) => self.take(submission, &mut filling),
                    None => return self.last_decisions(held).await,
                },
                () = self.decisions(budget.pause()), if held.is_empty() => {}
                () = tokio::time::sleep(HELD_PAUSE), if !held.is_empty() => {}
            }
        }
        while filling.len() < self.limits.batch_operations && !filling.wants_purge() {
            match submissions.at_hand() {
                Some(submission) => self.take(submission, &mut filling),
                None => break,
            }
        }
        filling.keep(submissions.submissions.share());
        // Those that were refused wait for their pause, or for messages with which they are tried again.
        if idle || !filling.is_empty() || held.is_empty() && budget.pause().is_zero() {
            let most = budget.next(filling.makes(), self.clock.elapsed(), self.limits.batch_decisions);
            let taken = self.take_decisions(&mut filling, held, most);
            budget.took(taken, most);
        }
        Some(filling)
    }

    /// Waits until decisions should be committed though there is no message.
    async fn decisions(&self, pause: Duration) {
        self.dispatcher.decided().await;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes decisions, and tells how many.
    fn take_decisions(&self, filling: &mut Filling, held: &mut Vec<Operation>, most: usize) -> usize {
        let before = filling.len();
        if held.is_empty() {
            self.dispatcher.take_decided(filling.decisions(), before + most);
        } else {
            filling.decisions().append(held);
        }
        filling.len() - before
    }

    /// What is left to be decided once nothing more can come. Those that were refused are tried again after their pause.
    async fn last_decisions(&self, held: &mut Vec<Operation>) -> Option<Filling> {
        if !held.is_empty() {
            tokio::time::sleep(HELD_PAUSE).await;
        }
        let mut filling = Filling::default();
        self.take_decisions(&mut filling, held, self.limits.batch_decisions);
        (!filling.is_empty()).then_some(filling)
    }

    /// Counts anew what is owed, after a commit of which it was unknown whether it happened, or that moved deliveries from
    /// one peer to another. Returns whether it could.
    async fn recount(&self) -> bool {
        self.health.begins("a look at the roster", &*self.clock);
        let roster = self.store.roster().await;
        self.health.ends();
        match &roster {
            Ok(roster) => self.dispatcher.recount(roster),
            Err(error) => warn!(%error, "what is owed could not be counted after a commit; it is tried after the next"),
        }
        roster.is_ok()
    }

    async fn purge(&self, horizon: Horizon) -> Result<Purged> {
        self.health.begins("a purge", &*self.clock);
        let purged = self.store.purge(horizon, self.limits.purge_budget).await;
        self.health.purged(&purged);
        let purged = purged?;
        self.dispatcher.settled_elsewhere(&purged.expired);
        self.metrics.expired(purged.expired.len());
        Ok(purged)
    }
}

/// What the committer is asked to do, with the messages for an alias that was adopted going to whom it was.
struct Followed {
    submissions: Submissions,
    adopted: Adopted,
}

impl Followed {
    /// The next one; `None` when every way in is gone.
    async fn next(&mut self) -> Option<Submission> {
        let submission = self.submissions.next().await?;
        Some(self.followed(submission))
    }

    /// The next one that is there.
    fn at_hand(&mut self) -> Option<Submission> {
        let submission = self.submissions.at_hand()?;
        Some(self.followed(submission))
    }

    fn followed(&mut self, mut submission: Submission) -> Submission {
        self.adopted.follow(&mut submission);
        submission
    }
}
