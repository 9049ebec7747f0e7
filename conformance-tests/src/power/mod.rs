//! The power-loss tests: a store on a disk that forgets what was not synced.
//!
//! A store runs on a disk in memory that Linux mounts as a filesystem, through the same calls as on any other. The
//! disk keeps a log of every write, name and sync. From the log it makes the disk as a power cut at any time would
//! have left it; the store is opened on that and compared with the model. `docs/crash-testing.md` tells what is
//! simulated and what is not, and how to run many and to replay one.
//!
//! [`power_loss_tests!`](crate::power_loss_tests) expands to the tests. They need Linux, root and `/dev/fuse`, and fail
//! where one is missing.
//!
//! One module for each step: `image` is a disk's content and `log` its history; `disk` is in use, with the faults that
//! it is to meet. `filesystem` shows it to Linux, in the process that is `server`; `mounted` is what a test sees of it,
//! in the mounts that are `apart`. `story` is what a store goes through, `view` what it holds, and `life` plays a story
//! on a disk until a cut. The cases are in `cuts`, `syncs`, `room` and `bits`.

mod apart;
mod bits;
mod cuts;
mod disk;
mod filesystem;
mod image;
mod life;
mod log;
mod mounted;
mod room;
mod server;
mod story;
mod syncs;
mod view;

use std::any::Any;
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::{AfterACut, Harness};
use life::{Failure, Life, Remains};
use story::Story;

pub use bits::flipped_bits_are_reported;
pub use cuts::{cuts_during_recovery_do_no_harm, unsynced_writes_that_survive_do_no_harm, what_is_confirmed_survives};
pub use disk::Full;
pub use log::Unsynced;
pub use mounted::{Disks, Image, Mounted};
pub use room::{a_full_disk_loses_nothing, a_quota_is_a_full_disk};
pub use syncs::a_failed_sync_is_no_success;

const WANTED: &str = "power-loss tests mount a filesystem of their own (FUSE). They want Linux with /dev/fuse (`modprobe \
                      fuse`; in a container `--device /dev/fuse`), and to be root (CAP_SYS_ADMIN)";

/// How many cuts (or faults) there are in each test unless [`CUTS`] says otherwise.
const SHORT: u64 = 40;

const CUTS: &str = "SLIPSTREAM_POWER_CUTS";
const SEED: &str = "SLIPSTREAM_POWER_SEED";

/// How many cuts one story gets.
const CUTS_PER_STORY: u64 = 20;

/// A store that may fail to open after a cut does so at most once in so many.
const SELDOM: u64 = 10;

/// How many steps a story has.
const STEPS: usize = 30;

/// Longest that anything between two signs of progress may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a case is given.
#[derive(Debug)]
pub struct Trial<H> {
    harness: H,
    disks: Arc<Disks>,
    cuts: u64,
    seed: u64,
    /// How often the store did not open, where that is excused.
    unopened: AtomicU64,
    progress: SyncSender<()>,
}

/// Expands to the power-loss tests, each with a disk of its own.
///
/// It takes an expression that makes a [`Harness`](crate::Harness); each test evaluates it anew. A store is held to
/// the guarantee that it prints: where it says that a power cut is survived, everything that was confirmed must be there after one;
/// otherwise a first part of it, with no batch in part. Where its harness says that it may not open
/// ([`AfterACut`](crate::AfterACut)), it may do so once in ten cuts.
#[macro_export]
macro_rules! power_loss_tests {
    ($harness:expr) => {
        $crate::power_loss_tests! { @ $harness;
            what_is_confirmed_survives
            unsynced_writes_that_survive_do_no_harm
            cuts_during_recovery_do_no_harm
            a_failed_sync_is_no_success
            a_full_disk_loses_nothing
            flipped_bits_are_reported
        }
    };
    (@ $harness:expr; $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                $crate::power::run(concat!(module_path!(), "::", stringify!($case)), $harness, $crate::power::$case);
            }
        )+
    };
}

/// Runs one case. [`power_loss_tests!`](crate::power_loss_tests) calls it.
///
/// `test` is the path of the test function that calls it, with its crate, as in
/// `concat!(module_path!(), "::name")`: the process that has the disks is this same program, told to run this same test.
///
/// # Panics
/// Where the store fails the case, where it hangs, or where no filesystem can be mounted.
pub fn run<H, F>(test: &str, harness: H, case: fn(Trial<H>) -> F)
where
    H: Harness,
    F: Future<Output = Result<(), String>> + 'static,
{
    let (progress, signs) = sync_channel(1);
    let (cuts, seed) = (number(CUTS, SHORT), number(SEED, 0));
    on_disks(test, &signs, move |disks| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let trial = Trial { harness, disks, cuts, seed, unopened: AtomicU64::new(0), progress };
        if let Err(problem) = runtime.expect("a runtime starts").block_on(case(trial)) {
            panic!("{problem}");
        }
    });
}

/// Runs `work` with disks, on a thread that sees what is mounted of them. `signs` come from it when something goes on,
/// and end when it does.
///
/// In the process that has the disks, which runs the same test, this serves them and does not return.
fn on_disks(test: &str, signs: &Receiver<()>, work: impl FnOnce(Arc<Disks>) + Send + 'static) {
    if std::env::var_os(server::SERVE).is_some() {
        server::serve();
    }
    let test = test.split_once("::").map_or(test, |(_, test)| test).to_owned();
    let (ended, end) = sync_channel(1);
    apart::apart(Box::new(move || {
        let done = catch_unwind(AssertUnwindSafe(|| work(Disks::start(&test))));
        drop(ended.send(done));
    }));
    loop {
        match signs.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => panic!("nothing went on for {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match end.recv() {
        Ok(Ok(())) => {}
        // What the thread printed is with the output of whichever test came first, whose thread it is a child of.
        Ok(Err(panic)) => panic!("{}", text(&*panic)),
        Err(_) => panic!("no thread could be started"),
    }
}

/// Runs `work` with disks of its own, for tests of what a disk keeps. `test` is as in [`run`].
///
/// # Panics
/// Where `work` does, or no filesystem can be mounted.
pub fn with_disks(test: &str, work: impl FnOnce(&Arc<Disks>) + Send + 'static) {
    let (progress, signs) = sync_channel(1);
    on_disks(test, &signs, move |disks| {
        let _progress = progress;
        work(&disks);
    });
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked and gave no reason")
}

/// A seed for each cut of a test of somebody's own: as many as `SLIPSTREAM_POWER_CUTS` says, or else so many, from
/// `SLIPSTREAM_POWER_SEED` on.
///
/// # Panics
/// Where one of them is no number.
pub fn seeds(otherwise: u64) -> Range<u64> {
    let first = number(SEED, 0);
    first..first + number(CUTS, otherwise)
}

fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

impl<H: Harness> Trial<H> {
    /// The seeds of the stories, each of which gets [`CUTS_PER_STORY`].
    fn stories(&self) -> impl Iterator<Item = u64> + use<H> {
        self.seed..self.seed + self.cuts.div_ceil(CUTS_PER_STORY)
    }

    /// An empty disk.
    fn nothing(&self) -> Remains {
        Remains::nothing(&self.disks)
    }

    /// Says that something went on.
    fn goes_on(&self) {
        // Where a sign is still waiting, one is enough.
        self.progress.try_send(()).ok();
    }

    /// A whole life of a store on an empty disk, without any fault.
    async fn whole_life<'a>(&'a self, story: &'a Story) -> Result<Life<'a, H>, String> {
        let mut life = Life::begin(&self.harness, story, self.nothing()).await?;
        life.go_on(story.len()).await?;
        self.goes_on();
        Ok(life)
    }

    /// Opens the store on what remains, where nothing more goes wrong, and goes on for a few steps.
    async fn verify(&self, story: &Story, remains: Remains) -> Result<(), String> {
        let Some(mut life) = self.begin_after_a_cut(story, remains).await? else { return Ok(()) };
        life.repeat().await?;
        life.go_on(life.done + 3).await?;
        life.end().await?;
        self.goes_on();
        Ok(())
    }

    /// Opens the store on what a cut has left. There is none where it does not open and the harness says that this may
    /// be; it may be now and then only.
    async fn begin_after_a_cut<'a>(
        &'a self,
        story: &'a Story,
        remains: Remains,
    ) -> Result<Option<Life<'a, H>>, String> {
        match (Life::begin(&self.harness, story, remains).await, self.harness.after_a_cut()) {
            (Err(Failure::DoesNotOpen(problem)), AfterACut::MayNotOpen(why)) => {
                let unopened = self.unopened.fetch_add(1, Ordering::Relaxed) + 1;
                if unopened * SELDOM > self.cuts {
                    let cuts = self.cuts;
                    return Err(format!(
                        "{problem}\nIt did so {unopened} times in {cuts} cuts; excused was that {why}"
                    ));
                }
                self.goes_on();
                Ok(None)
            }
            (begun, _) => Ok(Some(begun?)),
        }
    }
}

/// How to come to a failure again.
fn replay(seed: u64, what: &str, problem: &str) -> String {
    replay_of(seed, CUTS_PER_STORY, what, problem)
}

fn replay_of(seed: u64, cuts: u64, what: &str, problem: &str) -> String {
    format!("{what}: {problem}\nReplay it with {SEED}={seed} {CUTS}={cuts}")
}
