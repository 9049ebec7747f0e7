//! Warnings about what strangers do, of which there may be any number: one line a minute for each kind.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// After a line about something of a kind no other is written for this long; the rest is counted.
const QUIET: Duration = Duration::from_secs(60);

/// Decides which lines are written.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<HashMap<&'static str, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    left_out: u64,
}

impl Seldom {
    /// Whether a line is due. If so, how many of this kind were left out since the last one.
    #[must_use]
    pub fn due(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut told = self.0.lock();
        match told.get_mut(kind) {
            Some(last) if now.saturating_duration_since(last.at) < QUIET => {
                last.left_out += 1;
                None
            }
            last => {
                let left_out = last.map_or(0, |last| last.left_out);
                told.insert(kind, Told { at: now, left_out: 0 });
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_for_each_kind_says_how_many_there_were() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let due = |kind, seconds| seldom.due(kind, start + Duration::from_secs(seconds));
        assert_eq!([due("a", 0), due("a", 1), due("b", 2), due("a", 59)], [Some(0), None, Some(0), None]);
        assert_eq!([due("a", 60), due("a", 61), due("b", 62)], [Some(2), None, Some(0)]);
    }
}
