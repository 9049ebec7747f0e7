//! How a stage goes, what it came to, and how a load stands at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::meter::Readings;

/// A stage of a load that has come to its end.
#[derive(Debug)]
pub struct Measured {
    /// When it began, in nanoseconds since the load did.
    pub(super) start: u64,
    pub(super) sends: Readings,
    pub(super) confirms: Readings,
    pub(super) deliveries: Readings,
    pub(super) stalled: bool,
}

impl Measured {
    /// From its beginning to the last confirm and the last delivery.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let last = self.confirms.last.max(self.deliveries.last);
        Duration::from_nanos(last.saturating_sub(self.start))
    }

    /// Whether it was given up before everything had come, because nothing came any more.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.stalled
    }
}

/// How far a stage has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Since the stage began.
    pub elapsed: Duration,
    /// Messages confirmed in it.
    pub confirmed: u64,
    /// Deliveries in it.
    pub delivered: u64,
}

/// How a load stands at its end.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) sent: u64,
    pub(super) unconfirmed: u64,
    pub(super) confirmed_again: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) missing: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    pub(super) stray: u64,
}
