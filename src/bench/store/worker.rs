//! One engine, in a process of its own, so that memory, processor time and bytes written are the engine's: opens a
//! store, then does what each line on its stdin asks, and answers a line of JSON. It ends with its stdin.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use slipstream_store::{Durability, MessageStore};

use super::flow::{Flow, Shape};
use super::procfs::{self, Memory};
use super::{FAN_OUTS, StoreBenchError};
use crate::backend;
use crate::config::Engine;

/// How many times the turnover tells how large the store is.
const SIZES: u64 = 10;

/// Messages of a batch of the turnover.
const TURNOVER_BATCH: u64 = 256;

/// What a worker is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Record and acknowledge in batches, for so long.
    Commits {
        /// Messages of a batch.
        batch: u64,
        /// Peers that each message goes to.
        fan_out: usize,
        /// For how long, at least; two commits at least.
        millis: u64,
    },
    /// Record, acknowledge and purge so many messages.
    TurnOver {
        /// How many.
        messages: u64,
    },
    /// Take in so many messages for a peer that is away. Each commit is answered by [`Answer::Committed`], the last by
    /// [`Answer::Filled`].
    Fill {
        /// How many.
        messages: u64,
    },
    /// Let the peer that is away read all that it is owed.
    CatchUp,
    /// Tell the memory.
    Memory,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The store is open. The first line.
    Opened {
        /// How long that took, in seconds.
        seconds: f64,
        /// How many deliveries are pending.
        pending: u64,
        /// What it guarantees, in words.
        guarantee: String,
        /// Whether that is no less than was asked for.
        is_as_asked: bool,
    },
    /// [`Task::Commits`] was done.
    Commits(Commits),
    /// [`Task::TurnOver`] was done.
    TurnedOver(TurnedOver),
    /// A commit of [`Task::Fill`] is durable.
    Committed {
        /// How many messages of the task there are.
        messages: u64,
    },
    /// [`Task::Fill`] was done.
    Filled(Filled),
    /// [`Task::CatchUp`] was done.
    CaughtUp {
        /// How many messages were read.
        messages: u64,
        /// How long that took.
        seconds: f64,
    },
    /// The memory, where the system tells.
    Memory(Option<Memory>),
    /// It cannot go on.
    Failed {
        /// Why.
        error: String,
    },
}

/// Commits of one size over a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Commits {
    /// Messages recorded, and as many acknowledged by each of their peers.
    pub messages: u64,
    /// How long the commits took.
    pub seconds: f64,
    /// The processor time meanwhile, with what making the messages takes.
    pub cpu_seconds: f64,
    /// Half of the commits took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 of a hundred took no longer.
    pub p99_ms: f64,
}

/// A turnover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnedOver {
    /// Messages that were recorded, acknowledged and purged.
    pub messages: u64,
    /// How long the commits and purges took.
    pub seconds: f64,
    /// Bytes on the disk after so many messages of this task.
    pub sizes: Vec<(u64, u64)>,
    /// Bytes written meanwhile, where the system tells.
    pub written: Option<u64>,
    /// Bytes of the texts.
    pub payload: u64,
}

/// Messages that were taken in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Filled {
    /// How many.
    pub messages: u64,
    /// How long the commits took.
    pub seconds: f64,
    /// Bytes that the store takes on the disk now.
    pub bytes: u64,
}

/// Serves one engine until stdin ends or its reader is gone.
///
/// # Errors
/// Where stdin or stdout fail. What fails in the store is answered.
pub async fn serve(engine: Engine, path: &Path, durability: Durability) -> io::Result<()> {
    let start = Instant::now();
    let opened = backend::open(engine, path, durability);
    let seconds = start.elapsed().as_secs_f64();
    let mut worker = match Worker::new(opened, path).await {
        Ok((worker, pending)) => {
            let guarantee = worker.flow.store().guarantee();
            let (is_as_asked, guarantee) = (guarantee.is_as_asked(), guarantee.to_string());
            answer(&Answer::Opened { seconds, pending, guarantee, is_as_asked })?;
            worker
        }
        Err(error) => return answer(&Answer::Failed { error: error.to_string() }),
    };
    for line in io::stdin().lock().lines() {
        let done = match serde_json::from_str(&line?) {
            Ok(task) => worker.work(task).await,
            Err(error) => Err(StoreBenchError::Worker(format!("a task that it does not know: {error}"))),
        };
        answer(&done.unwrap_or_else(|error| Answer::Failed { error: error.to_string() }))?;
    }
    Ok(())
}

fn answer(answer: &Answer) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(answer)?)?;
    stdout.flush()
}

#[derive(Debug)]
struct Worker<'p> {
    path: &'p Path,
    flow: Flow,
}

impl<'p> Worker<'p> {
    /// The worker, and how much is pending.
    async fn new(
        opened: Result<Arc<dyn MessageStore>, slipstream_store::StoreError>,
        path: &'p Path,
    ) -> Result<(Self, u64), StoreBenchError> {
        let store = opened?;
        let stats = store.stats().await?;
        let recipients = FAN_OUTS.into_iter().max().unwrap_or(1);
        // Every message that an earlier worker left here is still pending, so that these numbers are new.
        let shape = Shape { recipients, first: stats.pending * 2, ..Shape::default() };
        Ok((Self { path, flow: Flow::start(store, shape).await? }, stats.pending))
    }

    async fn work(&mut self, task: Task) -> Result<Answer, StoreBenchError> {
        Ok(match task {
            Task::Commits { batch, fan_out, millis } => {
                Answer::Commits(self.commits(batch, fan_out, Duration::from_millis(millis)).await?)
            }
            Task::TurnOver { messages } => Answer::TurnedOver(self.turn_over(messages).await?),
            Task::Fill { messages } => Answer::Filled(self.fill(messages).await?),
            Task::CatchUp => {
                let start = Instant::now();
                let (messages, _) = self.flow.backlog().read(None, self.flow.page(), u64::MAX).await?;
                Answer::CaughtUp { messages, seconds: start.elapsed().as_secs_f64() }
            }
            Task::Memory => Answer::Memory(procfs::memory()),
        })
    }

    async fn commits(&mut self, batch: u64, fan_out: usize, time: Duration) -> Result<Commits, StoreBenchError> {
        self.flow.fan_out(fan_out).await?;
        self.flow.prime(batch).await?;
        let mut latency = Histogram::<u64>::new_with_max(60_000_000, 3)?;
        let (mut took, mut messages, cpu) = (Duration::ZERO, 0, procfs::cpu());
        while took < time || latency.len() < 2 {
            let commit = self.flow.turn_over(batch).await?;
            latency.saturating_record(u64::try_from(commit.as_micros()).unwrap_or(u64::MAX));
            took += commit + self.flow.purge_when_due().await?;
            messages += batch;
        }
        let cpu = procfs::cpu().saturating_sub(cpu);
        self.flow.settle().await?;
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute are far below 2^53")]
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        let (seconds, cpu_seconds) = (took.as_secs_f64(), cpu.as_secs_f64());
        Ok(Commits { messages, seconds, cpu_seconds, p50_ms: at(0.5), p99_ms: at(0.99) })
    }

    async fn turn_over(&mut self, messages: u64) -> Result<TurnedOver, StoreBenchError> {
        self.flow.fan_out(1).await?;
        let before = procfs::written();
        let (mut took, mut done, mut sizes) = (Duration::ZERO, 0, Vec::new());
        let step = messages.div_ceil(SIZES).max(1);
        while done < messages {
            let batch = TURNOVER_BATCH.min(messages - done);
            took += self.flow.turn_over(batch).await? + self.flow.purge_when_due().await?;
            done += batch;
            if done / step > sizes.len() as u64 {
                sizes.push((done, procfs::allocated(self.path)));
            }
        }
        took += self.flow.settle().await?;
        let shape = Shape::default();
        took += self.flow.purge(shape.identities, shape.trace_bytes).await?;
        let payload = messages * shape.text_bytes as u64;
        let written = procfs::written().zip(before).map(|(after, before)| after.saturating_sub(before));
        sizes.push((messages, procfs::allocated(self.path)));
        Ok(TurnedOver { messages, seconds: took.as_secs_f64(), sizes, written, payload })
    }

    async fn fill(&mut self, messages: u64) -> Result<Filled, StoreBenchError> {
        let mut told = Ok(());
        let mut tell = |messages| {
            if told.is_ok() {
                told = answer(&Answer::Committed { messages });
            }
        };
        let took = self.flow.fill(messages, &mut tell).await?;
        told?;
        Ok(Filled { messages, seconds: took.as_secs_f64(), bytes: procfs::allocated(self.path) })
    }
}
