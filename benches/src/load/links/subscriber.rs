//! A link that subscribes: it acknowledges what comes, and checks that each message comes once and in order.

use std::sync::Arc;
use std::vec::Drain;

use bytes::Bytes;
use parking_lot::Mutex;
use slipstream_relay::link::{FrameBatch, Inbox, Outbound};
use tokio::sync::Notify;

use super::foreign::Foreign;
use super::sequence::{Came, Sequence};
use super::shared::Shared;
use crate::load::plan::Plan;
use crate::load::text::{LEN, Mark, Text, write_ack};

/// Most ids that wait to be acknowledged. Beyond it nothing more is read.
const MAX_WAITING: usize = 8_192;

/// One that subscribes.
#[derive(Debug)]
pub(crate) struct Subscriber {
    ack_batch: usize,
    shared: Arc<Shared>,
    state: Mutex<State>,
    wake: Notify,
    drained: Notify,
}

#[derive(Debug)]
struct State {
    /// What came of each publisher.
    came: Vec<Sequence>,
    waiting: Vec<[u8; LEN]>,
    foreign: Foreign,
    received: Received,
}

/// What a subscriber got.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    /// Different messages.
    pub(crate) messages: u64,
    /// Messages that had come before.
    pub(crate) duplicates: u64,
    /// Messages that came after a later one of the same publisher.
    pub(crate) out_of_order: u64,
}

impl Subscriber {
    pub(crate) fn new(plan: &Plan, shared: Arc<Shared>) -> Self {
        let state = State {
            came: (0..plan.publishers.get()).map(|_| Sequence::default()).collect(),
            waiting: Vec::new(),
            foreign: Foreign::default(),
            received: Received::default(),
        };
        let ack_batch = plan.ack_batch.get().into();
        Self { ack_batch, shared, state: Mutex::new(state), wake: Notify::new(), drained: Notify::new() }
    }

    pub(crate) fn received(&self) -> Received {
        self.state.lock().received
    }

    /// Notes a message. Tells whether there is no room for another.
    fn deliver(&self, mark: Mark, id: [u8; LEN]) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(came) = state.came.get_mut(usize::from(mark.publisher)) else {
            self.shared.stray();
            return false;
        };
        let came = came.take(mark.number);
        match came {
            Came::InOrder => {}
            Came::Late => state.received.out_of_order += 1,
            Came::Again => state.received.duplicates += 1,
        }
        if came != Came::Again {
            state.received.messages += 1;
            self.shared.deliveries.record([mark.intended], self.shared.epoch.now());
        }
        state.waiting.push(id);
        let waiting = state.waiting.len();
        drop(guard);
        if waiting == 1 {
            self.wake.notify_one();
        }
        waiting >= MAX_WAITING
    }
}

impl Outbound for Subscriber {
    fn fill(&self, frames: &mut FrameBatch) {
        let mut state = self.state.lock();
        state.foreign.acknowledge(frames);
        for ids in state.waiting.chunks(self.ack_batch) {
            frames.text(|out| write_ack(out, ids));
        }
        state.waiting.clear();
        drop(state);
        self.drained.notify_one();
    }

    async fn ready(&self) {
        self.wake.notified().await;
    }
}

/// Takes what comes to a subscriber.
#[derive(Debug)]
pub(crate) struct Deliveries(pub(crate) Arc<Subscriber>);

impl Inbox for Deliveries {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        let subscriber = &self.0;
        for text in texts {
            match subscriber.shared.scanner.read(&text) {
                Text::Delivery(mark, id) => {
                    if subscriber.deliver(mark, id) {
                        subscriber.drained.notified().await;
                    }
                }
                Text::Foreign(id) => {
                    subscriber.state.lock().foreign.take(id);
                    subscriber.wake.notify_one();
                }
                Text::Confirm | Text::Refusal(..) | Text::Unknown => subscriber.shared.stray(),
            }
        }
    }
}
