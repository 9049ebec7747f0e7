//! Whether the disk has room for new messages.

use std::sync::atomic::{AtomicU64, Ordering};

use super::settings::DiskGuard;

/// How much is free on the disk, as of the last look.
#[derive(Debug)]
pub(super) struct Disk {
    guard: Option<DiskGuard>,
    /// [`Self::UNKNOWN`] where nobody can tell.
    free: AtomicU64,
}

impl Disk {
    const UNKNOWN: u64 = u64::MAX;

    pub(super) fn new(guard: Option<DiskGuard>) -> Self {
        Self { guard, free: AtomicU64::new(Self::UNKNOWN) }
    }

    /// Looks how much is free. It may block for a moment.
    pub(super) fn look(&self) {
        if let Some(guard) = &self.guard {
            self.free.store((guard.free)().unwrap_or(Self::UNKNOWN), Ordering::Relaxed);
        }
    }

    pub(super) fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }

    /// How many bytes are free, where that is known.
    pub(super) fn free(&self) -> Option<u64> {
        Some(self.free.load(Ordering::Relaxed)).filter(|free| *free != Self::UNKNOWN)
    }

    /// Why nothing new is taken, where the disk is low.
    pub(super) fn is_low(&self) -> Option<String> {
        let (least, free) = (self.guard.as_ref()?.min_free, self.free()?);
        (free < least).then(|| format!("the disk is low: {free} bytes are free, {least} must be"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_disk_is_low_from_when_it_was_looked_at_until_there_is_room() {
        let free = Arc::new(AtomicU64::new(99));
        let told = Arc::clone(&free);
        let guard = DiskGuard { min_free: 100, free: Arc::new(move || Some(told.load(Ordering::Relaxed))) };
        let disk = Disk::new(Some(guard));
        assert_eq!(disk.is_low(), None, "nobody has looked");
        disk.look();
        let reason = disk.is_low().unwrap();
        assert!(reason.contains("99 bytes") && reason.contains("100"), "{reason}");
        free.store(100, Ordering::Relaxed);
        disk.look();
        assert_eq!(disk.is_low(), None);
    }
}
