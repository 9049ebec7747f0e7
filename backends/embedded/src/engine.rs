//! What an engine supplies: a few ordered tables, one atomic write at a time, and snapshots to read.
//!
//! An engine knows nothing of peers or deliveries. All its calls block; the threads that make them are in
//! `store/`.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use slipstream_store::{Defect, Depth, Result};

use crate::files::opening::{Label, Opening};
use crate::rows::table::{MessageRow, Table};

/// One change to the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write<'a> {
    /// Writes a row, over the one that is there.
    Put {
        /// Where.
        table: Table,
        /// Under which key.
        key: &'a [u8],
        /// What.
        value: &'a [u8],
    },
    /// Removes a row, if it is there.
    Remove {
        /// Where.
        table: Table,
        /// Under which key.
        key: &'a [u8],
    },
    /// Removes the messages up to `last`, included, that a store of version 1 has in rows of their own. When none is left,
    /// the store is of version 2.
    RemoveUnpacked {
        /// The last sequence.
        last: u64,
    },
}

/// Whether a visit wants the next row.
pub type Visited = Result<ControlFlow<()>>;

/// Reading the tables.
pub trait Tables {
    /// The value under this key.
    ///
    /// # Errors
    /// `Corrupted` if the medium gives back what was not written; otherwise as the engine says.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Shows the rows with keys from `first` to `last`, both included, in ascending order, until `visit` has enough.
    ///
    /// # Errors
    /// As [`get`](Self::get), and what `visit` returns.
    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()>;
}

/// A view on the tables that stays as of one commit for the length of a call.
pub trait Reader: Send + 'static {
    /// Calls `work` once with the tables as of one commit. It never waits for a commit, nor does a commit wait for it.
    ///
    /// # Errors
    /// What `work` returns, or `Busy` if there is no view to be had.
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()>;

    /// Lets the engine look over its own structures.
    ///
    /// # Errors
    /// If it could not look; what it finds are defects.
    fn verify(&mut self, depth: Depth) -> Result<Vec<Defect>>;

    /// Writes a copy of the tables, as of one commit and in the smallest form that the engine has, to `target`, synced, with
    /// the label of an opening of its own that is over.
    /// Something is at `target`: an error.
    ///
    /// # Errors
    /// If it could not be written; what was begun at `target` is removed then.
    fn backup(&mut self, target: &Path) -> Result<()>;
}

/// The tables of an open store, held by the one that writes. Reading through it sees what was written last.
pub trait Engine: Tables + fmt::Debug + Send + Sized + 'static {
    /// Most bytes of a row of [`Table::Packs`], unless a message alone has more. A larger row takes an engine longer to find
    /// room for, a smaller one has it do more for a message.
    const PACK_BYTES: usize = 56 << 10;

    /// How others read.
    type Reader: Reader;

    /// Applies all of `writes`, in order, or none, and returns once they are as durable as the store was opened for.
    ///
    /// # Errors
    /// `Full` or `Busy` if surely nothing was done; `Poisoned` if that is not sure.
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()>;

    /// Puts the label of an opening into the data, and returns once it is there and synced, also if the store was
    /// opened for less. An engine with a log has it in the data themselves, if the opening is not over; it counts
    /// from then on that there is a log. The label is in none of the tables, and in no copy of them.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn set_label(&mut self, opening: Opening) -> Result<()>;

    /// The label that is there.
    ///
    /// # Errors
    /// If it cannot be read.
    fn label(&self) -> Result<Label>;

    /// Whether the store is of version 1, which has messages in rows of their own; if so, shows them in ascending order
    /// until `visit` has enough. An engine that never had stores of version 1 has nothing to say here.
    ///
    /// # Errors
    /// As [`get`](Tables::get), and what `visit` returns.
    fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        let _ = visit;
        Ok(false)
    }

    /// Another reader.
    ///
    /// # Errors
    /// If the engine cannot open one.
    fn reader(&self) -> Result<Self::Reader>;

    /// How many bytes the store takes on the medium.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn bytes(&self) -> Result<u64>;

    /// Gives a bounded part of the free space back to the medium, if there is much of it. Called after a purge.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); nothing of what is stored is at stake.
    fn reclaim(&mut self) -> Result<()>;

    /// Closes the tables, so that all of them is in their file or folder and nothing that stands beside it counts. All
    /// readers are gone by then.
    ///
    /// # Errors
    /// If that failed; everything that was applied is durable nevertheless.
    fn close(self) -> Result<()>;
}
