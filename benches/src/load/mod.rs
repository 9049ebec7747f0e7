//! The load on a relay, which must be running: what `slipstream bench relay` does, and the criterion bench of the relay.
//!
//! Publishers and subscribers are links like any other, over [`link`](slipstream_relay::link), whose texts are made and
//! read here without a queue and without JSON, because the generator must cost far less than the relay with which it may
//! share a machine. Every message carries what is needed to count, check and time it in its id.
//!
//! | file | subject |
//! | --- | --- |
//! | `plan` | what a load is to be |
//! | `text/` | message ids, the texts of messages and ACKs, and a cheap look at what comes |
//! | `schedule`, `pacer` | a fixed rate, and the thread that keeps it |
//! | `meter` | counts and latencies |
//! | `links/` | the two kinds of links, and what they check |
//! | `stages` | all links together, stage by stage |
//! | `measured` | how a stage goes and what it came to |
//! | `usage`, `gauge` | processor time and memory: of a process, and over a stage |
//! | `report` | the result |
//!
//! A load disturbs no other peer of the relay: its messages target a tag that only its own subscribers carry, and its
//! links have no ids, so that the relay forgets them when they end. In mode offline the subscribers have ids, since the
//! relay must hold messages for them; they are new for each run and the relay remembers them for its peer TTL.

mod error;
mod gauge;
mod links;
mod measured;
mod meter;
mod pacer;
mod plan;
mod report;
mod schedule;
mod stages;
mod text;
mod usage;

use slipstream_relay::clock::Clock;
use slipstream_relay::link::Announced;

pub use self::error::LoadError;
use self::gauge::{Gauge, RelayUsage, Watch};
pub use self::measured::{Measured, Progress};
pub use self::plan::{Goal, Impossible, LEAST_PAYLOAD, Mode, Plan};
pub use self::report::{Count, Faults, Report, Stage, Usage};
pub use self::stages::Load;
pub use self::text::Run;
pub use self::usage::{MetricsPage, Source};

/// Puts a load on a relay, and answers what was measured; also where messages were refused or are missing, which the
/// report tells. The usage of the relay is read from `source`; without an answer there the report goes without it.
/// `watch` is told how each stage goes, about once a second.
///
/// # Errors
/// [`LoadError`]
///
/// # Cancellation
/// The links are dropped. What the relay has taken by then it still owes to the run's subscribers.
pub async fn run(plan: Plan, source: &Source, clock: &dyn Clock, watch: Watch<'_>) -> Result<Report, LoadError> {
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
    fn new(plan: Plan, source: &'s Source, run: Run) -> Result<Self, LoadError> {
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

    async fn online(&mut self, watch: Watch<'_>) -> Result<(), LoadError> {
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

    async fn offline(&mut self, watch: Watch<'_>) -> Result<(), LoadError> {
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
    async fn finish(mut self) -> Result<Report, LoadError> {
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
