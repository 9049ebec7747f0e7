//! A store of one engine that cells are measured on.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use slipstream_benches::engines::{BacklogReader, ComparisonError, ENVELOPE_BYTES, FAN_OUTS, Generator, Shape};
use slipstream_store::{PageLimit, Sequence};
use tokio::runtime::Runtime;

use crate::compared::Engine;
use crate::matrix::{Cell, Contents, Workload};

/// The backlog of a store that counts as empty, so that there is something to catch up on.
const SHORT_BACKLOG: u64 = 16_384;

/// A store with what generates its messages.
pub(crate) struct Fixture {
    runtime: Runtime,
    generator: Generator,
    /// How far the peer that is away has read.
    read: Option<Sequence>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// A new store of this engine with these contents.
    pub(crate) fn make(engine: &Engine, contents: Contents, pending: u64) -> Self {
        let folder = std::env::var_os("SLIPSTREAM_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let folder = tempfile::tempdir_in(folder).expect("a folder for the store");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store = (engine.open)(&folder.path().join("store")).expect("a store");
        let shape = Shape {
            recipients: FAN_OUTS.into_iter().max().unwrap_or(1),
            text_bytes: contents.value_bytes + ENVELOPE_BYTES,
            ..Shape::default()
        };
        let backlog = if contents.is_pending { pending } else { SHORT_BACKLOG };
        let generator = runtime.block_on(async {
            let mut generator = Generator::start(store, shape).await.expect("the peers are remembered");
            generator.fill(backlog, &mut |_| ()).await.expect("the backlog is stored");
            generator.purge(0, 0).await.expect("the purge runs");
            generator
        });
        Self { runtime, generator, read: None, _folder: folder }
    }

    /// Makes it ready for a cell.
    pub(crate) fn turn_to(&mut self, cell: &Cell) {
        let Self { runtime, generator, .. } = self;
        runtime.block_on(async {
            generator.fan_out(cell.fan_out).await.expect("what was owed is settled");
            if matches!(cell.workload, Workload::RecordAcknowledge | Workload::Mixed) {
                generator.prime(cell.batch).await.expect("the batches commit");
            }
            // Otherwise the first purge that is measured would forget what earlier cells have left.
            generator.purge(0, 0).await.expect("the purge runs");
        });
    }

    /// Does what a cell is about once, and answers how long that took.
    pub(crate) fn run(&mut self, cell: &Cell) -> Duration {
        let Self { runtime, generator, read, .. } = self;
        let batch = cell.batch;
        let done = runtime.block_on(async {
            match cell.workload {
                Workload::Record => {
                    let took = generator.record(batch).await?;
                    generator.settle().await?;
                    generator.purge_when_due().await?;
                    Ok(took)
                }
                Workload::RecordAcknowledge => {
                    Ok(generator.turn_over(batch).await? + generator.purge_when_due().await?)
                }
                Workload::CatchUp => read_page(&generator.backlog(), read, page_of(batch)).await,
                Workload::Redrive => {
                    generator.record(batch).await?;
                    let dead = generator.give_up().await?;
                    let took = generator.redrive(&dead).await?;
                    generator.purge_when_due().await?;
                    Ok(took)
                }
                Workload::Purge => {
                    generator.record(batch).await?;
                    generator.settle().await?;
                    generator.purge(0, 0).await
                }
                Workload::Mixed => {
                    let (backlog, page) = (generator.backlog(), generator.page());
                    let (committed, read) = tokio::join!(generator.turn_over(batch), read_page(&backlog, read, page));
                    Ok(committed?.max(read?) + generator.purge_when_due().await?)
                }
            }
        });
        done.expect("the store does it")
    }
}

/// Reads the next page of the backlog, and after the last one the first again.
async fn read_page(
    backlog: &BacklogReader,
    read: &mut Option<Sequence>,
    limit: PageLimit,
) -> Result<Duration, ComparisonError> {
    let start = Instant::now();
    *read = backlog.read(*read, limit, 1).await?.1;
    Ok(start.elapsed())
}

/// A page of so many messages, however large they are.
fn page_of(messages: u64) -> PageLimit {
    let items = u32::try_from(messages).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
    PageLimit { items, bytes: NonZeroUsize::MAX }
}
