//! A commit before it is applied: what each row will be, and what it was.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

use sled::{Batch, IVec};
use slipstream_embedded::Write;
use slipstream_store::Result;

use crate::layout;
use crate::rows::{Rows, Tree};
use crate::tables::{GO_ON, On};
use crate::views::Before;

/// The changes of a commit, by key: what was there, and what is to be there.
pub(crate) struct Changes<'s> {
    tree: &'s Tree,
    changes: BTreeMap<Vec<u8>, (Option<IVec>, Option<IVec>)>,
}

impl<'s> Changes<'s> {
    /// The changes that `writes` make, in order.
    ///
    /// # Errors
    /// If a row cannot be read or a message is too large; nothing was written.
    pub(crate) fn new(tree: &'s Tree, writes: &[Write<'_>]) -> Result<Self> {
        let mut changes = Self { tree, changes: BTreeMap::new() };
        for write in writes {
            match *write {
                Write::Put { table, key, value } => {
                    let key = layout::key(table, key);
                    let is = changes.is(&key)?;
                    changes.put_over(key, is, value.to_vec())?;
                }
                Write::Remove { table, key } => {
                    let key = layout::key(table, key);
                    if let Some(is) = changes.is(&key)? {
                        changes.remove(key, is)?;
                    }
                }
                Write::RemoveUnpacked { last } => changes.remove_unpacked(last)?,
            }
        }
        Ok(changes)
    }

    /// What sled is to apply, and the before-images of it; nothing if nothing changes.
    pub(crate) fn finish(self) -> Option<(Batch, Before)> {
        let (mut batch, mut before) = (Batch::default(), Before::new());
        for (key, (was, becomes)) in self.changes {
            if was == becomes {
                continue;
            }
            match becomes {
                Some(value) => batch.insert(key.as_slice(), value),
                None => batch.remove(key.as_slice()),
            }
            before.insert(key, was);
        }
        (!before.is_empty()).then_some((batch, before))
    }

    /// The row at `key` with the changes so far.
    fn is(&self, key: &[u8]) -> Result<Option<IVec>> {
        match self.changes.get(key) {
            Some((_, becomes)) => Ok(becomes.clone()),
            None => self.tree.row(key),
        }
    }

    /// Puts `value` in the place of `is`.
    fn put_over(&mut self, key: Vec<u8>, is: Option<IVec>, value: Vec<u8>) -> Result<()> {
        let had = pieces(is.as_ref())?;
        let (row, added) = layout::split(value);
        for (number, piece) in (0..).zip(added) {
            let key = layout::piece_key(&key, number);
            let is = if number < had { self.is(&key)? } else { None };
            self.set(key, is, Some(piece));
        }
        self.remove_pieces(&key, pieces(Some(&row))?, had)?;
        self.set(key, is, Some(row));
        Ok(())
    }

    fn remove(&mut self, key: Vec<u8>, is: IVec) -> Result<()> {
        self.remove_pieces(&key, 0, pieces(Some(&is))?)?;
        self.set(key, Some(is), None);
        Ok(())
    }

    fn remove_pieces(&mut self, key: &[u8], from: u32, to: u32) -> Result<()> {
        for number in from..to {
            let key = layout::piece_key(key, number);
            let is = self.is(&key)?;
            self.set(key, is, None);
        }
        Ok(())
    }

    /// Removes the messages of version 1 up to this one. If none is left, it is version 2.
    fn remove_unpacked(&mut self, through: u64) -> Result<()> {
        let (first, last) = layout::all_messages();
        let through = layout::message_key(through);
        let (mut rows, mut all) = (Vec::new(), true);
        On(self.tree).rows(&first, &last, &mut |key, row| {
            all = key.as_ref() <= through.as_slice();
            if !all {
                return Ok(ControlFlow::Break(()));
            }
            rows.push((key.to_vec(), row.clone()));
            GO_ON
        })?;
        rows.into_iter().try_for_each(|(key, row)| self.remove(key, row))?;
        if all {
            let is = self.is(layout::FORMAT_KEY)?;
            self.set(layout::FORMAT_KEY.to_vec(), is, Some(layout::FORMAT.into()));
        }
        Ok(())
    }

    /// Notes that the row is to be `becomes`, if it `is` something now.
    fn set(&mut self, key: Vec<u8>, is: Option<IVec>, becomes: Option<IVec>) {
        match self.changes.entry(key) {
            Entry::Occupied(mut change) => change.get_mut().1 = becomes,
            Entry::Vacant(change) => drop(change.insert((is, becomes))),
        }
    }
}

/// How many pieces follow a row.
fn pieces(row: Option<&IVec>) -> Result<u32> {
    row.map_or(Ok(0), |row| layout::parse(row).map(|(_, pieces)| pieces))
}
