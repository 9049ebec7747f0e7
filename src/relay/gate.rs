//! Whether a message of a peer may come in at all: not faster than the peer may send, and not while the disk is low.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::settings::DiskGuard;
use crate::protocol::Code;

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

/// What stands before one link's messages.
#[derive(Debug)]
pub(super) struct Gate {
    rate: Option<Rate>,
    disk: Arc<Disk>,
}

impl Gate {
    /// A gate that lets `rate` messages a second through.
    pub(super) fn new(rate: Option<NonZeroU32>, disk: Arc<Disk>) -> Self {
        Self { rate: rate.map(Rate::new), disk }
    }

    /// Why a message that comes now is not taken. Each that is asked about counts against the rate.
    pub(super) fn refuses(&mut self, now: Duration) -> Option<(Code, String)> {
        if let Some(rate) = &mut self.rate
            && !rate.permits(now)
        {
            return Some((Code::RateLimited, format!("this peer may send {} messages a second", rate.a_second)));
        }
        self.disk.is_low().map(|reason| (Code::StorageUnavailable, reason))
    }
}

/// A rate with bursts of up to a second's messages (the generic cell rate algorithm).
#[derive(Debug)]
struct Rate {
    a_second: u32,
    each: Duration,
    /// Until when what was let through would have taken at the even rate.
    taken_until: Duration,
}

impl Rate {
    const BURST: Duration = Duration::from_secs(1);

    fn new(a_second: NonZeroU32) -> Self {
        Self { a_second: a_second.get(), each: Self::BURST / a_second.get(), taken_until: Duration::ZERO }
    }

    fn permits(&mut self, now: Duration) -> bool {
        let taken_until = self.taken_until.max(now) + self.each;
        let permits = taken_until <= now + Self::BURST;
        if permits {
            self.taken_until = taken_until;
        }
        permits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_a_second_of_messages_at_once_and_then_the_rate() {
        let mut rate = Rate::new(NonZeroU32::new(10).unwrap());
        let mut let_through = |from: u64, until: u64| {
            (from..until).filter(|millis| rate.permits(Duration::from_secs(5) + Duration::from_millis(*millis))).count()
        };
        assert_eq!(let_through(0, 1), 1);
        assert_eq!(let_through(1, 50), 9, "the rest of the burst");
        assert_eq!(let_through(50, 1_050), 10, "one each tenth of a second");
        assert_eq!(let_through(60_000, 60_050), 10, "no more than a second's messages are saved up");
    }

    #[test]
    fn a_low_disk_closes_the_gate_until_there_is_room() {
        let free = Arc::new(AtomicU64::new(99));
        let told = Arc::clone(&free);
        let guard = DiskGuard { min_free: 100, free: Arc::new(move || Some(told.load(Ordering::Relaxed))) };
        let disk = Arc::new(Disk::new(Some(guard)));
        let mut gate = Gate::new(None, Arc::clone(&disk));
        assert_eq!(gate.refuses(Duration::ZERO), None, "nobody has looked");
        disk.look();
        let (code, reason) = gate.refuses(Duration::ZERO).unwrap();
        assert_eq!(code, Code::StorageUnavailable);
        assert!(reason.contains("99 bytes") && reason.contains("100"), "{reason}");
        free.store(100, Ordering::Relaxed);
        disk.look();
        assert_eq!(gate.refuses(Duration::ZERO), None);
    }
}
