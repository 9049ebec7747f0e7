//! The connections that are open at the admin port, and who gives way if there are too many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// How long a connection may take to ask for something before it gives way to another. The next request of an honest
/// client comes with its connection.
const GRACE: Duration = Duration::from_millis(500);

/// How often it is looked who has not asked for anything, if there are too many connections.
const LOOK: Duration = Duration::from_millis(50);

/// How far a connection has come. All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    has_asked: AtomicBool,
    stays: AtomicBool,
}

impl Progress {
    /// It has asked for something: the head of a request is there.
    pub(super) fn asked(&self) {
        self.0.has_asked.store(true, Ordering::Relaxed);
    }

    /// The answer goes on for as long as the client wants.
    pub(super) fn stay(&self) {
        self.0.stays.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_asked(&self) -> bool {
        self.0.has_asked.load(Ordering::Relaxed)
    }

    pub(super) fn stays(&self) -> bool {
        self.0.stays.load(Ordering::Relaxed)
    }
}

/// The connections that are open. Dropping them ends them.
#[derive(Debug, Default)]
pub(super) struct OpenConnections {
    tasks: JoinSet<()>,
    /// The oldest first.
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    task: AbortHandle,
    progress: Progress,
    since: Instant,
}

impl OpenConnections {
    /// Adds a connection, and lives its life.
    pub(super) fn push(&mut self, progress: Progress, life: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(life);
        self.open.push_back(Open { task, progress, since: Instant::now() });
    }

    /// Waits until there are fewer than so many.
    pub(super) async fn make_room(&mut self, most: usize) {
        while self.count() >= most && !self.end_a_silent_one() {
            let _ = timeout(LOOK, self.tasks.join_next()).await;
        }
    }

    /// How many there are still.
    fn count(&mut self) -> usize {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|open| !open.task.is_finished());
        self.open.len()
    }

    /// Ends the oldest of those that have not asked for anything in time; false if there is none. So whoever only connects,
    /// however often, keeps nobody from an answer for long.
    fn end_a_silent_one(&mut self) -> bool {
        let is_silent = |open: &Open| !open.progress.has_asked() && open.since.elapsed() >= GRACE;
        let silent = self.open.iter().position(is_silent).and_then(|index| self.open.remove(index));
        silent.inspect(|open| open.task.abort()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_asked_for_nothing_gives_way() {
        let mut open = OpenConnections::default();
        let mut lives = Vec::new();
        for number in 0..4 {
            let (progress, (alive, ended)) = (Progress::default(), oneshot::channel::<()>());
            if number % 2 == 0 {
                progress.asked();
            }
            open.push(progress, async move {
                let _alive = alive;
                pending().await
            });
            lives.push(ended);
        }
        assert_eq!(open.count(), 4);
        assert!(!open.end_a_silent_one(), "each has its time");
        tokio::time::advance(GRACE).await;
        assert!(open.end_a_silent_one() && open.end_a_silent_one() && !open.end_a_silent_one());
        for number in [1, 3] {
            assert!((&mut lives[number]).await.is_err(), "{number}");
        }
        for number in [0, 2] {
            assert_eq!(lives[number].try_recv(), Err(TryRecvError::Empty), "{number}");
        }
        assert_eq!(open.count(), 2);
        drop(open);
        for number in [0, 2] {
            assert!((&mut lives[number]).await.is_err(), "{number}");
        }
    }
}
