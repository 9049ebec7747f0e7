//! When a message expires: `--expires`.

use std::time::Duration;

use slipstream_store::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config;

/// Below it a number of milliseconds since 1970 is one of seconds, by mistake: the relay refuses it as `expiresAt`.
const LEAST_MILLIS: u64 = 1_000_000_000_000;

/// When a message expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// So long after it is sent.
    In(Duration),
    /// At this time.
    At(Timestamp),
}

impl Expiry {
    /// Reads a duration, or a time in RFC 3339 or in milliseconds since 1970.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(duration) = config::duration(text, Duration::from_millis(1)) {
            return Ok(Self::In(duration));
        }
        let number = text.parse().ok().filter(|millis| *millis >= LEAST_MILLIS);
        let written = || {
            let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
        };
        number.or_else(written).map(|millis| Self::At(Timestamp::from_millis(millis))).ok_or_else(|| {
            "expected a duration from now, such as `30s`, `5m` or `7d` (a bare number is seconds), or a time, such as \
             `2026-11-28T12:00:00Z` or 1795867200000 (milliseconds since 1970)"
                .to_owned()
        })
    }

    /// The time for a message that is sent now.
    pub(super) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::In(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_add(millis))
            }
            Self::At(time) => time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_duration_from_now_or_a_time() {
        let at = |millis| Ok(Expiry::At(Timestamp::from_millis(millis)));
        for (text, expected) in [
            ("30s", Ok(Expiry::In(Duration::from_secs(30)))),
            ("500ms", Ok(Expiry::In(Duration::from_millis(500)))),
            ("90", Ok(Expiry::In(Duration::from_secs(90)))),
            ("2026-11-28T12:00:00Z", at(1_795_867_200_000)),
            ("2026-11-28T13:00:00.250+01:00", at(1_795_867_200_250)),
            ("1795867200000", at(1_795_867_200_000)),
        ] {
            assert_eq!(Expiry::parse(text), expected, "{text}");
        }
        // Seconds since 1970 are neither a duration nor milliseconds.
        for text in ["", "0", "-5s", "soon", "1795867200", "2026-11-28", "2026-13-28T12:00:00Z", "1969-01-01T00:00:00Z"]
        {
            assert!(Expiry::parse(text).expect_err("refused").contains("expected a duration"), "{text}");
        }
        let now = Timestamp::from_millis(1_000);
        assert_eq!(Expiry::In(Duration::from_secs(2)).at(now).as_millis(), 3_000);
        assert_eq!(Expiry::At(Timestamp::from_millis(7)).at(now).as_millis(), 7);
    }
}
