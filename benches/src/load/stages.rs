//! The links of a load, and the stages that they go through.

use std::sync::Arc;
use std::time::Duration;

use slipstream_relay::client::ClientOptions;
use slipstream_relay::link::{Announced, Ended};
use slipstream_store::{PeerId, Tag};
use tokio::time::{MissedTickBehavior, interval};

use super::error::LoadError;
use super::links::{
    Answers, Deliveries, Published, Publisher, Received, RunningLink, Shared, Subscriber, Until, close, connect,
};
use super::measured::{Measured, Progress, Standing};
use super::meter::Meter;
use super::pacer::Pacer;
use super::plan::{Goal, Plan, share, whole};
use super::schedule::Schedule;
use super::text::{Run, tag};

/// How often a stage is looked at: whether it is through, whether a link has ended. What is measured is timed by the
/// links themselves.
const LOOK: Duration = Duration::from_millis(10);

/// Publishers and subscribers of one run, and their links to a relay.
///
/// It is made without links; [`subscribe`](Self::subscribe) and [`publish`](Self::publish) connect them. A load that is
/// dropped drops its links without a Close.
#[derive(Debug)]
pub struct Load {
    plan: Plan,
    shared: Arc<Shared>,
    publishers: Vec<Arc<Publisher>>,
    subscribers: Vec<Arc<Subscriber>>,
    publishing: Vec<RunningLink>,
    subscribing: Vec<RunningLink>,
}

impl Drop for Load {
    fn drop(&mut self) {
        for link in self.publishing.iter().chain(&self.subscribing) {
            link.task.abort();
        }
    }
}

impl Load {
    /// A load of this run.
    ///
    /// # Errors
    /// Where the plan cannot be carried out.
    pub fn new(plan: Plan, run: Run) -> Result<Self, LoadError> {
        plan.check()?;
        let shared = Arc::new(Shared::new(run)?);
        let publisher = |index| Arc::new(Publisher::new(index, &plan, Arc::clone(&shared)));
        let subscriber = |_| Arc::new(Subscriber::new(&plan, Arc::clone(&shared)));
        let publishers = (0..plan.publishers.get()).map(publisher).collect();
        let subscribers = (0..plan.subscribers).map(subscriber).collect();
        Ok(Self { plan, shared, publishers, subscribers, publishing: Vec::new(), subscribing: Vec::new() })
    }

    /// Connects the subscribers; `durable` ones get ids, for which the relay holds messages while they are away.
    ///
    /// # Errors
    /// Where the relay grants a link not.
    pub async fn subscribe(&mut self, durable: bool) -> Result<(), LoadError> {
        let run = self.shared.run;
        for (index, subscriber) in self.subscribers.iter().enumerate() {
            let id = durable.then(|| PeerId::new(format!("bench-{run}-{index}"))).transpose()?;
            let options = ClientOptions { id, tags: vec![Tag::new(tag(run))?], ..ClientOptions::default() };
            let name = format!("subscriber {index}");
            let inbox = Deliveries(Arc::clone(subscriber));
            let (link, _) = connect(&self.plan, name, options, inbox, Arc::clone(subscriber)).await?;
            self.subscribing.push(link);
        }
        Ok(())
    }

    /// Connects the publishers, which have no ids: the relay forgets them with their links. Answers what the relay said
    /// of itself.
    ///
    /// # Errors
    /// Where the relay grants a link not, or does not take messages that are so long.
    pub async fn publish(&mut self) -> Result<Announced, LoadError> {
        let mut relay = Announced::default();
        for (index, publisher) in self.publishers.iter().enumerate() {
            let name = format!("publisher {index}");
            let inbox = Answers(Arc::clone(publisher));
            let (link, announced) =
                connect(&self.plan, name, ClientOptions::default(), inbox, Arc::clone(publisher)).await?;
            self.publishing.push(link);
            let (bytes, limit) = (publisher.message_len() as u64, announced.max_message_bytes.unwrap_or(u64::MAX));
            if bytes > limit {
                return Err(LoadError::TooLong { bytes, limit });
            }
            relay = announced;
        }
        Ok(relay)
    }

    /// Closes the links of the subscribers in order. When this returns the relay has read all their ACKs.
    ///
    /// # Errors
    /// Where a link ended otherwise.
    pub async fn unsubscribe(&mut self) -> Result<(), LoadError> {
        close(std::mem::take(&mut self.subscribing)).await
    }

    /// Closes all links in order.
    ///
    /// # Errors
    /// Where a link ended otherwise.
    pub async fn close(&mut self) -> Result<(), LoadError> {
        self.unsubscribe().await?;
        close(std::mem::take(&mut self.publishing)).await
    }

    /// Publishes until the goal, and waits until every message is answered and, where subscribers are connected, has
    /// come to each. `watch` is told how it goes, again and again.
    ///
    /// # Errors
    /// Where a link ends meanwhile. What does not come is no error here but a measured stall.
    pub async fn stage(&mut self, goal: Goal, watch: &mut impl AsyncFnMut(Progress)) -> Result<Measured, LoadError> {
        let start = self.shared.epoch.now();
        let _pacer = self.start(goal, start)?;
        self.settle(start, watch).await
    }

    /// Connects durable subscribers, and waits until everything that they are owed has come.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe) and [`stage`](Self::stage).
    pub async fn drain(&mut self, watch: &mut impl AsyncFnMut(Progress)) -> Result<Measured, LoadError> {
        let start = self.shared.epoch.now();
        self.subscribe(true).await?;
        self.settle(start, watch).await
    }

    async fn settle(&mut self, start: u64, watch: &mut impl AsyncFnMut(Progress)) -> Result<Measured, LoadError> {
        let shared = Arc::clone(&self.shared);
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut latest = (0, 0);
        let mut moved = start;
        let stalled = loop {
            ticks.tick().await;
            let now = shared.epoch.now();
            let counts = (shared.confirms.count(), shared.deliveries.count());
            if std::mem::replace(&mut latest, counts) != counts {
                moved = now;
            }
            if self.is_through(now) {
                break false;
            }
            self.links_are_up().await?;
            if u128::from(now - moved) > self.plan.patience.as_nanos() {
                break true;
            }
            let elapsed = Duration::from_nanos(now - start);
            watch(Progress { elapsed, confirmed: counts.0, delivered: counts.1 }).await;
        };
        for publisher in &self.publishers {
            publisher.stop();
        }
        let [sends, confirms, deliveries] = [&shared.sends, &shared.confirms, &shared.deliveries].map(Meter::take);
        Ok(Measured { start, sends, confirms, deliveries, stalled })
    }

    fn start(&self, goal: Goal, start: u64) -> Result<Option<Pacer>, LoadError> {
        let Plan { publishers, .. } = self.plan;
        let schedule = self.plan.rate().map(|rate| Schedule { start, rate, publishers });
        for (index, publisher) in (0..).zip(&self.publishers) {
            let until = match (goal.messages(self.plan.rate()), goal) {
                (Some(messages), _) => Until::Number(share(messages, index, publishers)),
                (None, Goal::For(time)) => Until::Time(start.saturating_add(whole(time.as_nanos()))),
                (None, Goal::Messages(messages)) => Until::Number(share(messages, index, publishers)),
            };
            publisher.start(until, schedule);
        }
        let pacer = schedule.map(|schedule| Pacer::start(schedule, self.shared.epoch, self.publishers.clone()));
        pacer.transpose().map_err(LoadError::Pacer)
    }

    fn is_through(&self, now: u64) -> bool {
        let mut accepted = 0;
        for publisher in &self.publishers {
            let published = publisher.published();
            if !publisher.is_through(now) || published.open() > 0 {
                return false;
            }
            accepted += published.confirmed;
        }
        self.subscribing.is_empty()
            || self.subscribers.iter().all(|subscriber| subscriber.received().messages >= accepted)
    }

    /// # Errors
    /// How a link ended that should not have.
    async fn links_are_up(&mut self) -> Result<(), LoadError> {
        let mut links = self.publishing.iter_mut().chain(&mut self.subscribing);
        let Some(link) = links.find(|link| link.task.is_finished()) else { return Ok(()) };
        let ended = (&mut link.task).await.unwrap_or(Ended::Panicked);
        Err(LoadError::Link { name: link.name.clone(), ended })
    }

    /// How long each message is, in bytes.
    pub(super) fn message_len(&self) -> usize {
        self.publishers.first().map_or(0, |publisher| publisher.message_len())
    }

    /// What was sent, and what of it is not as it should be.
    pub(super) fn standing(&self) -> Standing {
        let mut standing = Standing { stray: self.shared.strays(), ..Standing::default() };
        let mut accepted = 0;
        for Published { sent, confirmed, confirmed_again, refused } in
            self.publishers.iter().map(|publisher| publisher.published())
        {
            accepted += confirmed;
            standing.sent += sent;
            standing.unconfirmed += sent - confirmed - refused.values().sum::<u64>();
            standing.confirmed_again += confirmed_again;
            for (reason, count) in refused {
                *standing.refused.entry(reason).or_default() += count;
            }
        }
        for Received { messages, duplicates, out_of_order } in
            self.subscribers.iter().map(|subscriber| subscriber.received())
        {
            standing.missing += accepted.saturating_sub(messages);
            standing.duplicates += duplicates;
            standing.out_of_order += out_of_order;
        }
        standing
    }
}
