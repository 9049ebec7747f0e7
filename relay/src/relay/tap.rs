//! Messages as they pass, for those who watch. Nobody waits for them, and nothing is done while nobody watches.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slipstream_store::{Identity, Key, MessageType, Record, Route, Sequence, Timestamp};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::rate::Rate;

/// Most messages a second that are shown. Of more, some are.
const MAX_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// Most messages that wait for one who watches. Whoever is slower misses the oldest.
const WAITING: usize = 1024;

/// A message that was recorded. Its text, and with it its value, is not there.
#[derive(Debug, Clone)]
pub struct Passing {
    /// Its place in commit order.
    pub sequence: Sequence,
    /// Its identity.
    pub identity: Identity,
    /// Its type.
    pub message_type: MessageType,
    /// Its key.
    pub key: Option<Key>,
    /// From whom it came, by which way, and to whom it goes.
    pub route: Arc<Route>,
    /// Bytes of its text.
    pub bytes: usize,
    /// When it was taken in.
    pub received_at: Timestamp,
    /// How many messages were recorded before it since the one that was shown last.
    pub left_out: u64,
}

/// Where messages pass.
#[derive(Debug)]
pub(super) struct Tap {
    watched: broadcast::Sender<Passing>,
    rate: Rate,
    left_out: AtomicU64,
}

impl Tap {
    pub(super) fn new() -> Self {
        Self { watched: broadcast::Sender::new(WAITING), rate: Rate::new(MAX_RATE), left_out: AtomicU64::new(0) }
    }

    /// Has somebody watch from now on.
    pub(super) fn watch(&self) -> Watch {
        Watch { messages: self.watched.subscribe() }
    }

    /// A message was recorded. `now` is on the clock's own scale.
    pub(super) fn passes(&self, record: &Record, sequence: Sequence, now: Duration) {
        if self.watched.receiver_count() == 0 {
            return;
        }
        if self.rate.permits(now).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let _ = self.watched.send(Passing {
            sequence,
            identity: record.identity.clone(),
            message_type: record.message_type.clone(),
            key: record.key.clone(),
            route: Arc::clone(&record.route),
            bytes: record.text.len(),
            received_at: record.received_at,
            left_out: self.left_out.swap(0, Ordering::Relaxed),
        });
    }
}

/// Somebody who watches messages pass.
#[derive(Debug)]
pub struct Watch {
    messages: broadcast::Receiver<Passing>,
}

impl Watch {
    /// The next message, and how many this one was too slow for before it; `None` once the relay is gone.
    ///
    /// # Cancellation
    /// Nothing is missed.
    pub async fn next(&mut self) -> Option<(Passing, u64)> {
        let mut missed = 0;
        loop {
            match self.messages.recv().await {
                Ok(passing) => return Some((passing, missed)),
                Err(RecvError::Lagged(more)) => missed += more,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
