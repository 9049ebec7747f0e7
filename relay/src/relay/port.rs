//! Where a link meets the stages: what its reader does with a text, and what its writer gets to send.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use slipstream_store::{ClusterGroup, MessageId, Peer, PeerId, PeerKind, Record, Route};

use super::committer::{Arrival, CommitQueue};
use super::dispatcher::{LinkEnd, LinkTerms, PeerLane, Wake};
use super::notices::Notices;
use super::outbox::{Answer, Outbox, ReplyTo};
use super::router::Router;
use super::stamps::Stamps;
use super::topology::Target;
use crate::clock::Clock;
use crate::link::{CloseCode, FrameBatch, Inbox, LinkControl, Outbound};
use crate::metrics::Metrics;
use crate::protocol::{self, Ack, Code, Envelope, Incoming, Refusal, Sender};

/// One link, as the relay sees it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) lane: Arc<PeerLane>,
    pub(super) wake: Arc<Wake>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) control: LinkControl,
    /// The address of the peer's end.
    pub(super) remote: SocketAddr,
    /// The relay's id, which its answers carry.
    pub(super) relay: PeerId,
    /// Most ids in one ACK to this peer; 1 where it takes no batches.
    pub(super) ack_batch: usize,
    /// Longest answer to this peer, in bytes.
    pub(super) max_answer: usize,
    /// What goes over the link to its peer.
    pub(super) terms: LinkTerms,
    /// Set when no more messages are taken from this link: another took over, or the relay shuts down.
    pub(super) deaf: AtomicBool,
}

/// The entry stage of a link: decodes, routes, submits.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) port: Arc<Port>,
    pub(super) sender: Sender,
    /// Most levels of a message.
    pub(super) max_depth: NonZeroUsize,
    pub(super) router: Router,
    pub(super) stamps: Arc<Stamps>,
    pub(super) commits: CommitQueue,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) notices: Arc<Notices>,
}

impl Intake {
    async fn message(&mut self, envelope: Envelope<'_>) {
        let port = Arc::clone(&self.port);
        let read_at = self.clock.elapsed();
        port.outbox.reserve().await;
        // A link that another took over must not bring its messages in between those of the new one.
        if port.deaf.load(Ordering::Acquire) {
            return;
        }
        let reply = ReplyTo(Arc::clone(&port.outbox));
        if envelope.path().contains(&port.relay) {
            self.metrics.looped();
            return reply.confirm(envelope.identity().clone());
        }
        if let Err(rate) = port.lane.may_send(read_at) {
            let reason = format!("this peer may send {rate} messages a second");
            let refusal = Refusal::of(Code::RateLimited, reason, envelope.identity());
            self.count_refusal(&refusal);
            return reply.refuse(refusal);
        }
        let record = self.record(&envelope);
        let from_relay = self.sender.kind == PeerKind::Relay;
        let mandatory = envelope.is_mandatory();
        let unrouted = record.route.recipients.is_empty().then(|| envelope.targeted_tags().into());
        self.commits.message(record, Arrival { reply, read_at, from_relay, unrouted, mandatory }).await;
    }

    fn record(&mut self, envelope: &Envelope<'_>) -> Box<Record> {
        let relay = &self.port.relay;
        let target = Target {
            sender: &self.sender.id,
            path: envelope.path(),
            tags: envelope.targeted_tags(),
            instances: envelope.targeted_instances(),
        };
        let route: Arc<Route> = self.router.route(target, || envelope.outgoing_path(&self.sender.id, relay));
        let stamp = self.stamps.on_the_way_out(&self.sender, envelope.stamp());
        Box::new(Record {
            identity: envelope.identity().clone(),
            fingerprint: envelope.fingerprint(),
            message_type: envelope.message_type().clone(),
            key: envelope.key().cloned(),
            expires_at: envelope.expires_at(),
            received_at: self.clock.now(),
            stamp: envelope.stamp(),
            text: envelope.encode(&self.sender.id, &route.path, stamp),
            route,
        })
    }

    fn acknowledged(&self, ack: &Ack) {
        let now = self.clock.elapsed();
        self.port.lane.acknowledge(&self.port.wake, ack.ids(), ack.group(), |read_at| match read_at {
            Some(read_at) => {
                self.port.control.note_settled();
                self.metrics.acknowledged(read_at.map(|read_at| now.saturating_sub(read_at)));
            }
            None => self.metrics.stray_ack(),
        });
    }

    fn count_refusal(&self, refusal: &Refusal) {
        self.metrics.rejected(refusal.code());
        self.notices.refused(&self.sender.id, refusal);
    }

    async fn refuse(&self, refusal: Refusal) {
        self.count_refusal(&refusal);
        self.port.outbox.reserve().await;
        self.port.outbox.answer(Answer::Refuse(refusal));
    }
}

impl Inbox for Intake {
    async fn text(&mut self, text: Bytes) {
        // The link has checked the encoding; should that ever be wrong, nothing is taken in.
        let Ok(text) = std::str::from_utf8(&text) else { return };
        match protocol::decode(text, &self.sender, self.max_depth, || self.clock.ulid()) {
            Ok(Incoming::Message(envelope)) => self.message(envelope).await,
            Ok(Incoming::Ack(ack)) => self.acknowledged(&ack),
            Ok(Incoming::Nack(nack)) => {
                if !self.port.lane.refuse(&self.port.wake, &nack) {
                    self.metrics.stray_ack();
                }
            }
            Err(refusal) if refusal.is_answered() => self.refuse(refusal).await,
            Err(_) => self.metrics.stray_ack(),
        }
    }
}

impl Outbound for Port {
    fn fill(&self, frames: &mut FrameBatch) {
        self.outbox.drain(|answers| self.write_answers(answers, frames));
        if !frames.is_full() {
            self.lane.send_into(&self.wake, |forward| {
                frames.text_bytes(&forward.text);
                !frames.is_full()
            });
        }
    }

    async fn ready(&self) {
        self.wake.send.notified().await;
    }
}

impl Port {
    /// How the link has ended, or ends.
    pub(super) fn end(&self) -> LinkEnd {
        match self.control.peer_closed_with() {
            Some(CloseCode::TOO_LARGE) => LinkEnd::TooLarge,
            _ => LinkEnd::Lost,
        }
    }

    /// Ends the link, because another one of its peer stays.
    pub(super) fn give_way(&self) {
        self.deaf.store(true, Ordering::Release);
        self.control.close(CloseCode::TAKEN_OVER, "taken over");
    }

    /// Writes one frame of answers; tells how many it holds.
    fn write_answers(&self, answers: &mut VecDeque<Answer>, frames: &mut FrameBatch) -> usize {
        if frames.is_full() {
            return 0;
        }
        let alike =
            answers.iter().take(self.ack_batch).take_while(|answer| same_group(answer, answers.front())).count();
        if alike > 1 {
            let mut confirmed = answers.drain(..alike).filter_map(Answer::into_confirmed).peekable();
            if let Some(group) = confirmed.peek().map(|identity| identity.group.clone()) {
                let ids: Vec<MessageId> = confirmed.map(|identity| identity.id).collect();
                frames.text(|out| protocol::write_ack_batch(out, &self.relay, &group, &ids));
            }
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

/// What a peer is to the protocol.
pub(super) fn sender(peer: &Peer) -> Sender {
    Sender { id: peer.id.clone(), group: peer.group.clone(), kind: peer.kind }
}
