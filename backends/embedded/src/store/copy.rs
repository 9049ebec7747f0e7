//! All rows of a store: counted, copied into another store, compared with another's.
//!
//! The rows are the same whatever the engine, so that what is copied is exact: peers, identities, what is owed in its
//! order and with its attempts, dead letters, stamps, traces, counters and the relay's id.

use std::ops::{AddAssign, ControlFlow};

use slipstream_store::{Result, Sequence, StoreError};

use crate::engine::{Tables, Write};
use crate::rows::keys;
use crate::rows::table::{KeyKind, Table};
use crate::store::offline::OfflineStore;

/// Rows are read, and written in one commit, until they are this many bytes; one larger row still goes.
const BATCH: u64 = 4 << 20;

/// Rows are read, and written in one commit, until they are this many.
const BATCH_ROWS: usize = 16_384;

/// A bound above every key of a table.
const LAST_KEY: [u8; 137] = [0xFF; 137];

/// How many rows, and how many bytes their keys and values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// Is told each amount as it is done.
pub type Done<'d> = dyn FnMut(Amount) + 'd;

/// A row: its key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// Is shown a batch: of which table, from which key on, and its rows.
type VisitBatch<'v> = dyn FnMut(Table, &[u8], &[Row]) -> Result<()> + 'v;

/// The next rows of a table from this key on, as many as make a batch.
fn batch(tables: &dyn Tables, table: Table, first: &[u8]) -> Result<Vec<Row>> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    tables.scan(table, first, &LAST_KEY, &mut |key, value| {
        bytes += size(key, value).bytes;
        rows.push((key.to_vec(), value.to_vec()));
        let full = bytes >= BATCH || rows.len() == BATCH_ROWS;
        Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(rows)
}

/// The least key above this one; nothing if there is none.
fn after(table: Table, key: &[u8]) -> Option<Vec<u8>> {
    match table.keys() {
        // A longer key is cut to a number.
        KeyKind::Number => {
            keys::first_number(key).filter(|number| *number < Sequence::LAST.get()).map(|at| keys::number(at + 1))
        }
        KeyKind::Text | KeyKind::Bytes => Some([key, &[0]].concat()),
    }
}

fn size(key: &[u8], value: &[u8]) -> Amount {
    Amount { rows: 1, bytes: (key.len() + value.len()) as u64 }
}

fn total(rows: &[Row]) -> Amount {
    let mut total = Amount::default();
    rows.iter().for_each(|(key, value)| total += size(key, value));
    total
}

/// Shows every row of a store in batches.
fn each_batch(tables: &dyn Tables, visit: &mut VisitBatch<'_>) -> Result<()> {
    for table in Table::ALL {
        let mut first = Some(Vec::new());
        while let Some(from) = first {
            let rows = batch(tables, table, &from)?;
            visit(table, &from, &rows)?;
            first = rows.last().and_then(|(key, _)| after(table, key));
        }
    }
    Ok(())
}

/// Reads every row.
///
/// # Errors
/// As the tables say.
pub fn measure(tables: &dyn Tables) -> Result<Amount> {
    let mut amount = Amount::default();
    for table in Table::ALL {
        tables.scan(table, &[], &LAST_KEY, &mut |key, value| {
            amount += size(key, value);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(amount)
}

/// Copies every row of `from` into `to`, which is empty, in commits of bounded size. What is there if it fails or is
/// killed is a part of the rows, and no store.
///
/// # Errors
/// As the tables say.
pub fn copy(from: &dyn Tables, to: &mut dyn OfflineStore, done: &mut Done<'_>) -> Result<()> {
    each_batch(from, &mut |table, _, rows| {
        let writes: Vec<_> = rows.iter().map(|(key, value)| Write::Put { table, key, value }).collect();
        if !writes.is_empty() {
            to.apply(&writes)?;
        }
        done(total(rows));
        Ok(())
    })
}

/// Compares every row of two stores, which must have the same.
///
/// # Errors
/// `Corrupted` with the first row that differs, or as the tables say.
pub fn compare(one: &dyn Tables, other: &dyn Tables, done: &mut Done<'_>) -> Result<()> {
    each_batch(one, &mut |table, first, rows| {
        let mut expected = rows.iter();
        // Batch after batch, the bounds cover all keys that there could be.
        let last = rows.last().map_or(&LAST_KEY[..], |(key, _)| key);
        other.scan(table, first, last, &mut |key, value| match expected.next() {
            Some(row) if row.0 == key && row.1 == value => Ok(ControlFlow::Continue(())),
            _ => Err(differs(table, key)),
        })?;
        if let Some((key, _)) = expected.next() {
            return Err(differs(table, key));
        }
        done(total(rows));
        Ok(())
    })
}

fn differs(table: Table, key: &[u8]) -> StoreError {
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    StoreError::Corrupted(format!("the two stores differ in the table {} at the key {key}", table.name()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use slipstream_store::{Depth, MessageStore as _};

    use super::*;
    use crate::Engine as _;
    use crate::memory::Medium;
    use crate::tests::{acknowledge, batch, open, opened, record, remember};

    fn put<'w>(table: Table, key: &'w [u8], value: &'w [u8]) -> Write<'w> {
        Write::Put { table, key, value }
    }

    /// More rows than one batch has, the last keys that there are, and rows of a megabyte.
    fn large() -> Medium {
        let mut medium = Medium::default();
        let many: Vec<_> = (1..=20_000_u64).map(|number| (keys::number(number), keys::pair(number, 7))).collect();
        let rows =
            many.iter().flat_map(|(number, pair)| [put(Table::Journal, number, pair), put(Table::Dead, pair, number)]);
        medium.apply(&rows.collect::<Vec<_>>()).unwrap();
        let last = Sequence::LAST.get();
        let text = vec![b'x'; 1 << 20];
        let packs: Vec<_> = (1..=9).chain([last - 1, last]).map(keys::number).collect();
        medium.apply(&packs.iter().map(|key| put(Table::Packs, key, &text)).collect::<Vec<_>>()).unwrap();
        let end = keys::number(last);
        medium
            .apply(&[put(Table::Journal, &end, b"v"), put(Table::Peers, b"a", b"1"), put(Table::Peers, b"a.b", b"2")])
            .unwrap();
        medium
    }

    #[test]
    fn a_copy_has_every_row_of_however_many_batches() {
        let (from, to, folder) = (large(), Medium::default(), tempfile::tempdir().unwrap());
        let (mut done, mut compared) = (Amount::default(), Amount::default());
        copy(&from, &mut opened(&to, folder.path()), &mut |more| done += more).unwrap();
        assert!(*from.image.lock().unwrap() == *to.image.lock().unwrap());
        compare(&from, &to, &mut |more| compared += more).unwrap();
        assert_eq!(done.rows, 40_000 + 11 + 3);
        assert_eq!((measure(&from), compared), (Ok(done), done));
    }

    #[test]
    fn any_row_that_differs_is_found() {
        let from = large();
        let (first, middle, end) = (keys::pair(0, 0), keys::pair(17_000, 7), [0xFF; 136]);
        let (number, five, nine) = (keys::number(16_385), keys::number(5), keys::number(9));
        let before_last = keys::number(Sequence::LAST.get() - 2);
        let changes: [(&[Write<'_>], &str); 9] = [
            (&[put(Table::Dead, &first, b"")], "dead"),
            (&[put(Table::Dead, &middle, b"")], "dead"),
            (&[put(Table::Dead, &end, b"")], "dead"),
            (&[Write::Remove { table: Table::Dead, key: &middle }], "dead"),
            (&[Write::Remove { table: Table::Journal, key: &number }], "journal"),
            (&[put(Table::Notes, b"k", b"")], "notes"),
            (&[Write::Remove { table: Table::Packs, key: &nine }], "packs"),
            (&[put(Table::Packs, &five, b"y")], "packs"),
            (&[put(Table::Packs, &before_last, b"")], "packs"),
        ];
        for (change, table) in changes {
            let mut other =
                Medium { image: Arc::new(Mutex::new(from.image.lock().unwrap().clone())), ..Medium::default() };
            other.apply(change).unwrap();
            let differs = compare(&from, &other, &mut |_| {}).unwrap_err();
            assert!(differs.to_string().contains(&format!("the table {table} ")), "{change:?}: {differs}");
        }
    }

    #[tokio::test]
    async fn a_copied_store_opens_and_counts_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (Medium::default(), Medium::default());
        let store = open(&from, folder.path());
        store.commit(batch(vec![remember("a"), remember("b"), record("m", &["a", "b"])])).await.unwrap();
        store.commit(batch(vec![record("mm", &["a"]), acknowledge("a", 1)])).await.unwrap();
        let expected = store.stats().await.unwrap();
        store.close().await.unwrap();

        let mut target = opened(&to, folder.path());
        copy(&from, &mut target, &mut |_| {}).unwrap();
        assert_eq!((target.stats(), target.check(Depth::Full)), (Ok(expected), Ok(Vec::new())));
        let store = target.into_store().unwrap();
        assert_eq!(store.stats().await, Ok(expected));
    }
}
