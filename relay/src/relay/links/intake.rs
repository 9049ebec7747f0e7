//! The entry stage of a link: what its reader does with a text.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::vec::Drain;

use bytes::Bytes;
use slipstream_store::{Peer, PeerKind, Record, RosterVersion, Timestamp};

use super::inflow::Inflow;
use super::outbox::ReplyTo;
use super::peer_link::PeerLink;
use crate::clock::{Clock, Moment};
use crate::link::Inbox;
use crate::listen::Principal;
use crate::metrics::Metrics;
use crate::protocol::{self, Ack, Code, Envelope, Incoming, Rejection, Sender, TraceContext};
use crate::relay::committer::{Arrival, Burst, CommitQueue, Submission};
use crate::relay::notices::Notices;
use crate::relay::peers::Target;
use crate::relay::router::Router;
use crate::relay::runs::Runs;
use crate::relay::stamps::Stamps;

/// The entry stage of a link: decodes, routes, submits.
#[derive(Debug)]
pub(in crate::relay) struct Intake {
    pub(in crate::relay) link: Arc<PeerLink>,
    pub(in crate::relay) sender: Sender,
    /// Who the sender's credential says that it is, which bounds what it may send.
    pub(in crate::relay) principal: Principal,
    pub(in crate::relay) inflow: Arc<Inflow>,
    /// Most levels of a message.
    pub(in crate::relay) max_depth: NonZeroUsize,
    pub(in crate::relay) router: Router,
    pub(in crate::relay) stamps: Arc<Stamps>,
    pub(in crate::relay) commits: CommitQueue,
    /// What was taken in of the texts that one read brought, to be submitted at once.
    pub(in crate::relay) burst: Burst,
    pub(in crate::relay) clock: Arc<dyn Clock>,
    pub(in crate::relay) metrics: Arc<Metrics>,
    pub(in crate::relay) notices: Arc<Notices>,
}

impl Intake {
    /// Looks at a message that was read just now: answers it at once, or makes of it what the committer gets.
    fn message(&mut self, envelope: &Envelope<'_>, reply: ReplyTo, now: Moment) -> Option<Submission> {
        // First of all, so that the sender learns nothing about messages that it may not send.
        if let Err(reason) = self.principal.permits(envelope.message_type(), envelope.targeted_tags()) {
            let refusal = Rejection::of(Code::NotAllowed, reason, envelope.identity());
            self.refuse(reply, refusal, envelope.trace_context().as_ref());
            return None;
        }
        if envelope.path().contains(&self.link.relay) {
            self.metrics.looped();
            reply.confirm(envelope.identity().clone());
            return None;
        }
        if let Err(rate) = self.inflow.permits(now.elapsed) {
            let reason = format!("this peer may send {rate} messages a second");
            let refusal = Rejection::of(Code::RateLimited, reason, envelope.identity());
            self.refuse(reply, refusal, envelope.trace_context().as_ref());
            return None;
        }
        let (record, routed_by) = self.record(envelope, now.time);
        let from_relay = self.sender.kind == PeerKind::Relay;
        let (mandatory, instances) = (envelope.is_mandatory(), envelope.targeted_instances().into());
        let unrouted = record.route.recipients.is_empty().then(|| envelope.targeted_tags().into());
        let trace = envelope.trace_context().map(Box::new);
        let read_at = now.elapsed;
        let arrival = Arrival { reply, read_at, from_relay, unrouted, routed_by, instances, mandatory, trace };
        Some(Submission::Message(record, arrival))
    }

    /// Adds a message to the burst, and waits while the queue is full. The burst must not wait with it: it makes the room.
    async fn add(&mut self, message: Submission) {
        if let Some(message) = self.burst.try_add(message) {
            self.submit();
            // Where the committer has ended, nobody is answered.
            let _ = self.burst.add(message).await;
        }
    }

    /// Submits the burst, unless another link took over: this one must not bring its messages in between those of the new
    /// one.
    fn submit(&mut self) {
        let burst = std::mem::replace(&mut self.burst, self.commits.burst());
        if !self.is_deaf() {
            let _ = self.commits.submit(burst);
        }
    }

    fn is_deaf(&self) -> bool {
        self.link.deaf.load(Ordering::Acquire)
    }

    fn record(&mut self, envelope: &Envelope<'_>, received_at: Timestamp) -> (Box<Record>, RosterVersion) {
        let relay = &self.link.relay;
        let target = Target {
            sender: &self.sender.id,
            path: envelope.path(),
            tags: envelope.targeted_tags(),
            instances: envelope.targeted_instances(),
        };
        let (route, roster) = self.router.route(target, || envelope.outgoing_path(&self.sender.id, relay));
        let stamp = self.stamps.on_the_way_out(&self.sender, envelope.stamp());
        let record = Box::new(Record {
            identity: envelope.identity().clone(),
            fingerprint: envelope.fingerprint(),
            message_type: envelope.message_type().clone(),
            key: envelope.key().cloned(),
            expires_at: envelope.expires_at(),
            received_at,
            stamp: envelope.stamp(),
            epoch: stamp.map(|stamp| stamp.epoch),
            text: envelope.encode(&self.sender.id, &route.path, stamp),
            route,
        });
        (record, roster)
    }

    fn acknowledged(&self, ack: &Ack) {
        let now = self.clock.elapsed();
        let mut runs = Runs::default();
        let count = |read_at: Option<Option<Duration>>, deliveries| match read_at {
            Some(read_at) => {
                self.link.control.note_settled();
                self.metrics.acknowledged(read_at.map(|read_at| now.saturating_sub(read_at)), deliveries);
            }
            None => self.metrics.stray_acks(deliveries),
        };
        self.link.lane.acknowledge(self.link.generation, ack.ids(), ack.group(), |read_at| runs.next(read_at, count));
        runs.end(count);
    }

    /// Waits until one more text may be answered. The burst must not wait with it: its answers make the room.
    async fn reply(&mut self) -> ReplyTo {
        if !self.link.outbox.try_reserve() {
            self.submit();
            self.link.outbox.reserve().await;
        }
        ReplyTo(Arc::clone(&self.link.outbox))
    }

    fn refuse(&self, reply: ReplyTo, refusal: Rejection, trace: Option<&TraceContext>) {
        self.metrics.rejected(refusal.code());
        self.notices.refused(&self.sender.id, &refusal, trace);
        reply.refuse(refusal);
    }
}

impl Inbox for Intake {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        let now = Moment::now(&*self.clock);
        for text in texts {
            // The link has checked the encoding; should that ever be wrong, nothing is taken in.
            let Ok(text) = std::str::from_utf8(&text) else { continue };
            match protocol::decode(text, &self.sender, self.max_depth, || self.clock.ulid()) {
                Ok(Incoming::Message(envelope)) => {
                    let reply = self.reply().await;
                    if !self.is_deaf()
                        && let Some(message) = self.message(&envelope, reply, now)
                    {
                        self.add(message).await;
                    }
                }
                Ok(Incoming::Ack(ack)) => self.acknowledged(&ack),
                Ok(Incoming::Nack(nack)) => {
                    if !self.link.lane.refuse(self.link.generation, &nack) {
                        self.metrics.stray_acks(1);
                    }
                }
                Err(refusal) if refusal.is_answered() => {
                    let reply = self.reply().await;
                    self.refuse(reply, refusal, None);
                }
                Err(_) => self.metrics.stray_acks(1),
            }
        }
        self.submit();
    }
}

/// What a peer is to the protocol.
pub(in crate::relay) fn sender(peer: &Peer) -> Sender {
    Sender { id: peer.id.clone(), group: peer.group.clone(), kind: peer.kind }
}
