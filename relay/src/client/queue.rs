//! Bounded queues between a client's halves and its link.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Drain;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::link::{FrameBatch, Inbox, Outbound};

/// How many bytes wait in a queue before its producer waits too. One item may go beyond it.
const MAX_QUEUED_BYTES: usize = 256 << 10;

/// What an item takes besides its bytes, so that tiny ones are bounded too.
const ITEM_COST: usize = 64;

/// The queue takes nothing any more.
#[derive(Debug)]
pub(super) struct Closed;

/// A queue that is bounded in bytes, for one producer and one consumer.
#[derive(Debug)]
struct Queue<T> {
    state: Mutex<State<T>>,
    pushed: Notify,
    popped: Notify,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    cost: usize,
    closed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State { items: VecDeque::new(), cost: 0, closed: false };
        Self { state: Mutex::new(state), pushed: Notify::new(), popped: Notify::new() }
    }
}

impl<T: AsRef<[u8]>> Queue<T> {
    fn cost(item: &T) -> usize {
        item.as_ref().len() + ITEM_COST
    }

    /// Adds an item once there is room.
    async fn push(&self, item: T) -> Result<(), Closed> {
        loop {
            {
                let mut state = self.state.lock();
                if state.closed {
                    return Err(Closed);
                }
                if state.cost < MAX_QUEUED_BYTES {
                    state.cost += Self::cost(&item);
                    state.items.push_back(item);
                    break;
                }
            }
            self.popped.notified().await;
        }
        self.pushed.notify_one();
        Ok(())
    }

    fn pop(&self) -> Option<T> {
        let item = {
            let mut state = self.state.lock();
            let item = state.items.pop_front()?;
            state.cost -= Self::cost(&item);
            item
        };
        self.popped.notify_one();
        Some(item)
    }

    /// The next item; `None` where there will be none.
    async fn next(&self) -> Option<T> {
        loop {
            if let Some(item) = self.pop() {
                return Some(item);
            }
            // Closed and empty, seen in this order: nothing can have come in between.
            if self.state.lock().closed {
                return self.pop();
            }
            self.pushed.notified().await;
        }
    }

    /// Takes no more items. Those that are in it can still be had.
    fn close(&self) {
        self.state.lock().closed = true;
        self.pushed.notify_one();
        self.popped.notify_one();
    }
}

/// Texts on their way to the relay.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    queue: Queue<Box<[u8]>>,
    /// How many texts the writer has taken, and how many of them the operating system has.
    taken: AtomicU64,
    written: AtomicU64,
    progress: Notify,
}

impl Outgoing {
    pub(super) async fn push(&self, text: Box<str>) -> Result<(), Closed> {
        self.queue.push(text.into()).await
    }

    /// Returns when the operating system has this many texts.
    pub(super) async fn written(&self, texts: u64) -> Result<(), Closed> {
        while self.written.load(Ordering::Acquire) < texts {
            if self.queue.state.lock().closed {
                return Err(Closed);
            }
            self.progress.notified().await;
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.queue.close();
        self.progress.notify_one();
    }
}

impl Outbound for Outgoing {
    fn fill(&self, frames: &mut FrameBatch) {
        let mut taken = self.taken.load(Ordering::Relaxed);
        // Being asked again means that everything taken before is written.
        if self.written.swap(taken, Ordering::Release) != taken {
            self.progress.notify_one();
        }
        while !frames.is_full()
            && let Some(text) = self.queue.pop()
        {
            frames.text_bytes(&text);
            taken += 1;
        }
        self.taken.store(taken, Ordering::Relaxed);
    }

    async fn ready(&self) {
        self.queue.pushed.notified().await;
    }
}

/// Texts that came from the relay.
#[derive(Debug, Clone, Default)]
pub(super) struct Incoming {
    queue: Arc<Queue<Bytes>>,
}

impl Incoming {
    pub(super) async fn next(&self) -> Option<Bytes> {
        self.queue.next().await
    }

    /// From now on what comes is dropped.
    pub(super) fn close(&self) {
        self.queue.close();
    }
}

impl Inbox for Incoming {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        for text in texts {
            // Where nobody receives any more, texts are dropped; the relay still has them.
            let _ = self.queue.push(text).await;
        }
    }
}
