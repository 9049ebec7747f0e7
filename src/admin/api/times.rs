//! Times as RFC 3339 has them, in UTC, with milliseconds.

use slipstream_store::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A time as text. One beyond the year 9999 is the last that can be written.
pub(super) fn rfc3339(at: Timestamp) -> String {
    const LAST: i64 = 253_402_300_799_999;
    let millis = i64::try_from(at.as_millis()).unwrap_or(LAST).min(LAST);
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.ok().and_then(|at| at.format(format).ok()).unwrap_or_default()
}

/// The time that a text says, which may be in another zone and more exact than a millisecond.
pub(super) fn from_rfc3339(text: &str) -> Option<Timestamp> {
    u64::try_from(millis_of(text)?).ok().map(Timestamp::from_millis)
}

/// The same as milliseconds since 1970, negative if it was before.
pub(super) fn millis_of(text: &str) -> Option<i128> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(at.unix_timestamp_nanos().div_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_with_milliseconds() {
        let text = |millis| rfc3339(Timestamp::from_millis(millis));
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_764_500_000_123), "2025-11-30T10:53:20.123Z");
        assert_eq!(text(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let millis = |text| from_rfc3339(text).map(Timestamp::as_millis);
        assert_eq!(millis("2025-11-30T10:53:20.123Z"), Some(1_764_500_000_123));
        assert_eq!(millis("2025-11-30T11:53:20.1239+01:00"), Some(1_764_500_000_123));
        for bad in ["", "now", "2025-11-30", "1969-12-31T23:59:59.999Z"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }
}
