//! The engine: applies a batch, has sled write its log, and syncs the log.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use sled::{Batch, Db};
use slipstream_embedded::{Engine, Label, MessageRow, Opening, Table, Tables, Visited, Write};
use slipstream_store::{Result, StoreError};

use crate::changes::Changes;
use crate::reader::SledReader;
use crate::rows::Tree;
use crate::tables::On;
use crate::views::Views;
use crate::wake::Wake;
use crate::{fault, files};

/// Sled's tables of a store, held by its writer.
#[derive(Debug)]
pub struct SledEngine {
    /// Ends before the rest goes: it holds sled, too.
    wake: Wake,
    tree: Arc<Tree>,
    folder: PathBuf,
    /// A handle of our own on sled's log, to sync it by: sled's flush hands the log to the kernel, and waits until it
    /// was sent to the disk, but not until the disk has it, nor for the length of the file.
    log: File,
    /// Up to where in sled's log everything is synced.
    synced: i64,
    /// The label of this opening, once it is over.
    over: Option<Opening>,
}

impl SledEngine {
    /// Opens what [`files::create`] made.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        files::prepare(&folder)?;
        let db = files::open(&folder)?;
        let log = files::log(&folder)?;
        files::sync(&folder)?;
        let tree = Arc::new(Tree { db, views: Views::default(), gate: RwLock::new(()) });
        let wake = Wake::start(tree.db.clone())?;
        Ok(Self { wake, tree, folder, log, synced: -1, over: None })
    }

    fn write(&mut self, batch: Batch) -> Result<()> {
        let tree = Arc::clone(&self.tree);
        let gate = tree.gate.write().unwrap_or_else(PoisonError::into_inner);
        // Reading may have split or merged pages since the last sync. Sled takes for stable what it wrote before a
        // batch: it may say so in the log, and use the space of what was replaced.
        self.flush(&tree.db)?;
        fault::caught(|| tree.db.apply_batch(batch))?;
        drop(gate);
        self.flush(&tree.db)
    }

    /// Has sled write what there is of its log, and syncs it.
    fn flush(&mut self, db: &Db) -> Result<()> {
        fault::caught(|| db.flush())?;
        let stable = db.context.pagecache.log.stable_offset();
        if stable > self.synced {
            self.log.sync_data().map_err(|error| unsynced(&error))?;
            self.synced = stable;
        }
        Ok(())
    }

    fn tables(&self) -> On<'_, Tree> {
        On(&self.tree)
    }
}

fn unsynced(error: &io::Error) -> StoreError {
    StoreError::Busy(format!("syncing sled's log: {error}"))
}

impl Tables for SledEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.tables().get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        self.tables().scan(table, first, last, visit)
    }
}

impl Engine for SledEngine {
    type Reader = SledReader;

    /// Longer rows leave more room unused in sled's segments while a store turns over.
    const PACK_BYTES: usize = 4080;

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let Some((batch, before)) = Changes::new(&self.tree, writes)?.finish() else { return Ok(()) };
        self.tree.views.changing(before);
        self.write(batch).map_err(fault::writing)?;
        self.tree.views.durable();
        Ok(())
    }

    fn set_label(&mut self, opening: Opening) -> Result<()> {
        if opening.is_over() {
            // The log is not whole before it is closed.
            self.over = Some(opening);
            return Ok(());
        }
        // What a write or a sync that failed has left is for the next opening to find out.
        files::set_label(&self.folder, opening).map_err(fault::writing)
    }

    fn label(&self) -> Result<Label> {
        files::label(&self.folder)
    }

    fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        self.tables().unpacked(visit)
    }

    fn reader(&self) -> Result<SledReader> {
        Ok(SledReader::new(Arc::clone(&self.tree)))
    }

    fn bytes(&self) -> Result<u64> {
        files::bytes(&self.folder)
    }

    fn reclaim(&mut self) -> Result<()> {
        // Sled moves what is left in a segment, and uses it again, as it writes.
        Ok(())
    }

    fn close(self) -> Result<()> {
        let Self { wake, tree, folder, log, over, .. } = self;
        drop(wake);
        if let Some(tree) = Arc::into_inner(tree) {
            tree.db.close()?;
        }
        files::wait_for_lock(&folder)?;
        // Sled passes over it if a sync fails after it made its log shorter. Linux tells everyone who has the file
        // open (fsync(2)), so it tells us, too.
        log.sync_all().map_err(|error| unsynced(&error))?;
        files::seal(&folder)?;
        over.map_or(Ok(()), |over| files::set_label(&folder, over))
    }
}
