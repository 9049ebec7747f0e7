//! The turns in which handshakes are answered.
//!
//! An answer takes a signature, which keeps a processor busy for up to ten milliseconds. If thousands of peers come at
//! once, such as after a restart, links that are up must not wait for all of them.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// Computes as many answers at a time as there are processors. The others wait in the order in which they came.
#[derive(Debug)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    waiting: AtomicU32,
}

impl Turns {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZeroUsize::get);
        Self { free: Arc::new(Semaphore::new(processors)), waiting: AtomicU32::new(0) }
    }

    /// How many wait for their turn.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a turn.
    pub(super) async fn next(&self) -> io::Result<Turn> {
        let _waiting = Waiting::new(&self.waiting);
        // It is never closed.
        Arc::clone(&self.free).acquire_owned().await.map(Turn).map_err(io::Error::other)
    }
}

/// A turn. It is over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Turn {
    /// Computes something on a thread of its own: the system interrupts a thread for those who have waited longer for a
    /// processor, and nobody interrupts a task.
    ///
    /// # Errors
    /// The computation has panicked.
    pub(super) async fn compute<T: Send + 'static>(
        self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let computing = spawn_blocking(move || {
            let _turn = self;
            compute()
        });
        computing.await.map_err(io::Error::other)
    }
}

/// One that waits, also if it does not wait to the end.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn there_are_as_many_turns_as_processors() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for _ in 0..available_parallelism().map_or(1, NonZeroUsize::get) {
            taken.push(turns.next().await.expect("a turn"));
        }
        let in_vain = timeout(Duration::from_millis(10), turns.next()).await;
        assert!(in_vain.is_err() && turns.waiting() == 0, "who has left does not wait");
        let next = turns.next();
        let looking = async {
            while turns.waiting() == 0 {
                tokio::task::yield_now().await;
            }
            taken.pop().expect("a turn").compute(|| "computed").await
        };
        let (next, computed) = tokio::join!(next, looking);
        assert!(next.is_ok() && computed.is_ok_and(|computed| computed == "computed"));
        assert_eq!(turns.waiting(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_gives_the_turn_back() {
        let turns = Turns::new();
        let free = turns.free.available_permits();
        let turn = turns.next().await.expect("a turn");
        turn.compute(|| -> () { panic!("in a test") }).await.expect_err("it has panicked");
        assert_eq!(turns.free.available_permits(), free);
    }
}
