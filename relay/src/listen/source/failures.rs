//! Credentials that failed, and how long the next one from the same address waits before it is checked.
//!
//! A few failures cost nothing. From then on each credential from that address waits, twice as long after each further
//! failure, up to a limit, and only a few wait at a time: so an address tries few credentials a second, however many
//! connections it opens. It is never locked out, because others may share it: whoever waits has the right credential
//! checked. A peer whose credential was good from there before does not even wait with those whose credentials fail.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::PeerId;
use tokio::time::Instant;

use super::address::Source;
use super::recent::Recent;

/// How credentials that fail are slowed down, for each address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureLimits {
    /// Failures after which nothing waits yet.
    pub free: u32,
    /// Most failures that are held against an address.
    pub most: u32,
    /// After how long one failure is forgiven.
    pub forgiven_after: Duration,
    /// The first wait. It doubles with each further failure.
    pub first_wait: Duration,
    /// The longest wait. It is at most half of the time of the handshake.
    pub longest_wait: Duration,
    /// Most credentials that wait at a time. One more is told 429 and not checked.
    pub max_waiting: usize,
    /// Most addresses of which failures are remembered, and most peers of which it is remembered that their credential was
    /// good. The last half of them is remembered in any case.
    pub max_remembered: usize,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self {
            free: 5,
            most: 12,
            forgiven_after: Duration::from_secs(30),
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(4),
            max_waiting: 8,
            max_remembered: 8_192,
        }
    }
}

/// Who waits together: an address, or a peer whose credential was good from there.
type Suspect = (Source, Option<PeerId>);

/// What is remembered of credentials that were checked.
#[derive(Debug)]
pub(in crate::listen) struct Failures {
    limits: FailureLimits,
    remembered: Mutex<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    /// When the last failure is forgiven.
    forgiven: Recent<Suspect, Instant>,
    good: Recent<(Source, PeerId), ()>,
    waiting: HashMap<Suspect, usize>,
}

/// A credential that is about to be checked.
#[derive(Debug)]
pub(in crate::listen) struct Attempt<'a> {
    failures: &'a Failures,
    source: Source,
    id: Option<PeerId>,
    suspect: Suspect,
    /// How long it waits first.
    wait: Duration,
}

impl Failures {
    /// `handshake` is the time in which all of it must be over.
    pub(in crate::listen) fn new(limits: FailureLimits, handshake: Duration) -> Self {
        let limits = FailureLimits { longest_wait: limits.longest_wait.min(handshake / 2), ..limits };
        let most = limits.max_remembered;
        let remembered = Remembered { forgiven: Recent::new(most), good: Recent::new(most), waiting: HashMap::new() };
        Self { limits, remembered: Mutex::new(remembered) }
    }

    /// A peer at this address has brought a credential; `None` if too many wait there.
    pub(in crate::listen) fn attempt(&self, source: Source, id: Option<&PeerId>, now: Instant) -> Option<Attempt<'_>> {
        let mut remembered = self.remembered.lock();
        let is_good = |id: &PeerId| remembered.good.get(&(source, id.clone())).is_some();
        let suspect = (source, id.filter(|id| is_good(id)).cloned());
        let wait = self.wait_after(self.held_against(&remembered, &suspect, now));
        if !wait.is_zero() {
            let waiting = remembered.waiting.entry(suspect.clone()).or_default();
            if *waiting >= self.limits.max_waiting {
                return None;
            }
            *waiting += 1;
        }
        Some(Attempt { failures: self, source, id: id.cloned(), suspect, wait })
    }

    /// How many failures are not forgiven yet.
    fn held_against(&self, remembered: &Remembered, suspect: &Suspect, now: Instant) -> u32 {
        let left =
            remembered.forgiven.get(suspect).map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let failures = left.as_nanos().div_ceil(self.limits.forgiven_after.as_nanos().max(1));
        u32::try_from(failures).unwrap_or(u32::MAX)
    }

    fn wait_after(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.limits.free) {
            None => Duration::ZERO,
            Some(further) => {
                self.limits.first_wait.saturating_mul(2_u32.saturating_pow(further)).min(self.limits.longest_wait)
            }
        }
    }
}

impl Attempt<'_> {
    /// How long it has to wait before the credential is checked. It counts as waiting until it is dropped.
    pub(in crate::listen) fn wait(&self) -> Duration {
        self.wait
    }

    /// The credential was wrong.
    pub(in crate::listen) fn failed(&self, now: Instant) {
        let FailureLimits { forgiven_after, most, .. } = self.failures.limits;
        let mut remembered = self.failures.remembered.lock();
        let before = remembered.forgiven.get(&self.suspect).copied().map_or(now, |until| until.max(now));
        let until = (before + forgiven_after).min(now + forgiven_after.saturating_mul(most));
        remembered.forgiven.put(self.suspect.clone(), until);
    }

    /// The credential was good.
    pub(in crate::listen) fn succeeded(&self) {
        if let Some(id) = &self.id {
            self.failures.remembered.lock().good.put((self.source, id.clone()), ());
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.wait.is_zero() {
            return;
        }
        let waiting = &mut self.failures.remembered.lock().waiting;
        if let Some(count) = waiting.get_mut(&self.suspect) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.suspect);
            }
        }
    }
}

#[cfg(test)]
mod tests;
