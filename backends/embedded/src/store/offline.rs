//! A store that is open and that nobody uses: what the commands on whole stores work with, whatever its engine.

use std::fmt;
use std::path::Path;

use slipstream_store::{Defect, Depth, Guarantee, Result, Sequence, Stats, StoreError};

use crate::engine::{Engine, Reader, Tables, Visited, Write};
use crate::files::lock::StoreLock;
use crate::files::opening::Label;
use crate::ledger::load;
use crate::reading::check;
use crate::rows::codec::{self, IndexRow};
use crate::rows::table::Table;
use crate::rows::{keys, read};
use crate::store::opened::Opened;

/// A store that nobody uses, whatever its engine. Every call blocks, and is made by one thread.
pub trait OfflineStore: Tables + fmt::Debug + Send {
    /// What an `Ok` of this store is worth, and the name of its engine.
    fn guarantee(&self) -> &Guarantee;

    /// Applies all of `writes`, in order, or none; see [`Engine::apply`].
    ///
    /// # Errors
    /// As [`Engine::apply`].
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()>;

    /// The label of the opening that wrote last.
    ///
    /// # Errors
    /// As [`Engine::label`].
    fn label(&self) -> Result<Label>;

    /// How much is in the store.
    ///
    /// # Errors
    /// `Corrupted` if the tables contradict each other, `Unsupported` if a row has an unknown format.
    fn stats(&self) -> Result<Stats>;

    /// Looks for damage and for contradictions, first those of the engine, and if there are none those of the ledger.
    ///
    /// # Errors
    /// If it could not look; what it finds are defects.
    fn check(&self, depth: Depth) -> Result<Vec<Defect>>;

    /// Writes a copy of the store, in the smallest form that the engine has, to `target`; see [`Reader::backup`].
    ///
    /// # Errors
    /// As [`Reader::backup`].
    fn backup(&self, target: &Path) -> Result<()>;

    /// Closes the tables in order, whole in their file or folder, and returns the lock, which still keeps others away.
    ///
    /// # Errors
    /// As [`Engine::close`].
    fn close(self: Box<Self>) -> Result<StoreLock>;
}

/// Has a store say that of the messages that were recorded before this sequence others may be missing, as it does once
/// traces have left for their size. Nothing else changes.
///
/// # Errors
/// `Corrupted` if there is nothing in the store; as [`OfflineStore::apply`].
pub fn set_whole_from(store: &mut dyn OfflineStore, from: Sequence) -> Result<()> {
    let nothing = || StoreError::Corrupted("the ledger's counters are missing".to_owned());
    let meta = read::meta(store)?.ok_or_else(nothing)?;
    let meta = codec::decode_meta(&meta)?;
    let index = IndexRow { whole_from: from.get(), ..meta.index.ok_or_else(nothing)? };
    let value = codec::encode_meta(meta.row, index, meta.journal)?;
    store.apply(&[Write::Put { table: Table::Blocks, key: keys::META, value: &value }])
}

impl<E: Engine> OfflineStore for Opened<E> {
    fn guarantee(&self) -> &Guarantee {
        &self.guarantee
    }

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        self.marker.begin(&mut self.engine)?;
        self.engine.apply(writes)
    }

    fn label(&self) -> Result<Label> {
        self.engine.label()
    }

    fn stats(&self) -> Result<Stats> {
        Ok(load::load(&self.engine)?.stats(self.engine.bytes()?))
    }

    fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        let defects = self.engine.reader()?.verify(depth)?;
        if defects.is_empty() { check::check(&self.engine, depth) } else { Ok(defects) }
    }

    fn backup(&self, target: &Path) -> Result<()> {
        self.engine.reader()?.backup(target)
    }

    fn close(self: Box<Self>) -> Result<StoreLock> {
        self.marker.close(self.engine)?;
        Ok(self.lock)
    }
}

impl<E: Engine> Tables for Opened<E> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.engine.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        self.engine.scan(table, first, last, visit)
    }
}
