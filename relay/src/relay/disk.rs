//! Whether the disk has room for new messages.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::{error, info, warn};

use super::settings::DiskGuard;

/// How much is free on the disk, as of the last look.
#[derive(Debug)]
pub(super) struct Disk {
    guard: Option<DiskGuard>,
    /// [`Self::UNKNOWN`] where nobody can tell.
    free: AtomicU64,
    /// Why the last look failed.
    unseen: Mutex<Option<String>>,
}

impl Disk {
    const UNKNOWN: u64 = u64::MAX;

    pub(super) fn new(guard: Option<DiskGuard>) -> Self {
        Self { guard, free: AtomicU64::new(Self::UNKNOWN), unseen: Mutex::default() }
    }

    /// Looks how much is free, and says where that is news. It may block for a moment.
    pub(super) fn look(&self) {
        let Some(guard) = &self.guard else { return };
        let was_low = self.is_low().is_some();
        let seen = (guard.free)();
        self.free.store(seen.as_ref().ok().copied().flatten().unwrap_or(Self::UNKNOWN), Ordering::Relaxed);
        match (was_low, self.is_low()) {
            (false, Some(reason)) => error!("{reason}; messages are refused, deliveries go on"),
            (true, None) if seen.is_ok() => info!("the disk has room again; messages are taken"),
            _ => {}
        }
        let mut unseen = self.unseen.lock();
        match (&*unseen, &seen) {
            (None, Err(reason)) => warn!("{reason}; whether the disk has room is not known"),
            (Some(_), Ok(_)) => info!("how much room the disk has is known again"),
            _ => {}
        }
        *unseen = seen.err();
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
        let guard = self.guard.as_ref()?;
        let (least, free, place) = (guard.min_free, self.free()?, &guard.place);
        (free < least).then(|| {
            format!(
                "the disk is low: {free} bytes are free at {place}, {least} must be; make room, or let less be enough"
            )
        })
    }

    /// What is wrong with the disk: it is low, or cannot be looked at.
    pub(super) fn trouble(&self) -> Option<String> {
        self.is_low().or_else(|| self.unseen.lock().clone())
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
        let look = move || Ok(Some(told.load(Ordering::Relaxed)));
        let disk = Disk::new(Some(DiskGuard { min_free: 100, place: "/data".to_owned(), free: Arc::new(look) }));
        assert_eq!(disk.is_low(), None, "nobody has looked");
        disk.look();
        let reason = disk.is_low().unwrap();
        assert!(["99 bytes", "100", "/data"].iter().all(|part| reason.contains(part)), "{reason}");
        assert_eq!(disk.trouble(), Some(reason));
        free.store(100, Ordering::Relaxed);
        disk.look();
        assert_eq!((disk.is_low(), disk.trouble()), (None, None));
    }

    #[test]
    fn a_look_that_fails_is_trouble_and_one_that_tells_nothing_is_none() {
        let answers = Mutex::new(vec![Ok(Some(1)), Ok(None), Err("/data: gone".to_owned()), Ok(Some(5))]);
        let look = move || answers.lock().pop().unwrap();
        let disk = Disk::new(Some(DiskGuard { min_free: 2, place: "/data".to_owned(), free: Arc::new(look) }));
        let seen = || {
            disk.look();
            (disk.free(), disk.is_low().is_some(), disk.trouble().is_some())
        };
        assert_eq!(seen(), (Some(5), false, false));
        assert_eq!(seen(), (None, false, true));
        assert_eq!(seen(), (None, false, false));
        assert_eq!(seen(), (Some(1), true, true));
    }
}
