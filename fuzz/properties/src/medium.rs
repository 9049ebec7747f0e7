//! The rows of a store, in memory, and an engine that has them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use slipstream_embedded::{Engine, Label, MessageRow, Opening, Reader, Table, Tables, Visited, Write};
use slipstream_store::{Defect, Depth, Result, Sequence, StoreError};

/// The rows of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// The messages of version 1, by sequence.
    unpacked: BTreeMap<u64, Vec<u8>>,
}

impl Rows {
    /// Reads rows one after the other: a byte for the table, one for the length of the key, two for that of the row, and
    /// both. Those of messages of version 1 have their sequence for a key. What is cut short is left out.
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut rows = Self::default();
        while let Some((&[table, key, high, low], rest)) = bytes.split_first_chunk() {
            let lengths = (usize::from(key), usize::from(u16::from_be_bytes([high, low])));
            let Some((key, rest)) = rest.split_at_checked(lengths.0) else { break };
            let Some((row, rest)) = rest.split_at_checked(lengths.1) else { break };
            match Table::ALL.get(usize::from(table) % (Table::ALL.len() + 1)) {
                Some(&table) => drop(rows.rows.insert((table, key.to_vec()), row.to_vec())),
                None => {
                    let sequence = key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                    rows.unpacked.insert(sequence & Sequence::LAST.get(), row.to_vec());
                }
            }
            bytes = rest;
        }
        rows
    }
}

impl Tables for Rows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        for ((_, key), row) in self.rows.range((table, first.to_vec())..=(table, last.to_vec())) {
            if visit(key, row)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// An engine whose rows are these. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Medium(Arc<Mutex<Rows>>);

impl Medium {
    pub(crate) fn new(rows: Rows) -> Self {
        Self(Arc::new(Mutex::new(rows)))
    }

    /// The rows as they are now.
    fn view(&self) -> Rows {
        self.0.lock().clone()
    }
}

impl Tables for Medium {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.lock().get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        self.view().scan(table, first, last, visit)
    }
}

impl Engine for Medium {
    type Reader = Self;

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let Rows { rows, unpacked } = &mut *self.0.lock();
        for write in writes {
            match *write {
                Write::Put { table, key, value } => drop(rows.insert((table, key.to_vec()), value.to_vec())),
                Write::Remove { table, key } => drop(rows.remove(&(table, key.to_vec()))),
                Write::RemoveUnpacked { last } => unpacked.retain(|sequence, _| *sequence > last),
            }
        }
        Ok(())
    }

    fn set_label(&mut self, _: Opening) -> Result<()> {
        Ok(())
    }

    fn label(&self) -> Result<Label> {
        Ok(Label::Missing)
    }

    fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        let unpacked = self.view().unpacked;
        for (sequence, row) in &unpacked {
            // The sequence is the key, which an engine does not mistake.
            if visit(&MessageRow { sequence: *sequence, ..MessageRow::decode(row)? })? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(!unpacked.is_empty())
    }

    fn reader(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn reclaim(&mut self) -> Result<()> {
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}

impl Reader for Medium {
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()> {
        work(&self.view())
    }

    fn verify(&mut self, _: Depth) -> Result<Vec<Defect>> {
        Ok(Vec::new())
    }

    fn backup(&mut self, _: &Path) -> Result<()> {
        Err(StoreError::Unsupported("a backup of rows".to_owned()))
    }
}
