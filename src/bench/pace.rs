//! When each message of a paced load is to be sent.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::meter::Epoch;
use super::plan::whole;
use super::publisher::Publisher;

/// A schedule at a fixed rate; publishers take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) start: u64,
    pub(super) rate: NonZeroU32,
    pub(super) publishers: NonZeroU16,
}

impl Schedule {
    /// When the message after `messages` of all publishers is due, in nanoseconds since the load began.
    fn turn(&self, messages: u64) -> u64 {
        self.start + whole(u128::from(messages) * 1_000_000_000 / u128::from(self.rate.get()))
    }

    /// When a publisher's message after `messages` of its own is due.
    pub(super) fn due(&self, publisher: u16, messages: u64) -> u64 {
        self.turn(messages * u64::from(self.publishers.get()) + u64::from(publisher))
    }

    /// How many messages of all publishers are due by now.
    fn elapsed(&self, now: u64) -> u64 {
        match now.checked_sub(self.start) {
            // The last one counts that is due at this very nanosecond: turns are rounded down.
            Some(since) => whole(((u128::from(since) + 1) * u128::from(self.rate.get()) - 1) / 1_000_000_000 + 1),
            None => 0,
        }
    }
}

/// Wakes publishers when their messages are due, until it is dropped. It is a thread, because the runtime's timers go by
/// the millisecond.
#[derive(Debug)]
pub(super) struct Pacer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How long the pacer sleeps at least, so that a high rate does not keep a processor busy with waking.
const LEAST_SLEEP: Duration = Duration::from_micros(50);

impl Pacer {
    /// # Errors
    /// Where there is no thread to be had.
    pub(super) fn start(schedule: Schedule, epoch: Epoch, publishers: Vec<Arc<Publisher>>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pacing = move || {
            let mut woken = 0;
            while !stopped.load(Ordering::Acquire) {
                let due = schedule.elapsed(epoch.now());
                let turns = (woken..due).take(publishers.len());
                for turn in turns {
                    let count = publishers.len() as u64;
                    #[expect(clippy::cast_possible_truncation, reason = "it is below the number of publishers")]
                    publishers[(turn % count) as usize].wake();
                }
                woken = due;
                let until = epoch.at(schedule.turn(due));
                thread::park_timeout(until.saturating_duration_since(Instant::now()).max(LEAST_SLEEP));
            }
        };
        let thread = thread::Builder::new().name("pacer".to_owned()).spawn(pacing)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(rate: u32, publishers: u16) -> Schedule {
        let rate = NonZeroU32::new(rate).expect("not 0");
        Schedule { start: 1_000, rate, publishers: NonZeroU16::new(publishers).expect("not 0") }
    }

    #[test]
    fn publishers_take_turns_at_even_distances() {
        let schedule = schedule(1_000, 2);
        let due = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(publisher, messages)| schedule.due(publisher, messages));
        assert_eq!(due, [1_000, 1_001_000, 2_001_000, 3_001_000]);
    }

    #[test]
    fn the_schedule_does_not_drift() {
        let schedule = schedule(3_000_000, 1);
        assert_eq!(schedule.due(0, 3_000_000 * 3_600), 1_000 + 3_600_000_000_000);
    }

    proptest! {
        #[test]
        fn what_is_due_is_what_has_elapsed(rate in 1..5_000_000_u32, messages in 0..1_000_000_u64) {
            let schedule = schedule(rate, 1);
            let due = schedule.due(0, messages);
            prop_assert_eq!(schedule.elapsed(due), messages + 1);
            prop_assert_eq!(schedule.elapsed(due - 1), messages);
        }
    }
}
