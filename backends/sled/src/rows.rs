//! Reading rows: the writer's from the tree as it is, a view's as of its commit.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use sled::{Db, IVec};
use slipstream_store::Result;

use crate::fault;
use crate::handle::Handle;
use crate::views::{View, Views};

/// Most rows, and about most bytes, that are read at once.
const ROWS: usize = 64;
const BYTES: usize = 256 << 10;

/// What the writer and the readers of a store share.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) db: Handle,
    pub(crate) views: Views,
    /// Held while sled is read, and by the writer while a batch is put into memory: reading may split or merge pages,
    /// and those writes must not fall between what was synced and the batch.
    pub(crate) gate: RwLock<()>,
}

impl Tree {
    fn read<T>(&self, read: impl FnOnce(&Db) -> sled::Result<T>) -> Result<T> {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        // Once a write has failed, whatever part of sled it was for, reads answer its error, too.
        fault::caught(|| read(&self.db)).map_err(|error| match self.db.context.global_error() {
            Ok(()) => error,
            Err(_) => fault::writing(error),
        })
    }
}

/// Some rows in ascending order.
pub(crate) struct Page {
    pub(crate) rows: Vec<(IVec, IVec)>,
    /// The key up to which these are all, if there may be more behind it.
    pub(crate) end: Option<IVec>,
}

/// Where rows are read from.
pub(crate) trait Rows {
    /// The row at this key.
    fn row(&self, key: &[u8]) -> Result<Option<IVec>>;

    /// The first rows from `first` to `last`, both included.
    fn page(&self, first: &[u8], last: &[u8]) -> Result<Page>;
}

/// The tree as it is, with what is not durable yet.
impl Rows for Tree {
    fn row(&self, key: &[u8]) -> Result<Option<IVec>> {
        self.read(|db| db.get(key))
    }

    fn page(&self, first: &[u8], last: &[u8]) -> Result<Page> {
        self.read(|db| {
            let (mut rows, mut bytes) = (Vec::new(), 0);
            for row in db.range(first..=last) {
                let (key, value) = row?;
                bytes += key.len() + value.len();
                rows.push((key.clone(), value));
                if rows.len() == ROWS || bytes > BYTES {
                    return Ok(Page { rows, end: Some(key) });
                }
            }
            Ok(Page { rows, end: None })
        })
    }
}

/// The tree as it was when a view began.
pub(crate) struct AsOf<'v> {
    pub(crate) tree: &'v Tree,
    pub(crate) view: View<'v>,
}

impl Rows for AsOf<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<IVec>> {
        let mut row = self.tree.row(key)?;
        self.view.amend(|before| {
            if let Some(was) = before.get(key) {
                row.clone_from(was);
            }
        })?;
        Ok(row)
    }

    fn page(&self, first: &[u8], last: &[u8]) -> Result<Page> {
        let Page { rows, end } = self.tree.page(first, last)?;
        let known = first.to_vec()..=end.as_deref().unwrap_or(last).to_vec();
        let mut amended = None;
        self.view.amend(|before| {
            for (key, was) in before.range(known.clone()) {
                let amended = amended.get_or_insert_with(|| rows.iter().cloned().collect::<BTreeMap<_, _>>());
                match was {
                    Some(value) => drop(amended.insert(IVec::from(key.as_slice()), value.clone())),
                    None => drop(amended.remove(key.as_slice())),
                }
            }
        })?;
        Ok(Page { rows: amended.map_or(rows, |amended| amended.into_iter().collect()), end })
    }
}
