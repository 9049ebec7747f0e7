//! The thread that keeps a schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::links::Publisher;
use super::meter::Epoch;
use super::schedule::Schedule;

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
