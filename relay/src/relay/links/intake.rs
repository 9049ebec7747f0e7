//! The entry stage of a link: what its reader does with a text.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use slipstream_store::{Peer, PeerKind, Record, Route};

use super::inflow::Inflow;
use super::outbox::ReplyTo;
use super::peer_link::PeerLink;
use crate::clock::Clock;
use crate::link::Inbox;
use crate::listen::Principal;
use crate::metrics::Metrics;
use crate::protocol::{self, Ack, Code, Envelope, Incoming, Rejection, Sender, TraceContext};
use crate::relay::committer::{Arrival, CommitQueue};
use crate::relay::notices::Notices;
use crate::relay::peers::Target;
use crate::relay::router::Router;
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
    pub(in crate::relay) clock: Arc<dyn Clock>,
    pub(in crate::relay) metrics: Arc<Metrics>,
    pub(in crate::relay) notices: Arc<Notices>,
}

impl Intake {
    async fn message(&mut self, envelope: Envelope<'_>) {
        let link = Arc::clone(&self.link);
        let read_at = self.clock.elapsed();
        let reply = self.reply().await;
        // A link that another took over must not bring its messages in between those of the new one.
        if link.deaf.load(Ordering::Acquire) {
            return;
        }
        // First of all, so that the sender learns nothing about messages that it may not send.
        if let Err(reason) = self.principal.permits(envelope.message_type(), envelope.targeted_tags()) {
            let refusal = Rejection::of(Code::NotAllowed, reason, envelope.identity());
            return self.refuse(reply, refusal, envelope.trace_context().as_ref());
        }
        if envelope.path().contains(&link.relay) {
            self.metrics.looped();
            return reply.confirm(envelope.identity().clone());
        }
        if let Err(rate) = self.inflow.permits(read_at) {
            let reason = format!("this peer may send {rate} messages a second");
            let refusal = Rejection::of(Code::RateLimited, reason, envelope.identity());
            return self.refuse(reply, refusal, envelope.trace_context().as_ref());
        }
        let record = self.record(&envelope);
        let from_relay = self.sender.kind == PeerKind::Relay;
        let (mandatory, instances) = (envelope.is_mandatory(), envelope.targeted_instances().into());
        let unrouted = record.route.recipients.is_empty().then(|| envelope.targeted_tags().into());
        let trace = envelope.trace_context().map(Box::new);
        self.commits.message(record, Arrival { reply, read_at, from_relay, unrouted, instances, mandatory, trace }).await;
    }

    fn record(&mut self, envelope: &Envelope<'_>) -> Box<Record> {
        let relay = &self.link.relay;
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
            epoch: stamp.map(|stamp| stamp.epoch),
            text: envelope.encode(&self.sender.id, &route.path, stamp),
            route,
        })
    }

    fn acknowledged(&self, ack: &Ack) {
        let now = self.clock.elapsed();
        self.link.lane.acknowledge(self.link.generation, ack.ids(), ack.group(), |read_at| match read_at {
            Some(read_at) => {
                self.link.control.note_settled();
                self.metrics.acknowledged(read_at.map(|read_at| now.saturating_sub(read_at)));
            }
            None => self.metrics.stray_ack(),
        });
    }

    /// Waits until one more text may be answered.
    async fn reply(&self) -> ReplyTo {
        self.link.outbox.reserve().await;
        ReplyTo(Arc::clone(&self.link.outbox))
    }

    fn refuse(&self, reply: ReplyTo, refusal: Rejection, trace: Option<&TraceContext>) {
        self.metrics.rejected(refusal.code());
        self.notices.refused(&self.sender.id, &refusal, trace);
        reply.refuse(refusal);
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
                if !self.link.lane.refuse(self.link.generation, &nack) {
                    self.metrics.stray_ack();
                }
            }
            Err(refusal) if refusal.is_answered() => self.refuse(self.reply().await, refusal, None),
            Err(_) => self.metrics.stray_ack(),
        }
    }
}

/// What a peer is to the protocol.
pub(in crate::relay) fn sender(peer: &Peer) -> Sender {
    Sender { id: peer.id.clone(), group: peer.group.clone(), kind: peer.kind }
}
