//! A peer's lane: what is on its way to one peer. Pure: no clock, no I/O, no tokio.
//!
//! While its link is up a lane is *live* (it is handed each delivery as it is committed) or *behind* (its deliveries
//! come in pages from the store until it has reached the head). A lane that cannot take what it is handed falls
//! behind: a slow peer costs disk, never memory. What is sent again is read from the store again, for the same reason.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, Identity, Key, MessageId, Operation, Page, Peer, PeerId, PeerKind, Pending, Sequence, Timestamp,
};

use super::decided::Decided;
use super::transit::Transit;
use crate::clock::Moment;
use crate::protocol::{self, Nack};
use crate::relay::settings::DeliveryRules;

/// A committed message on its way to its recipients, shared by all of them.
#[derive(Debug)]
pub(crate) struct Forward {
    /// Its place in commit order.
    pub(crate) sequence: Sequence,
    /// What the peer's ACK will name.
    pub(crate) identity: Identity,
    /// The key whose value it sets, if it sets one.
    pub(crate) sets: Option<Key>,
    /// `targetedInstances`: the only applications that it is for; empty means no such limit.
    pub(crate) instances: Box<[PeerId]>,
    /// When it loses its point.
    pub(crate) expires_at: Option<Timestamp>,
    /// The outgoing text.
    pub(crate) text: Bytes,
    /// When it was read from its sender, on the clock's own scale, where this process read it.
    pub(crate) read_at: Option<Duration>,
}

impl From<Pending> for Forward {
    fn from(pending: Pending) -> Self {
        let Pending { sequence, identity, message_type, key, expires_at, text, .. } = pending;
        let sets = key.filter(|_| protocol::sets_a_key(&message_type));
        let instances = protocol::targeted_instances(&text);
        Self { sequence, identity, sets, instances, expires_at, text, read_at: None }
    }
}

/// How a lane sends, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneLimits {
    /// When deliveries are sent, and sent again.
    pub(crate) rules: DeliveryRules,
    /// Most deliveries that wait in memory to be sent.
    pub(crate) queue_items: usize,
    /// Most bytes of them; one delivery may always wait.
    pub(crate) queue_bytes: usize,
    /// Most bytes that all lanes together hold before each keeps only its next delivery.
    pub(crate) total_bytes: usize,
}

impl LaneLimits {
    pub(super) fn window(&self) -> usize {
        usize::try_from(self.rules.window.get()).unwrap_or(usize::MAX)
    }
}

/// What goes over a link to its peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LinkTerms {
    /// The largest message that it takes, where it announced a limit.
    pub(crate) max_message_bytes: Option<u64>,
    /// Whether it gets, after being away, only the newest value of each key.
    pub(crate) coalesce: bool,
    /// Who it is, where it is an application. A relay gets whatever is held for it.
    pub(crate) application: Option<Arc<Addressee>>,
}

/// An application, as messages name it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Addressee {
    id: PeerId,
    /// The name under which it was held for until it said its id.
    alias: Option<PeerId>,
}

impl LinkTerms {
    /// The same, for this peer.
    pub(crate) fn with(self, peer: &Peer) -> Self {
        let addressee = || Arc::new(Addressee { id: peer.id.clone(), alias: peer.alias.clone() });
        Self { application: (peer.kind == PeerKind::Application).then(addressee), ..self }
    }

    /// Whether a delivery is one for this peer. It was routed before it was known that the peer is an application, or
    /// who it is, where it is not.
    pub(super) fn permit(&self, forward: &Forward) -> bool {
        let Some(Addressee { id, alias }) = self.application.as_deref() else { return true };
        let named = |instance: &PeerId| instance == id || Some(instance) == alias.as_ref();
        let is_meant = forward.instances.is_empty() || forward.instances.iter().any(named);
        // Only under an alias can a message have been held for the peer that sent it.
        is_meant && (alias.is_none() || !protocol::path(&forward.text).contains(id))
    }
}

/// What a lane asks of its surroundings after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// Something can be sent.
    pub(super) send: bool,
    /// A page of the store.
    pub(super) page: bool,
    /// A commit of what was decided.
    pub(super) commit: bool,
}

/// What became of an answer of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// It is about this delivery in flight, whose message was read from its sender at that time, where that is known.
    InFlight(Option<Duration>),
    /// Nothing of that id is in flight.
    NotInFlight,
}

/// A wish for a page, as of the moment when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// Where the page starts, exclusive.
    pub(super) after: Option<Sequence>,
    /// Most items that the lane takes.
    pub(super) items: usize,
    pub(super) purpose: Purpose,
    /// Which link of the lane wishes it.
    link: u64,
}

/// What a page is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be sent in turn. Counts what the lane was told of and skipped until then.
    Send { skips: u64 },
    /// To find what is in flight and is to be sent again.
    Resend,
    /// To find what is superseded before anything is sent.
    Coalesce,
}

/// The lane of one peer.
#[derive(Debug)]
pub(super) struct Lane {
    decided: Decided,
    /// The last of its oldest deliveries that were given up.
    given_up: Option<Sequence>,
    /// Counts the links, so that what one asked for is not given to the next.
    links: u64,
    transit: Option<Box<Transit>>,
}

impl Lane {
    pub(super) fn new(peer: PeerId) -> Self {
        Self { decided: Decided::new(peer), given_up: None, links: 0, transit: None }
    }

    /// A link begins, or begins anew: everything that is still owed is sent again, oldest first.
    pub(super) fn link_up(&mut self, terms: LinkTerms) -> Wanted {
        self.links += 1;
        self.transit = Some(Box::new(Transit::new(terms)));
        Wanted { page: true, ..Wanted::default() }
    }

    /// The link ended. What was decided still waits for its commit.
    pub(super) fn unlink(&mut self) {
        self.transit = None;
    }

    pub(super) fn in_flight(&self) -> usize {
        self.transit.as_ref().map_or(0, |transit| transit.in_flight())
    }

    /// Bytes that wait in memory to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.transit.as_ref().map_or(0, |transit| transit.queued_bytes())
    }

    /// Hands over a delivery that was just committed.
    pub(super) fn offer(&mut self, forward: &Arc<Forward>, limits: &LaneLimits) {
        if let Some(transit) = &mut self.transit {
            transit.offer(forward, limits);
        }
    }

    /// Something may have been committed for this peer that was never offered: read on from the store.
    pub(super) fn resync(&mut self) {
        if let Some(transit) = &mut self.transit {
            transit.fall_behind();
        }
    }

    /// What the lane wants to read next from the store, if anything.
    pub(super) fn wants_page(&self, limits: &LaneLimits) -> Option<PageRequest> {
        let (after, purpose) = self.transit.as_ref()?.wants_page(&self.decided, limits)?;
        Some(PageRequest { after, items: limits.queue_items, purpose, link: self.links })
    }

    /// Takes in the page that [`wants_page`](Self::wants_page) asked for.
    pub(super) fn load(&mut self, request: PageRequest, page: Page<Pending>, now: Moment) {
        if let Some(transit) = self.transit.as_mut().filter(|_| request.link == self.links) {
            transit.load(request, page, &mut self.decided, now);
        }
    }

    /// Takes the next delivery to send, which is in flight from now on. What must not be sent is settled instead.
    pub(super) fn next(&mut self, now: Moment, limits: &LaneLimits) -> Option<Arc<Forward>> {
        self.transit.as_mut()?.next(&mut self.decided, now, limits)
    }

    /// The peer acknowledges.
    pub(super) fn acknowledge(&mut self, id: &MessageId, group: Option<&ClusterGroup>, at: Timestamp) -> Answered {
        match &mut self.transit {
            Some(transit) => transit.acknowledge(&mut self.decided, id, group, at),
            None => Answered::NotInFlight,
        }
    }

    /// The peer refuses, for now or for good.
    pub(super) fn refuse(&mut self, nack: &Nack, now: Moment, limits: &LaneLimits) -> Answered {
        match &mut self.transit {
            Some(transit) => transit.refuse(&mut self.decided, nack, now, limits),
            None => Answered::NotInFlight,
        }
    }

    /// Time goes by.
    pub(super) fn tick(&mut self, now: Moment, limits: &LaneLimits) {
        if let Some(transit) = &mut self.transit {
            transit.tick(&mut self.decided, now, limits);
        }
    }

    /// When [`tick`](Self::tick) is wanted next, on the clock's own scale.
    pub(super) fn wakes_at(&self) -> Option<Duration> {
        self.transit.as_ref()?.wakes_at()
    }

    /// Gives deliveries up, the oldest that are owed, each with its attempts. Answers whether there was one that was not
    /// given up before: until the store has taken that in, it shows them still.
    pub(super) fn give_up(
        &mut self,
        oldest: impl IntoIterator<Item = (Sequence, u32)>,
        reason: &str,
        at: Timestamp,
    ) -> bool {
        let before = self.given_up;
        for (sequence, attempts) in oldest.into_iter().filter(|(sequence, _)| Some(*sequence) > before) {
            self.given_up = Some(sequence);
            if let Some(transit) = &mut self.transit {
                transit.skip(sequence);
            }
            self.decided.give_up(sequence, reason.to_owned(), attempts, at);
        }
        self.given_up > before
    }

    /// A delivery was settled elsewhere.
    pub(super) fn settled(&mut self, sequence: Sequence) {
        if let Some(transit) = &mut self.transit {
            transit.end(sequence);
        }
    }

    /// Whether the store knows all that was decided.
    pub(super) fn is_settled(&self) -> bool {
        self.decided.is_settled()
    }

    /// Moves what was decided, the oldest `most` of it, to `operations`.
    pub(super) fn take_decided(&mut self, operations: &mut Vec<Operation>, most: usize) {
        self.decided.take(operations, most);
    }

    /// The commit of this many decisions has ended.
    pub(super) fn committed(&mut self, operations: usize) {
        self.decided.committed(operations);
    }

    pub(super) fn wanted(&self, limits: &LaneLimits) -> Wanted {
        Wanted {
            send: !self.decided.is_full() && self.transit.as_ref().is_some_and(|transit| transit.can_send(limits)),
            page: self.wants_page(limits).is_some(),
            commit: self.decided.is_waiting(),
        }
    }
}

#[cfg(test)]
mod tests;
