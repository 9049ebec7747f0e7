//! Carrying out writes in one transaction.

use redb::{Error, ReadableTable as _, Table as Opened, WriteTransaction};
use slipstream_embedded::{Table, Write};

use crate::tables::{self, FORMAT, MESSAGES, TABLES, VERSION};

type Rows<'t> = Opened<'t, &'static [u8], &'static [u8]>;

/// The tables of a transaction, each opened by the first write to it.
struct Tables<'t> {
    transaction: &'t WriteTransaction,
    freed: u64,
    rows: [(Table, Option<Rows<'t>>); Table::ALL.len()],
}

/// Carries out `writes`, in order, and returns how many bytes of messages they removed.
///
/// # Errors
/// As redb says; the transaction must not be committed then.
pub(crate) fn write(transaction: &WriteTransaction, writes: &[Write<'_>]) -> Result<u64, Error> {
    let mut tables = Tables { transaction, freed: 0, rows: Table::ALL.map(|table| (table, None)) };
    writes.iter().try_for_each(|write| tables.apply(write))?;
    Ok(tables.freed)
}

impl<'t> Tables<'t> {
    fn apply(&mut self, write: &Write<'_>) -> Result<(), Error> {
        match *write {
            Write::Put { table, key, value } => drop(self.rows(table)?.insert(key, value)?),
            Write::Remove { table, key } => {
                let removed = self.rows(table)?.remove(key)?.map_or(0, |value| value.value().len());
                if table == Table::Packs {
                    self.freed += u64::try_from(removed).unwrap_or(u64::MAX);
                }
            }
            Write::RemoveUnpacked { last } => self.remove_unpacked(last)?,
        }
        Ok(())
    }

    /// Removes the messages of version 1 up to this one. If none is left, it is version 2.
    fn remove_unpacked(&self, last: u64) -> Result<(), Error> {
        let mut messages = self.transaction.open_table(MESSAGES)?;
        messages.retain_in(..=last, |_, _| false)?;
        if messages.first()?.is_none() {
            drop(messages);
            self.transaction.delete_table(MESSAGES)?;
            self.transaction.open_table(FORMAT)?.insert(VERSION, TABLES)?;
        }
        Ok(())
    }

    fn rows(&mut self, table: Table) -> Result<&mut Rows<'t>, Error> {
        let mut places = self.rows.iter_mut();
        match places.find(|(of, _)| *of == table) {
            Some((_, Some(rows))) => Ok(rows),
            Some((_, none)) => Ok(none.insert(self.transaction.open_table(tables::of(table))?)),
            None => Err(Error::Corrupted(format!("there is no table {}", table.name()))),
        }
    }
}
