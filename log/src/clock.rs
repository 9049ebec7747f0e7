//! The time of a line, in RFC 3339, in UTC, with microseconds.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

/// Shows the time. Many lines have the same second, which it writes once.
#[derive(Default)]
pub(super) struct Clock {
    second: u64,
    text: String,
    /// How much of the text is the second.
    length: usize,
}

impl Clock {
    /// Now.
    #[expect(clippy::disallowed_methods, reason = "others compare lines with their own; a simulation writes none")]
    pub(super) fn now(&mut self) -> &str {
        // Before 1970 it stands still.
        self.show(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// The time that is so long after the beginning of 1970.
    fn show(&mut self, now: Duration) -> &str {
        if self.second != now.as_secs() || self.text.is_empty() {
            self.second = now.as_secs();
            self.text = seconds(self.second);
            self.length = self.text.len();
        }
        self.text.truncate(self.length);
        let _ = write!(self.text, ".{:06}Z", now.subsec_micros());
        &self.text
    }
}

fn seconds(second: u64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    i64::try_from(second)
        .ok()
        .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok()?.format(format).ok())
        .unwrap_or_else(|| second.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_each_microsecond() {
        let mut clock = Clock::default();
        let mut show = |seconds, micros: u32| clock.show(Duration::new(seconds, micros * 1000 + 999)).to_owned();
        assert_eq!(show(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(show(1_767_225_599, 999_999), "2025-12-31T23:59:59.999999Z");
        assert_eq!(show(1_767_225_600, 0), "2026-01-01T00:00:00.000000Z");
        assert_eq!(show(1_767_225_600, 70), "2026-01-01T00:00:00.000070Z", "in the same second");
        assert_eq!(show(1_709_210_096, 123_456), "2024-02-29T12:34:56.123456Z", "also back");
    }
}
