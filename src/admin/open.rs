//! The connections that are open at the admin port, and who gives way if there are too many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long a connection may take to ask for something before it gives way to another. The next request of an honest
/// client comes with its connection.
const GRACE: Duration = Duration::from_millis(500);

/// Whether a connection has asked for something.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    /// It has: the head of a request is there.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The connections that are open, the oldest first.
#[derive(Debug, Default)]
pub(super) struct OpenConnections(VecDeque<Open>);

#[derive(Debug)]
struct Open {
    task: AbortHandle,
    asked: Asked,
    since: Instant,
}

impl OpenConnections {
    pub(super) fn push(&mut self, task: AbortHandle, asked: Asked) {
        self.0.push_back(Open { task, asked, since: Instant::now() });
    }

    /// How many there are still.
    pub(super) fn count(&mut self) -> usize {
        self.0.retain(|open| !open.task.is_finished());
        self.0.len()
    }

    /// Ends the oldest of those that have not asked for anything in time; false if there is none. So whoever only connects,
    /// however often, keeps nobody from an answer for long.
    pub(super) fn end_a_silent_one(&mut self) -> bool {
        let is_silent = |open: &Open| !open.asked.0.load(Ordering::Relaxed) && open.since.elapsed() >= GRACE;
        let silent = self.0.iter().position(is_silent).and_then(|index| self.0.remove(index));
        silent.inspect(|open| open.task.abort()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_asked_for_nothing_gives_way() {
        let mut open = OpenConnections::default();
        let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(pending::<()>())).collect();
        for (number, task) in tasks.iter().enumerate() {
            let asked = Asked::default();
            if number % 2 == 0 {
                asked.note();
            }
            open.push(task.abort_handle(), asked);
        }
        assert_eq!(open.count(), 4);
        assert!(!open.end_a_silent_one(), "each has its time");
        tokio::time::advance(GRACE).await;
        assert!(open.end_a_silent_one() && open.end_a_silent_one() && !open.end_a_silent_one());
        let mut ended = Vec::new();
        for (number, task) in tasks.into_iter().enumerate() {
            if number % 2 == 0 {
                assert!(!task.is_finished(), "{number}");
                task.abort();
            }
            ended.push(task.await.expect_err("it is ended").is_cancelled());
        }
        assert_eq!(ended, [true; 4]);
        assert_eq!(open.count(), 0);
    }
}
