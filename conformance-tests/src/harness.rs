//! What the author of a store writes, and what every case gets.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use slipstream_store::{MessageStore, Result, StoreError};
use tempfile::TempDir;

use crate::model::{ModelMedium, ModelStore};

/// How the suite gets at a store. This is all that the author of one writes.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// Lets the files at this path be opened that were copied from a store while it was open, as a kill leaves them. A
    /// store that cannot tell a copy from what a kill leaves does nothing.
    fn take_copy(&self, _path: &Path) {}

    /// The store under test.
    type Store: MessageStore;

    /// Opens the store at `place`.
    ///
    /// Each case has a place of its own: a path in a temporary folder. At the first open nothing is there but the
    /// folder, and the store begins empty. Later opens find what was left, whether the store was closed or dropped.
    /// A place that [`MessageStore::backup`] wrote is opened in the same way. A store that keeps nothing in files
    /// takes the path as a name.
    ///
    /// # Errors
    /// What the store returns; cases look at it.
    async fn open(&self, place: &Path) -> Result<Self::Store>;

    /// The files that hold the data of a closed store: `place` itself, or all files below it. The case of clause
    /// C11 damages them. A lock file does not belong to them; by default, files whose names end in `lock` do not.
    fn data_files(&self, place: &Path) -> Vec<PathBuf> {
        files_at(place)
    }

    /// Whether the store notices that data changed on the disk. The power-loss tests hold it to this.
    fn flipped_bits(&self) -> FlippedBits {
        FlippedBits::Reported
    }

    /// Whether the store always opens after a power cut. The power-loss tests hold it to this.
    fn after_a_cut(&self) -> AfterACut {
        AfterACut::Opens
    }
}

/// What comes of a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterACut {
    /// The store opens.
    Opens,
    /// Once in a while it says `Corrupted` and does not open: why, in a sentence.
    MayNotOpen(&'static str),
}

/// What comes of a bit that flips in a store's data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlippedBits {
    /// Opening, checking or reading reports it, unless everything reads as before.
    Reported,
    /// It may be that something else is read than was written, and nobody is told: why, in a sentence.
    MayGoUnnoticed(&'static str),
}

/// The harness of [`ModelStore`].
#[derive(Debug, Default)]
pub struct ModelHarness(ModelMedium);

#[async_trait]
impl Harness for ModelHarness {
    type Store = ModelStore;

    async fn open(&self, place: &Path) -> Result<ModelStore> {
        ModelStore::open(&self.0, place)
    }
}

/// The harness of [`ModelStore`] as a shared store.
#[derive(Debug, Default)]
pub struct SharedModelHarness(ModelMedium);

#[async_trait]
impl Harness for SharedModelHarness {
    type Store = ModelStore;

    async fn open(&self, place: &Path) -> Result<ModelStore> {
        Ok(ModelStore::open_shared(&self.0, place))
    }
}

/// A folder of its own for one case, with a fresh store in it. The folder goes with the value.
#[derive(Debug)]
pub struct Sandbox<H> {
    harness: H,
    folder: TempDir,
}

impl<H: Harness> Sandbox<H> {
    /// A new folder for a store of this harness.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    #[must_use]
    pub fn new(harness: H) -> Self {
        Self { harness, folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    /// Lets a copy be opened, as [`Harness::take_copy`] says.
    pub fn take_copy(&self, path: &Path) {
        self.harness.take_copy(path);
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A path beside the store's, at which nothing is.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data_files(&self) -> Vec<PathBuf> {
        self.harness.data_files(&self.path())
    }

    pub(crate) async fn try_open(&self) -> Result<H::Store> {
        self.harness.open(&self.path()).await
    }

    pub(crate) async fn open(&self) -> H::Store {
        self.try_open().await.expect("the store opens")
    }

    pub(crate) async fn open_at(&self, path: &Path) -> Result<H::Store> {
        self.harness.open(path).await
    }

    pub(crate) async fn reopen(&self, store: H::Store) -> H::Store {
        store.close().await.expect("the store closes");
        drop(store);
        self.open().await
    }

    /// Opens a store that was dropped without being closed, once its place is free.
    pub(crate) async fn open_after_drop(&self, path: &Path) -> Result<H::Store> {
        open_after_drop(&self.harness, path).await
    }
}

/// Opens a store that was dropped without being closed, once its place is free. (A closed one's place may be held for
/// a moment, too, if another thread starts a process, which has all open files until it runs its program.)
pub(crate) async fn open_after_drop<H: Harness>(harness: &H, path: &Path) -> Result<H::Store> {
    let deadline = Instant::now() + DROP_TIME;
    loop {
        match harness.open(path).await {
            Err(StoreError::InUse(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            opened => return opened,
        }
    }
}

/// Longest that a store may keep its place after it was dropped.
const DROP_TIME: Duration = Duration::from_secs(30);

/// Longest that a case may take before it counts as hanging.
const CASE_TIME: Duration = Duration::from_secs(300);

/// Runs one case on a runtime of its own. [`conformance_tests!`](crate::conformance_tests) calls it.
///
/// # Panics
/// If the store fails the case.
pub fn run<H: Harness, F: Future<Output = ()>>(harness: H, case: impl FnOnce(Sandbox<H>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let case = case(Sandbox::new(harness));
    let ended = runtime.expect("a runtime starts").block_on(async { tokio::time::timeout(CASE_TIME, case).await });
    assert!(ended.is_ok(), "the case did not end within {CASE_TIME:?}");
}

fn files_at(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        let is_lock = path.to_string_lossy().ends_with("lock");
        return if is_lock { Vec::new() } else { vec![path.to_owned()] };
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.flat_map(|entry| files_at(&entry.path())).collect()
}
