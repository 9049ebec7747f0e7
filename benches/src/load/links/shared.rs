//! What all links of a load share.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::meter::{Epoch, Meter};
use crate::load::text::{Run, Scanner};

/// What all links of a load share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) run: Run,
    pub(crate) epoch: Epoch,
    pub(crate) scanner: Scanner,
    /// Of a schedule: when messages were handed to their link.
    pub(crate) sends: Meter,
    pub(crate) confirms: Meter,
    pub(crate) deliveries: Meter,
    stray: AtomicU64,
}

impl Shared {
    /// Nothing is measured yet; the time of the load begins.
    pub(crate) fn new(run: Run) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            run,
            epoch: Epoch::new(),
            scanner: Scanner::new(run),
            sends: Meter::new()?,
            confirms: Meter::new()?,
            deliveries: Meter::new()?,
            stray: AtomicU64::new(0),
        })
    }

    /// Notes a text that has no place on its link.
    pub(crate) fn stray(&self) {
        self.stray.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn strays(&self) -> u64 {
        self.stray.load(Ordering::Relaxed)
    }
}
