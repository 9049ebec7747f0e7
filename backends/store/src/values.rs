//! Small values: places in the commit order, points in time, fingerprints and stamps.

use std::fmt;

use ulid::Ulid;
use xxhash_rust::xxh3::Xxh3;

/// A message's place in commit order, counted from 1. All deliveries of a message share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The first sequence that a store gives.
    pub const FIRST: Self = Self(1);

    /// The largest sequence; every engine can keep it in a signed 64-bit column.
    pub const LAST: Self = Self(i64::MAX as u64);

    /// The sequence with this number, where it lies in [`FIRST`](Self::FIRST) to [`LAST`](Self::LAST).
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number >= Self::FIRST.0 && number <= Self::LAST.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A point in time, in milliseconds since the Unix epoch. Stores never ask for the time: it comes in with each
/// operation (clause C10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch. As a horizon it forgets nothing.
    pub const ZERO: Self = Self(0);

    /// The largest timestamp; every engine can keep it in a signed 64-bit column.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// The point that many milliseconds after the Unix epoch, at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The point that lies `duration` earlier, at the earliest the Unix epoch.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The point that lies `duration` later, at the latest [`MAX`](Self::MAX).
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A hash of a message's type, key and value, which tells a repetition of a message from another message under the
/// same identity.
///
/// It guards against mistakes, not against malice: whoever can choose contents with equal hashes could as well
/// send the first content twice. The function is XXH3-64 and never changes, because fingerprints are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a message with this type, this key and the bytes of this value.
    #[must_use]
    pub fn of(message_type: &str, key: Option<&str>, value: Option<&[u8]>) -> Self {
        let mut hash = Xxh3::new();
        for part in [Some(message_type.as_bytes()), key.map(str::as_bytes), value] {
            // Lengths keep the parts apart; an absent part differs from an empty one.
            hash.update(&part.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
            hash.update(part.unwrap_or_default());
        }
        Self(hash.digest())
    }

    /// The fingerprint that was stored as this number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number to store.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// The number that the first relay of a mesh gave a message. It is on the wire as `EPOCH:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Made anew at each start of that relay.
    pub epoch: Ulid,
    /// Counted from 0 within the epoch.
    pub number: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_keeps_its_parts_apart_and_never_changes() {
        let print = Fingerprint::of("SK", Some("ab"), Some(b"c"));
        for other in [
            Fingerprint::of("SK", Some("a"), Some(b"bc")),
            Fingerprint::of("SA", Some("ab"), Some(b"c")),
            Fingerprint::of("SK", Some("ab"), None),
            Fingerprint::of("SK", Some("ab"), Some(b"")),
            Fingerprint::of("SK", None, Some(b"c")),
        ] {
            assert_ne!(print, other);
        }
        assert_eq!(print.as_u64(), GOLDEN, "stored fingerprints must stay readable");
    }

    const GOLDEN: u64 = 11_822_762_903_014_005_378;

    #[test]
    fn times_stop_at_their_ends() {
        use std::time::Duration;
        assert_eq!(Timestamp::from_millis(5).minus(Duration::from_secs(1)), Timestamp::ZERO);
        assert_eq!(Timestamp::from_millis(5).plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Sequence::new(0), None);
        assert_eq!(Sequence::new(u64::MAX), None);
    }
}
