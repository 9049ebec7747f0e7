//! An engine's tables that are open, before there is a store on them.

use slipstream_store::{Guarantee, Result};

use crate::engine::Engine;
use crate::files::lock::StoreLock;
use crate::files::marker::Marker;
use crate::store::upgrade;

/// An engine's tables, opened and locked, before a ledger is read from them.
#[derive(Debug)]
pub struct Opened<E> {
    pub(crate) engine: E,
    pub(crate) guarantee: Guarantee,
    /// Keeps others away; held until the store is closed.
    pub(crate) lock: StoreLock,
    /// Tells this opening from others.
    pub(crate) marker: Marker,
}

impl<E: Engine> Opened<E> {
    /// Takes tables that were opened, of which `guarantee` says what an `Ok` is worth. Those of version 1 become version 2:
    /// it takes about as long as to write all of their messages, and what was done stays if it is interrupted.
    ///
    /// # Errors
    /// `Corrupted` or `Unsupported` if there is something to do and the store cannot be read: it is left as it was.
    /// Otherwise as [`Engine::apply`].
    pub fn new(engine: E, guarantee: Guarantee, lock: StoreLock, marker: Marker) -> Result<Self> {
        let mut opened = Self { engine, guarantee, lock, marker };
        upgrade::upgrade(&mut opened.engine, &mut opened.marker)?;
        Ok(opened)
    }
}
