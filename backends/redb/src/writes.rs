//! Carrying out writes in one transaction.

use std::ops::Bound;

use redb::{Error, Table as Opened, WriteTransaction};
use slipstream_embedded::{Table, Write};

use crate::tables::{self, MESSAGES};

type Rows<'t> = Opened<'t, &'static [u8], &'static [u8]>;

/// The tables of a transaction, each opened by the first write to it.
struct Tables<'t> {
    transaction: &'t WriteTransaction,
    freed: u64,
    messages: Option<Opened<'t, u64, &'static [u8]>>,
    rows: [(Table, Option<Rows<'t>>); Table::ALL.len()],
}

/// Carries out `writes`, in order, and returns how many bytes of messages they removed.
///
/// # Errors
/// As redb says; the transaction must not be committed then.
pub(crate) fn write(transaction: &WriteTransaction, writes: &[Write<'_>]) -> Result<u64, Error> {
    let mut tables = Tables { transaction, freed: 0, messages: None, rows: Table::ALL.map(|table| (table, None)) };
    let is_message = |write: &Write<'_>| matches!(write, Write::Message(_));
    for run in writes.chunk_by(|one, next| is_message(one) && is_message(next)) {
        match run {
            [Write::Message(_), ..] => tables.append(run)?,
            others => others.iter().try_for_each(|write| tables.apply(write))?,
        }
    }
    Ok(tables.freed)
}

impl<'t> Tables<'t> {
    /// Adds messages behind the last one. Through a cursor that costs a tenth less than to look for the place of each.
    fn append(&mut self, messages: &[Write<'_>]) -> Result<(), Error> {
        let mut end = self.messages()?.upper_bound_mut(Bound::<u64>::Unbounded)?;
        for message in messages {
            if let Write::Message(row) = message {
                let encoded = row.encode().map_err(|_| Error::ValueTooLarge(row.text.len()))?;
                end.insert_before(row.sequence, encoded.as_slice())?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, write: &Write<'_>) -> Result<(), Error> {
        match *write {
            Write::Message(_) => self.append(std::slice::from_ref(write))?,
            Write::RemoveMessages { first, last } => {
                let mut freed = 0;
                self.messages()?.retain_in(first..=last, |_, row| {
                    freed += row.len();
                    false
                })?;
                self.freed += u64::try_from(freed).unwrap_or(u64::MAX);
            }
            Write::Put { table, key, value } => drop(self.rows(table)?.insert(key, value)?),
            Write::Remove { table, key } => drop(self.rows(table)?.remove(key)?),
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<&mut Opened<'t, u64, &'static [u8]>, Error> {
        match &mut self.messages {
            Some(messages) => Ok(messages),
            none => Ok(none.insert(self.transaction.open_table(MESSAGES)?)),
        }
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
