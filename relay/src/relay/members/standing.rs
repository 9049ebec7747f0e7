//! Whether the others may have taken this process for dead.

use std::sync::atomic::{AtomicBool, Ordering};

/// How this process stands with those that it shares a store with.
#[derive(Debug, Default)]
pub(in crate::relay) struct Standing {
    cut_off: AtomicBool,
}

impl Standing {
    /// Whether the store was out of reach for so long that another process may serve the peers that had links here. Then
    /// this one serves nobody.
    pub(in crate::relay) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Returns whether that is new.
    pub(super) fn note(&self, cut_off: bool) -> bool {
        self.cut_off.swap(cut_off, Ordering::AcqRel) != cut_off
    }
}
