//! An engine in memory for the tests of this crate, whose writes and closing fail when they are told to.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex};

use slipstream_store::{Defect, Depth, Result, StoreError};

use crate::engine::{Engine, Reader, Tables, Visited, Write};
use crate::files::opening::{Label, Opening};
use crate::rows::owned::OwnedMessage;
use crate::rows::table::{MessageRow, Table};

/// The tables as of one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// The messages, if the store is of version 1.
    pub(crate) unpacked: Option<BTreeMap<u64, OwnedMessage>>,
}

/// What outlives an engine: the tables, and the errors that the next writes, or the closing, are to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct Medium {
    pub(crate) image: Arc<Mutex<Image>>,
    pub(crate) faults: Arc<Mutex<VecDeque<StoreError>>>,
    /// How many writes go before those that fail.
    pub(crate) spared: Arc<Mutex<u32>>,
    pub(crate) label: Arc<Mutex<Option<Opening>>>,
}

impl Tables for Image {
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
        for ((_, key), value) in self.rows.range((table, first.to_vec())..=(table, last.to_vec())) {
            if visit(key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Medium {
    fn image(&self) -> Image {
        self.image.lock().unwrap().clone()
    }
}

impl Tables for Medium {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.image.lock().unwrap().get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        // Row by row, since a visit may read, too.
        let mut from = Bound::Included((table, first.to_vec()));
        let last = Bound::Included((table, last.to_vec()));
        loop {
            let next = self
                .image
                .lock()
                .unwrap()
                .rows
                .range((from, last.clone()))
                .next()
                .map(|(at, row)| (at.clone(), row.clone()));
            let Some((at, row)) = next else { return Ok(()) };
            if visit(&at.1, &row)? == ControlFlow::Break(()) {
                return Ok(());
            }
            from = Bound::Excluded(at);
        }
    }
}

impl Engine for Medium {
    type Reader = Self;

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let mut spared = self.spared.lock().unwrap();
        if *spared > 0 {
            *spared -= 1;
        } else if let Some(fault) = self.faults.lock().unwrap().pop_front() {
            return Err(fault);
        }
        let mut image = self.image.lock().unwrap();
        for write in writes {
            match *write {
                Write::Put { table, key, value } => drop(image.rows.insert((table, key.to_vec()), value.to_vec())),
                Write::Remove { table, key } => drop(image.rows.remove(&(table, key.to_vec()))),
                Write::RemoveUnpacked { last } => {
                    let left = image.unpacked.take().map(|mut rows| rows.split_off(&(last + 1)));
                    image.unpacked = left.filter(|rows| !rows.is_empty());
                }
            }
        }
        Ok(())
    }

    fn set_label(&mut self, opening: Opening) -> Result<()> {
        *self.label.lock().unwrap() = Some(opening);
        Ok(())
    }

    fn label(&self) -> Result<Label> {
        Ok(self.label.lock().unwrap().map_or(Label::Missing, Label::Of))
    }

    fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        let Some(rows) = self.image().unpacked else { return Ok(false) };
        for row in rows.values() {
            if visit(&row.row())?.is_break() {
                break;
            }
        }
        Ok(true)
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
        self.faults.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

impl Reader for Medium {
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()> {
        work(&self.image())
    }

    fn verify(&mut self, _: Depth) -> Result<Vec<Defect>> {
        Ok(Vec::new())
    }

    fn backup(&mut self, _: &Path) -> Result<()> {
        Err(StoreError::Unsupported("a backup of the engine in memory".to_owned()))
    }
}
