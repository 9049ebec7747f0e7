//! The answers that one sender is still to get, in the order of their making. They go out before any delivery.
//!
//! Bounded by the number of unanswered messages that its reader may have taken in.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use slipstream_store::Identity;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::protocol::Rejection;
use crate::relay::dispatcher::Wake;

/// What the sender of a message is told of it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is durable.
    Confirm(Identity),
    /// It was not taken.
    Refuse(Rejection),
}

impl Answer {
    /// The identity that is confirmed, if it is.
    pub(crate) fn confirmed(&self) -> Option<&Identity> {
        match self {
            Self::Confirm(identity) => Some(identity),
            Self::Refuse(_) => None,
        }
    }
}

/// The answers on their way to one link.
#[derive(Debug)]
pub(crate) struct Outbox {
    answers: Mutex<VecDeque<Answer>>,
    unanswered: Semaphore,
    wake: Arc<Wake>,
}

impl Outbox {
    pub(crate) fn new(unanswered: u32, wake: Arc<Wake>) -> Self {
        let permits = usize::try_from(unanswered).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Self { answers: Mutex::default(), unanswered: Semaphore::new(permits), wake }
    }

    /// Waits until one more message may be taken in. Its answer must be given exactly once.
    pub(crate) async fn reserve(&self) {
        if self.try_reserve() {
            return;
        }
        // The semaphore is never closed, so this cannot fail.
        if let Ok(permit) = self.unanswered.acquire().await {
            permit.forget();
        }
    }

    /// Whether one more message may be taken in now. Then its answer must be given exactly once.
    pub(crate) fn try_reserve(&self) -> bool {
        self.unanswered.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().extend(answers);
        self.wake.send.notify_one();
    }

    /// Calls `write` with the answers at the front while it takes them; it tells how many it took, 0 for no room.
    pub(crate) fn drain(&self, mut write: impl FnMut(&mut VecDeque<Answer>) -> usize) {
        let mut answers = self.answers.lock();
        while !answers.is_empty() {
            match write(&mut answers) {
                0 => return,
                taken => self.unanswered.add_permits(taken),
            }
        }
        if answers.capacity() > 1_024 {
            answers.shrink_to(64);
        }
    }
}

/// The right to answer one message, which the message carries through the stages.
#[derive(Debug)]
pub(crate) struct ReplyTo(pub(crate) Arc<Outbox>);

impl ReplyTo {
    pub(crate) fn confirm(self, identity: Identity) {
        self.0.answer([Answer::Confirm(identity)]);
    }

    pub(crate) fn refuse(self, refusal: Rejection) {
        self.0.answer([Answer::Refuse(refusal)]);
    }
}

/// Most answers that are given to one link at once, so that it may write them while further ones are made.
const MAX_AT_ONCE: usize = 512;

/// Answers that are given one after the other. Neighbours for one link are given at once, the last when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    outbox: Option<Arc<Outbox>>,
    waiting: Vec<Answer>,
}

impl Answers {
    pub(crate) fn give(&mut self, ReplyTo(outbox): ReplyTo, answer: Answer) {
        if self.waiting.len() == MAX_AT_ONCE || !self.outbox.as_ref().is_some_and(|last| Arc::ptr_eq(last, &outbox)) {
            self.hand_over();
            self.outbox = Some(outbox);
        }
        self.waiting.push(answer);
    }

    fn hand_over(&mut self) {
        if let Some(outbox) = self.outbox.take() {
            outbox.answer(self.waiting.drain(..));
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.hand_over();
    }
}
