//! The answers that one sender is still to get, in the order of their making. They go out before any delivery.
//!
//! Bounded by the number of unanswered messages that its reader may have taken in.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use slipstream_store::Identity;
use tokio::sync::Semaphore;

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
    pub(crate) fn into_confirmed(self) -> Option<Identity> {
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
        // The semaphore is never closed, so this cannot fail.
        if let Ok(permit) = self.unanswered.acquire().await {
            permit.forget();
        }
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.answers.lock().push_back(answer);
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
        self.0.answer(Answer::Confirm(identity));
    }

    pub(crate) fn refuse(self, refusal: Rejection) {
        self.0.answer(Answer::Refuse(refusal));
    }
}
