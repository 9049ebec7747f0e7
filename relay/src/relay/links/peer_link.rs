//! One link, as the relay sees it: what its writer gets to send, and how it ends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slipstream_store::{ClusterGroup, PeerId};

use super::outbox::{Answer, Outbox};
use crate::link::{CloseCode, FrameBatch, LinkControl, Outbound};
use crate::protocol;
use crate::relay::dispatcher::{Generation, Lane, LinkEnd, LinkTerms, Wake};

/// One link, as the relay sees it.
#[derive(Debug)]
pub(in crate::relay) struct PeerLink {
    pub(in crate::relay) lane: Arc<Lane>,
    /// Which link of the relay it is; the lane serves one at a time.
    pub(in crate::relay) generation: Generation,
    pub(in crate::relay) wake: Arc<Wake>,
    pub(in crate::relay) outbox: Arc<Outbox>,
    pub(in crate::relay) control: LinkControl,
    /// The address of the peer's end.
    pub(in crate::relay) remote: SocketAddr,
    /// The relay's id, which its answers carry.
    pub(in crate::relay) relay: PeerId,
    /// Most ids in one ACK to this peer; 1 where it takes no batches.
    pub(in crate::relay) ack_batch: usize,
    /// Longest answer to this peer, in bytes.
    pub(in crate::relay) max_answer: usize,
    /// What goes over the link to its peer.
    pub(in crate::relay) terms: LinkTerms,
    /// Set when no more messages are taken from this link: another took over, or the relay shuts down.
    pub(in crate::relay) deaf: AtomicBool,
    /// Set when no more messages are sent on this link: its peer's credential holds no longer.
    pub(in crate::relay) mute: AtomicBool,
}

impl Outbound for PeerLink {
    fn fill(&self, frames: &mut FrameBatch) {
        self.outbox.drain(|answers| self.write_answers(answers, frames));
        if !frames.is_full() && !self.mute.load(Ordering::Acquire) {
            self.lane.send_into(self.generation, |forward| {
                frames.text_bytes(&forward.text);
                !frames.is_full()
            });
        }
    }

    async fn ready(&self) {
        self.wake.send.notified().await;
    }
}

impl PeerLink {
    /// How the link has ended, or ends.
    pub(in crate::relay) fn end(&self) -> LinkEnd {
        match self.control.peer_closed_with() {
            Some(CloseCode::TOO_LARGE) => LinkEnd::TooLarge,
            _ => LinkEnd::Lost,
        }
    }

    /// Ends the link, because another one of its peer stays.
    pub(in crate::relay) fn give_way(&self) {
        self.deaf.store(true, Ordering::Release);
        self.control.close(CloseCode::TAKEN_OVER, "taken over");
    }

    /// Ends the link, because what its peer was let in for holds no longer. From now on the peer gets no message, and
    /// none is taken from it.
    pub(in crate::relay) fn shut_out(&self, why: &'static str) {
        self.deaf.store(true, Ordering::Release);
        self.mute.store(true, Ordering::Release);
        self.control.close(CloseCode::POLICY, why);
    }

    /// Writes one frame of answers; tells how many it holds.
    fn write_answers(&self, answers: &mut VecDeque<Answer>, frames: &mut FrameBatch) -> usize {
        if frames.is_full() {
            return 0;
        }
        let alike =
            answers.iter().take(self.ack_batch).take_while(|answer| same_group(answer, answers.front())).count();
        if alike > 1 {
            let mut confirmed = answers.iter().take(alike).filter_map(Answer::confirmed).peekable();
            if let Some(group) = confirmed.peek().map(|identity| &identity.group) {
                frames.text(|out| {
                    protocol::write_ack_batch(out, &self.relay, group, confirmed.map(|identity| &identity.id));
                });
            }
            answers.drain(..alike);
            return alike;
        }
        match answers.pop_front() {
            Some(Answer::Confirm(identity)) => {
                frames.text(|out| protocol::write_ack(out, &self.relay, &identity, self.max_answer));
            }
            Some(Answer::Refuse(refusal)) => {
                frames.text(|out| protocol::write_nack(out, &self.relay, &refusal, self.max_answer));
            }
            None => return 0,
        }
        1
    }
}

fn same_group(answer: &Answer, first: Option<&Answer>) -> bool {
    fn group(answer: &Answer) -> Option<&ClusterGroup> {
        match answer {
            Answer::Confirm(identity) => Some(&identity.group),
            Answer::Refuse(_) => None,
        }
    }
    group(answer).is_some() && group(answer) == first.and_then(group)
}
