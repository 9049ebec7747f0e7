//! A small store in one file: a journal of records, each of which stands for a batch or a purge, and the model, which
//! is made of them at opening. It can have one flaw.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroU32;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream_conformance::{AfterACut, FlippedBits, Harness, ModelStore};
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Durability, Guarantee,
    Horizon, Identity, MessageStore, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster, Sequence, Show,
    Stats, StoreError, Timestamp, Trace,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AnswersBeforeSyncing,
    ForgetsTheFolder,
    CommitsInHalves,
    TrustsRecords,
    RecoversInPlace,
    PassesOverFailedSyncs,
    TriesSyncsAgain,
    SaysBusyToFailedSyncs,
    LeavesHoles,
    DoesWhatItRefuses,
    OpensOnlyIfClosed,
}

/// What a record stands for. The journal has numbers only; this is what they mean, for as long as the test runs.
#[derive(Debug, Clone)]
enum Entry {
    Batch(Arc<Batch>),
    Purge(Horizon, NonZeroU32),
    /// The store was closed. After it, a record that is damaged cannot be one that was not finished.
    End,
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// A record is its number so many times, an odd one, so that it lies in more than one sector.
const COPIES: usize = 75;
const RECORD: usize = COPIES * 8;

fn record(entry: Entry) -> [u8; RECORD] {
    let mut entries = ENTRIES.lock();
    entries.push(entry);
    let number = entries.len() as u64;
    let mut record = [0; RECORD];
    record.chunks_exact_mut(8).for_each(|copy| copy.copy_from_slice(&number.to_le_bytes()));
    record
}

pub(crate) struct FileHarness {
    pub(crate) flaw: Flaw,
    pub(crate) flipped_bits: FlippedBits,
    pub(crate) after_a_cut: AfterACut,
}

impl FileHarness {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, flipped_bits: FlippedBits::Reported, after_a_cut: AfterACut::Opens }
    }
}

#[async_trait]
impl Harness for FileHarness {
    type Store = FileStore;

    async fn open(&self, place: &Path) -> Result<FileStore> {
        FileStore::open(place, self.flaw).await
    }

    fn flipped_bits(&self) -> FlippedBits {
        self.flipped_bits
    }

    fn after_a_cut(&self) -> AfterACut {
        self.after_a_cut
    }
}

#[derive(Debug)]
pub(crate) struct FileStore {
    model: ModelStore,
    journal: Mutex<Journal>,
    flaw: Flaw,
}

#[derive(Debug)]
struct Journal {
    file: File,
    end: u64,
    flaw: Flaw,
    poison: Option<String>,
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn busy(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full(error.to_string()),
        _ => StoreError::Busy(error.to_string()),
    }
}

impl FileStore {
    async fn open(place: &Path, flaw: Flaw) -> Result<Self> {
        let path = place.join("journal");
        fs::create_dir_all(place).map_err(busy)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(busy)?;
        if flaw != Flaw::ForgetsTheFolder {
            for folder in [place.to_owned(), place.parent().map_or_else(PathBuf::new, Path::to_owned)] {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(busy)?;
            }
        }
        let bytes = fs::read(&path).map_err(busy)?;
        let entries = read_entries(&bytes, flaw)?;
        if flaw == Flaw::OpensOnlyIfClosed && !matches!(entries.last(), None | Some(Entry::End)) {
            return Err(StoreError::Corrupted("it was not closed".to_owned()));
        }
        let model = ModelStore::in_memory();
        for entry in &entries {
            apply(&model, entry).await?;
        }
        let end = (entries.len() * RECORD) as u64;
        if flaw == Flaw::RecoversInPlace {
            file.set_len(0).and_then(|()| file.sync_all()).map_err(busy)?;
            file.write_all_at(&bytes[..entries.len() * RECORD], 0).map_err(busy)?;
        }
        file.set_len(end).and_then(|()| file.sync_all()).map_err(busy)?;
        Ok(Self { model, journal: Mutex::new(Journal { file, end, flaw, poison: None }), flaw })
    }
}

fn read_entries(bytes: &[u8], flaw: Flaw) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut records = bytes.chunks(RECORD).map(|record| read_entry(record, flaw));
    for entry in records.by_ref() {
        match entry {
            Some(entry) => entries.push(entry),
            None if flaw == Flaw::TrustsRecords => return Err(StoreError::Corrupted("an unknown record".to_owned())),
            None => break,
        }
    }
    match records.any(|record| record.is_some()) {
        true => Err(StoreError::Corrupted("a damaged record before one that is not".to_owned())),
        false => Ok(entries),
    }
}

fn read_entry(record: &[u8], flaw: Flaw) -> Option<Entry> {
    let copies = record.as_chunks::<8>().0.iter().map(|copy| u64::from_le_bytes(*copy));
    // Of equal copies, odd in number, it is the number.
    let number = copies.clone().fold(0, |all, copy| all ^ copy);
    // One that trusts its records takes them for whole.
    record.get(RECORD - 1)?;
    let is_whole = copies.into_iter().all(|copy| copy == number);
    if !is_whole && flaw != Flaw::TrustsRecords {
        return None;
    }
    ENTRIES.lock().get(usize::try_from(number).ok()?.checked_sub(1)?).cloned()
}

async fn apply(model: &ModelStore, entry: &Entry) -> Result<()> {
    match entry {
        Entry::Batch(batch) => model.commit(Arc::clone(batch)).await.map(drop),
        Entry::Purge(horizon, budget) => model.purge(*horizon, *budget).await.map(drop),
        Entry::End => Ok(()),
    }
}

impl Journal {
    fn append(&mut self, entry: Entry) -> Result<()> {
        if let Some(reason) = &self.poison {
            return Err(StoreError::Poisoned(reason.clone()));
        }
        if let Err(error) = self.file.write_all_at(&record(entry), self.end) {
            if self.flaw == Flaw::LeavesHoles {
                self.end += RECORD as u64;
            }
            return Err(busy(error));
        }
        self.end += RECORD as u64;
        match self.sync() {
            Ok(()) => Ok(()),
            Err(error) if self.flaw == Flaw::SaysBusyToFailedSyncs => Err(busy(error)),
            Err(error) => {
                self.poison = Some(error.to_string());
                Err(StoreError::Poisoned(error.to_string()))
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.flaw {
            Flaw::AnswersBeforeSyncing => Ok(()),
            Flaw::PassesOverFailedSyncs => self.file.sync_data().or(Ok(())),
            Flaw::TriesSyncsAgain => self.file.sync_data().or_else(|_| self.file.sync_data()),
            _ => self.file.sync_data(),
        }
    }
}

#[async_trait]
impl MessageStore for FileStore {
    fn guarantee(&self) -> Guarantee {
        Guarantee::new("file", Durability::Full)
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        let halves = batch.operations.split_at(batch.operations.len() / 2);
        if self.flaw == Flaw::CommitsInHalves && !halves.0.is_empty() {
            let mut outcomes = Vec::new();
            for half in [halves.0, halves.1] {
                let half: Arc<Batch> = Arc::new(half.to_vec().into());
                self.journal.lock().append(Entry::Batch(Arc::clone(&half)))?;
                outcomes.extend(self.model.commit(half).await?);
            }
            return Ok(outcomes);
        }
        let appended = self.journal.lock().append(Entry::Batch(Arc::clone(&batch)));
        if appended.is_err() && self.flaw == Flaw::DoesWhatItRefuses {
            self.model.commit(batch).await?;
            return appended.map(|()| Vec::new());
        }
        appended?;
        self.model.commit(batch).await
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        self.model.pending(peer, after, limit).await
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        self.model.deliveries(identity).await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        self.model.exchanged(peer, show).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        self.model.dead_letters(filter, after, limit).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        self.model.dead_letter_counts().await
    }

    async fn roster(&self) -> Result<Roster> {
        self.model.roster().await
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.journal.lock().append(Entry::Purge(horizon, budget))?;
        self.model.purge(horizon, budget).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.model.stats().await
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        self.model.check(depth).await
    }

    async fn backup(&self, _target: &Path) -> Result<()> {
        Err(StoreError::Unsupported("it is only for tests".to_owned()))
    }

    async fn close(&self) -> Result<()> {
        self.journal.lock().append(Entry::End)?;
        self.model.close().await
    }
}
