//! One engine, in a process of its own, so that memory, processor time and bytes written are the engine's: opens a
//! store, then does what each line on its stdin asks, and answers a line of JSON. It ends with its stdin.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use slipstream_store::{MessageStore, StoreError};

use super::procfs;
use super::task::{Commits, Filled, Task, TaskResult, TurnedOver};
use crate::engines::error::ComparisonError;
use crate::engines::plan::FAN_OUTS;
use crate::engines::workload::{Generator, Shape};

/// How many times the turnover tells how large the store is.
const SIZES: u64 = 10;

/// Messages of a batch of the turnover.
const TURNOVER_BATCH: u64 = 256;

/// Serves one engine, whose store at `path` is opened by `opening`, until stdin ends or its reader is gone.
///
/// # Errors
/// Where stdin or stdout fail. What fails in the store is answered.
pub async fn serve(
    path: &Path,
    opening: impl Future<Output = Result<Arc<dyn MessageStore>, StoreError>>,
) -> io::Result<()> {
    let start = Instant::now();
    let opened = opening.await;
    let seconds = start.elapsed().as_secs_f64();
    let mut worker = match Worker::new(opened, path).await {
        Ok((worker, pending)) => {
            let guarantee = worker.generator.store().guarantee();
            let (is_as_asked, guarantee) = (guarantee.is_as_asked(), guarantee.to_string());
            answer(&TaskResult::Opened { seconds, pending, guarantee, is_as_asked })?;
            worker
        }
        Err(error) => return answer(&TaskResult::Failed { error: error.to_string() }),
    };
    for line in io::stdin().lock().lines() {
        let done = match serde_json::from_str(&line?) {
            Ok(task) => worker.work(task).await,
            Err(error) => Err(ComparisonError::Worker(format!("a task that it does not know: {error}"))),
        };
        answer(&done.unwrap_or_else(|error| TaskResult::Failed { error: error.to_string() }))?;
    }
    Ok(())
}

fn answer(answer: &TaskResult) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(answer)?)?;
    stdout.flush()
}

#[derive(Debug)]
struct Worker<'p> {
    path: &'p Path,
    generator: Generator,
}

impl<'p> Worker<'p> {
    /// The worker, and how much is pending.
    async fn new(
        opened: Result<Arc<dyn MessageStore>, StoreError>,
        path: &'p Path,
    ) -> Result<(Self, u64), ComparisonError> {
        let store = opened?;
        let stats = store.stats().await?;
        let recipients = FAN_OUTS.into_iter().max().unwrap_or(1);
        // Every message that an earlier worker left here is still pending, so that these numbers are new.
        let shape = Shape { recipients, first: stats.pending * 2, ..Shape::default() };
        Ok((Self { path, generator: Generator::start(store, shape).await? }, stats.pending))
    }

    async fn work(&mut self, task: Task) -> Result<TaskResult, ComparisonError> {
        Ok(match task {
            Task::Commits { batch, fan_out, millis } => {
                TaskResult::Commits(self.commits(batch, fan_out, Duration::from_millis(millis)).await?)
            }
            Task::TurnOver { messages } => TaskResult::TurnedOver(self.turn_over(messages).await?),
            Task::Fill { messages } => TaskResult::Filled(self.fill(messages).await?),
            Task::CatchUp => {
                let start = Instant::now();
                let (messages, _) = self.generator.backlog().read(None, self.generator.page(), u64::MAX).await?;
                TaskResult::CaughtUp { messages, seconds: start.elapsed().as_secs_f64() }
            }
            Task::Memory => TaskResult::Memory(procfs::memory()),
        })
    }

    async fn commits(&mut self, batch: u64, fan_out: usize, time: Duration) -> Result<Commits, ComparisonError> {
        self.generator.fan_out(fan_out).await?;
        self.generator.prime(batch).await?;
        let mut latency = Histogram::<u64>::new_with_max(60_000_000, 3)?;
        let (mut took, mut messages, cpu) = (Duration::ZERO, 0, procfs::cpu());
        while took < time || latency.len() < 2 {
            let commit = self.generator.turn_over(batch).await?;
            latency.saturating_record(u64::try_from(commit.as_micros()).unwrap_or(u64::MAX));
            took += commit + self.generator.purge_when_due().await?;
            messages += batch;
        }
        let cpu = procfs::cpu().saturating_sub(cpu);
        self.generator.settle().await?;
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute are far below 2^53")]
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        let (seconds, cpu_seconds) = (took.as_secs_f64(), cpu.as_secs_f64());
        Ok(Commits { messages, seconds, cpu_seconds, p50_ms: at(0.5), p99_ms: at(0.99) })
    }

    async fn turn_over(&mut self, messages: u64) -> Result<TurnedOver, ComparisonError> {
        self.generator.fan_out(1).await?;
        let before = procfs::written();
        let (mut took, mut done, mut sizes) = (Duration::ZERO, 0, Vec::new());
        let step = messages.div_ceil(SIZES).max(1);
        while done < messages {
            let batch = TURNOVER_BATCH.min(messages - done);
            took += self.generator.turn_over(batch).await? + self.generator.purge_when_due().await?;
            done += batch;
            if done / step > sizes.len() as u64 {
                sizes.push((done, procfs::allocated(self.path)));
            }
        }
        took += self.generator.settle().await?;
        let shape = Shape::default();
        took += self.generator.purge(shape.identities, shape.trace_bytes).await?;
        let payload = messages * shape.text_bytes as u64;
        let written = procfs::written().zip(before).map(|(after, before)| after.saturating_sub(before));
        sizes.push((messages, procfs::allocated(self.path)));
        Ok(TurnedOver { messages, seconds: took.as_secs_f64(), sizes, written, payload })
    }

    async fn fill(&mut self, messages: u64) -> Result<Filled, ComparisonError> {
        let mut told = Ok(());
        let mut tell = |messages| {
            if told.is_ok() {
                told = answer(&TaskResult::Committed { messages });
            }
        };
        let took = self.generator.fill(messages, &mut tell).await?;
        told?;
        Ok(Filled { messages, seconds: took.as_secs_f64(), bytes: procfs::allocated(self.path) })
    }
}
