//! Load on a running relay, and what comes of it: the engine of `slipstream bench relay` and of the bench of the relay.
//!
//! Publishers and subscribers are links like any other, over [`link`](crate::link), whose texts are made and read here
//! without a queue and without JSON, because the generator must cost far less than the relay with which it may share a
//! machine. Every message carries what is needed to count, check and time it in its id.
//!
//! | file | subject |
//! | --- | --- |
//! | `plan` | what a load is to be |
//! | `id`, `message` | message ids, the texts of messages and ACKs, and a cheap look at what comes |
//! | `sequence` | each exactly once, and in order |
//! | `pace` | the schedule of a fixed rate |
//! | `meter` | counts and latencies |
//! | `publisher`, `subscriber` | the two kinds of links |
//! | `load` | all links together, stage by stage |
//! | `usage`, `gauge` | processor time and memory: of a process, and over a stage |
//! | `report` | the result |
//!
//! [`store`] is apart: the engines without a relay, for `slipstream bench store`.
//!
//! A load disturbs no other peer of the relay: its messages target a tag that only its own subscribers carry, and its
//! links have no ids, so that the relay forgets them when they end. In mode offline the subscribers have ids, since the
//! relay must hold messages for them; they are new for each run and the relay remembers them for its peer TTL.

mod gauge;
mod id;
mod load;
mod message;
mod meter;
mod pace;
mod plan;
mod publisher;
mod report;
mod sequence;
pub mod store;
mod subscriber;
mod usage;

use slipstream_store::InvalidId;

use self::gauge::{Gauge, RelayUsage, Watch};
pub use self::id::Run;
pub use self::load::{Load, Measured, Progress};
pub use self::plan::{Goal, Impossible, LEAST_PAYLOAD, Mode, Plan};
pub use self::report::{Count, Faults, Percentiles, Report, Stage, Usage};
pub use self::usage::Source;
use crate::client::ConnectError;
use crate::clock::Clock;
use crate::link::{Announced, Ended};

/// Why a load did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] Impossible),
    /// The relay takes no messages that are so long.
    #[error(
        "the relay takes messages of at most {limit} bytes, and these would have {bytes}: choose a smaller payload"
    )]
    TooLong {
        /// How long the messages are.
        bytes: u64,
        /// What the relay announced.
        limit: u64,
    },
    /// There is no link.
    #[error("{to}: {name} gets no link: {error}")]
    Connect {
        /// The relay.
        to: String,
        /// Whose link it was to be.
        name: String,
        /// Why.
        error: ConnectError,
    },
    /// A link ended before it was closed. What was measured until then is of no use.
    #[error("the link of {name} ended: {ended}")]
    Link {
        /// Whose link it was.
        name: String,
        /// How it ended.
        ended: Ended,
    },
    /// There is no thread that keeps the time of a schedule.
    #[error("no thread for the schedule: {0}")]
    Pacer(std::io::Error),
    /// A name that was made here is not one. This is a defect.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A histogram that was made here has bounds that it cannot have. This is a defect.
    #[error("the histogram: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// Puts a load on a relay, and answers what was measured; also where messages were refused or are missing, which the
/// report tells. The usage of the relay is read from `source`; without an answer there the report goes without it.
/// `watch` is told how each stage goes, about once a second.
///
/// # Errors
/// [`BenchError`]
///
/// # Cancellation
/// The links are dropped. What the relay has taken by then it still owes to the run's subscribers.
pub async fn run(plan: Plan, source: &Source, clock: &dyn Clock, watch: Watch<'_>) -> Result<Report, BenchError> {
    let mut bench = Bench::new(plan, source, Run::new(clock.ulid()))?;
    match bench.plan.mode {
        Mode::Offline => bench.offline(watch).await?,
        Mode::Live | Mode::Paced(_) | Mode::FanOut => bench.online(watch).await?,
    }
    bench.finish().await
}

/// A load with what is measured of it.
struct Bench<'s> {
    plan: Plan,
    run: Run,
    load: Load,
    relay: RelayUsage<'s>,
    announced: Announced,
    stages: Vec<Stage>,
    stalled: bool,
}

impl<'s> Bench<'s> {
    fn new(plan: Plan, source: &'s Source, run: Run) -> Result<Self, BenchError> {
        Ok(Self {
            load: Load::new(plan.clone(), run)?,
            plan,
            run,
            relay: RelayUsage::new(source),
            announced: Announced::default(),
            stages: Vec::new(),
            stalled: false,
        })
    }

    async fn online(&mut self, watch: Watch<'_>) -> Result<(), BenchError> {
        self.load.subscribe(false).await?;
        self.announced = self.load.publish().await?;
        if let Some(time) = self.plan.warmup {
            self.stalled = self.load.stage(Goal::For(time), &mut async |_| ()).await?.stalled;
        }
        if self.stalled {
            return Ok(());
        }
        let name = self.plan.mode.name();
        let mut gauge = Gauge::start(&mut self.relay).await;
        let goal = self.plan.goal;
        let measured = self.load.stage(goal, &mut async |now| gauge.look(name, now, watch).await).await?;
        // Once the relay has answered their Close it has read the ACKs of the subscribers.
        self.load.unsubscribe().await?;
        let stage = Stage::new(name, &measured, true, self.plan.subscribers > 0);
        self.stages.push(gauge.finish(stage).await);
        self.stalled = measured.stalled;
        Ok(())
    }

    async fn offline(&mut self, watch: Watch<'_>) -> Result<(), BenchError> {
        self.load.subscribe(true).await?;
        self.load.unsubscribe().await?;
        self.announced = self.load.publish().await?;
        let mut gauge = Gauge::start(&mut self.relay).await;
        let goal = self.plan.goal;
        let stored = self.load.stage(goal, &mut async |now| gauge.look("store", now, watch).await).await?;
        self.stages.push(gauge.finish(Stage::new("store", &stored, true, false)).await);
        self.stalled = stored.stalled;
        if self.stalled {
            return Ok(());
        }
        let mut gauge = Gauge::start(&mut self.relay).await;
        let drained = self.load.drain(&mut async |now| gauge.look("drain", now, watch).await).await?;
        self.load.unsubscribe().await?;
        self.stages.push(gauge.finish(Stage::new("drain", &drained, false, true)).await);
        self.stalled = drained.stalled;
        Ok(())
    }

    /// Closes what is still linked, and tells what was measured.
    async fn finish(mut self) -> Result<Report, BenchError> {
        self.load.close().await?;
        let Plan { mode, publishers, subscribers, window, payload, keys, ack_batch, .. } = self.plan;
        Ok(Report {
            mode: mode.name(),
            rate_per_second: self.plan.rate().map(Into::into),
            to: self.plan.to,
            relay_id: self.announced.id.map(|id| id.to_string()),
            run: self.run.to_string(),
            publishers: publishers.get(),
            subscribers,
            window: window.get(),
            payload_bytes: payload,
            message_bytes: self.load.message_len(),
            ack_batch: ack_batch.get(),
            keys: keys.map(Into::into),
            stages: self.stages,
            faults: Faults::new(self.load.standing(), self.stalled),
            relay_usage_unavailable: self.relay.unavailable(),
        })
    }
}
