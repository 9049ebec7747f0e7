//! Sled while it is open, out of which no panic gets when it closes.

use std::ops::Deref;

use sled::{Config, Db};
use slipstream_store::Result;

use crate::fault;

/// Sled, open. It closes when this and every clone of its `Db` is gone.
#[derive(Debug)]
pub(crate) struct Handle {
    // Dropped first, so that sled closes with the other.
    db: Db,
    kept: Kept,
}

#[derive(Debug)]
struct Kept(Option<Db>);

impl Handle {
    /// Opens sled, or makes its files.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let db = fault::caught(|| config.open())?;
        Ok(Self { kept: Kept(Some(db.clone())), db })
    }

    /// Closes it; sled writes and syncs what is left.
    ///
    /// # Errors
    /// If sled could not, as far as it says so.
    pub(crate) fn close(self) -> Result<()> {
        let Self { db, mut kept } = self;
        fault::caught(move || {
            db.flush()?;
            drop((db, kept.0.take()));
            Ok(())
        })
    }
}

impl Deref for Handle {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Drop for Kept {
    /// Sled panics if it cannot write what is left.
    fn drop(&mut self) {
        let db = self.0.take();
        // Whoever wanted to know would have called `close`.
        drop(fault::caught(|| {
            drop(db);
            Ok(())
        }));
    }
}
